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
    from rsisrefiner_jax.forecast.estimate import forecast, mixed_as, with_others

    require((options.project / NAME).is_file(), f"{options.project}: no project of the annotator")
    done = efforts(read_events(options.project / NAME), options.project)
    if options.layer is None:
        found = forecast(done, {Group(): options.remaining})
        done = with_others(done)
        remaining = mixed_as(done, options.remaining)
    else:
        from rsisrefiner_jax.forecast.remaining import remaining_of

        state, _ = read_state(options.project)
        finished = [one for one in state.objects.values() if not one.deleted]
        remaining = remaining_of(options.layer, list(state.images.values()), finished)
        found = forecast(done, remaining)
    rows = rows_of(done, remaining)
    print(table(rows))
    print(sentence(found))
    if options.json is not None:
        with atomic_file(options.json) as file:
            file.write((json.dumps({"groups": rows} | as_json(found), indent=2) + "\n").encode())


def rows_of(done: "Sequence[Effort]", remaining: "Mapping[Group, int]") -> list[dict[str, Any]]:
    """For each group what it took and what is left of it; None where there is none."""
    from rsisrefiner_jax.forecast.estimate import forecast, groups

    took = groups(done)
    return [
        {
            **group._asdict(),
            "finished": took.get(group),
            "left": as_json(forecast(done, {group: n})) if (n := remaining.get(group, 0)) else None,
        }
        for group in dict.fromkeys([*took, *remaining])
    ]


def as_json(found: "Forecast") -> dict[str, Any]:
    """For programs."""
    clicks, hours = found.clicks._asdict(), found.hours._asdict()
    return {"remaining": found.remaining, "clicks": clicks, "hours": hours}


def table(rows: list[dict[str, Any]]) -> str:
    """For a person, as Markdown."""
    titles = ("class", "size", "finished", "clicks each", "s each", "left", "clicks", "hours")
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    for row in rows:
        took, left = row["finished"], row["left"]
        cells = ["any" if row["category"] is None else row["category"] or "-", row["size"] or "any"]
        cells += (
            [f"{took['objects']}", f"{took['clicks']:.1f}", f"{took['seconds']:.0f}"]
            if took
            else ["-"] * 3
        )
        cells += (
            [f"{left['remaining']:,}", total(left["clicks"], 0), total(left["hours"], 1)]
            if left
            else ["-"] * 3
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def total(interval: dict[str, float], digits: int) -> str:
    """What is expected, and between what."""
    mean, low, high = (f"{interval[name]:,.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def sentence(found: "Forecast") -> str:
    """The whole for a person."""
    clicks, hours = total(found.clicks._asdict(), 0), total(found.hours._asdict(), 1)
    return f"{found.remaining:,} objects left: {clicks} clicks and {hours} hours, 95 % interval"


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
