"""Says how many clicks and hours the rest of a layer will take, from a project's finished objects.

    python -m rsisrefiner_jax.forecast scene.annotations --remaining 2000
    python -m rsisrefiner_jax.forecast scene.annotations --layer rough_outlines.gpkg

A layer of polygons says of what class and size the rest is; polygons on which a finished object
lies are done. The annotator may be at work on the project.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsisrefiner_jax.console import program
from rsisrefiner_jax.errors import require, run_main

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rsisrefiner_jax.forecast.efforts import Effort, Group
    from rsisrefiner_jax.forecast.estimate import Forecast


def main(words: list[str] | None = None) -> None:
    """Runs the command line; see `--help`. Raises UserError."""
    options = _parser().parse_args(words)
    require(
        options.remaining is None or options.remaining > 0,
        f"--remaining {options.remaining}: at least one object",
    )

    from rsisrefiner_jax.atomic import atomic_file
    from rsisrefiner_jax.data.project.events import NAME, read_events
    from rsisrefiner_jax.data.project.source import read_state
    from rsisrefiner_jax.forecast.efforts import Group, efforts
    from rsisrefiner_jax.forecast.estimate import forecast

    require((options.project / NAME).is_file(), f"{options.project}: no project of the annotator")
    done = efforts(read_events(options.project / NAME), options.project)
    if options.layer is None:
        remaining: Mapping[Group, int] = {Group(): options.remaining}
    else:
        from rsisrefiner_jax.forecast.remaining import remaining_of

        state, _ = read_state(options.project)
        finished = [one for one in state.objects.values() if not one.deleted]
        remaining = remaining_of(options.layer, list(state.images.values()), finished)
    found = forecast(done, remaining)
    print(table(done, remaining))
    print(sentence(found))
    if options.json is not None:
        with atomic_file(options.json) as file:
            file.write((json.dumps(as_json(done, remaining, found), indent=2) + "\n").encode())


def table(done: "Sequence[Effort]", remaining: "Mapping[Group, int]") -> str:
    """What each group took, and what of it is left, as Markdown."""
    from rsisrefiner_jax.forecast.estimate import groups

    took = groups(done)
    lines = ["| class | size | finished | clicks each | seconds each | left |", "|" + "---|" * 6]
    for group in dict.fromkeys([*took, *remaining]):
        own, left = took.get(group), remaining.get(group)
        cells = [
            group.category or ("-" if group.category == "" else "any"),
            group.size or "any",
            *(
                (f"{own['objects']}", f"{own['clicks']:.1f}", f"{own['seconds']:.0f}")
                if own
                else ()
            ),
        ]
        cells += ["-"] * (5 - len(cells))
        lines.append(f"| {' | '.join(cells)} | {'-' if left is None else left} |")
    return "\n".join(lines)


def sentence(found: "Forecast") -> str:
    """The forecast for a person."""
    clicks, hours = found.clicks, found.hours
    return (
        f"{found.remaining:,} objects left: {clicks.mean:,.0f} clicks ({clicks.low:,.0f} to "
        f"{clicks.high:,.0f}) and {hours.mean:,.1f} hours ({hours.low:,.1f} to {hours.high:,.1f}), "
        "95 % interval"
    )


def as_json(
    done: "Sequence[Effort]", remaining: "Mapping[Group, int]", found: "Forecast"
) -> dict[str, Any]:
    """The same for programs."""
    from rsisrefiner_jax.forecast.estimate import groups

    return {
        "finished": [group._asdict() | took for group, took in groups(done).items()],
        "left": [group._asdict() | {"objects": n} for group, n in remaining.items()],
        "remaining": found.remaining,
        "clicks": found.clicks._asdict(),
        "hours": found.hours._asdict(),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("forecast"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the annotator's folder")
    rest = parser.add_mutually_exclusive_group(required=True)
    rest.add_argument("--remaining", type=int, metavar="N", help="so many objects are left")
    rest.add_argument(
        "--layer",
        type=Path,
        metavar="FILE",
        help="all objects, done or not: GeoPackage, GeoJSON, Shapefile or FlatGeobuf",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write it there, too")
    return parser


if __name__ == "__main__":
    run_main(main)
