"""Makes a data set ready: official archives or folders -> records that are quick to read.

    python -m rsisrefiner_jax.data.prepare NAME --from DIR [--to DIR]

A run that was stopped, by whatever means, goes on where it was when it is started again.
"""

import argparse
import os
from concurrent.futures import BrokenExecutor
from typing import Any

from rsisrefiner_jax.console import program
from rsisrefiner_jax.errors import UserError, require, run_main

NAMES = (
    "isaid, loveda_urban, nwpu, potsdam, sandbar, whu_building; or, of your own data, coco, "
    "instances, classes, geo, yolo, synthetic: then --from takes what the data SPEC takes after "
    "its colon, such as IMAGES_DIR,ANNOTATIONS.json"
)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; see `--help`. Raises UserError as `preparation.prepare` does."""
    options = _parser().parse_args(arguments)
    require(options.processes >= 1, f"--processes {options.processes}: must be 1 or more")
    require(
        options.limit is None or options.limit >= 1,
        f"--limit {options.limit}: must be 1 or more",
    )
    from rsisrefiner_jax.data.builders.preparation import prepare
    from rsisrefiner_jax.data.stretch import Recipe

    try:
        about = prepare(
            options.name,
            options.source,
            options.to,
            called=options.called,
            processes=options.processes,
            classes=tuple(filter(None, options.classes.split(","))),
            recipe=Recipe(tuple(options.bands), tuple(options.stretch), options.stretch_8bit),
            limit=options.limit,
        )
    except BrokenExecutor as error:
        raise UserError(
            "something killed a process at work, most likely for want of memory; start again "
            "with fewer --processes: the work goes on where it was"
        ) from error
    except OSError as error:
        raise UserError(
            f"prepare {options.name}: {error}; start again when it is mended"
        ) from error
    print(_report(about, options.to))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("prepare"),
        description="Makes a data set ready, to be named in data.train, data.eval and --data. "
        "A run that was stopped goes on where it was when it is started again.",
    )
    add = parser.add_argument
    add("name", metavar="NAME", help=NAMES)
    add(
        "--from",
        dest="source",
        required=True,
        metavar="DIR",
        help="the official archives (zip) or folders as downloaded; nothing is written there",
    )
    add(
        "--to",
        metavar="DIR",
        help="where prepared data sets are kept: $RSISREFINER_DATA, else "
        "~/.local/share/rsisrefiner_jax/data",
    )
    add("--name", dest="called", metavar="OTHER", help="what to call it")
    add(
        "--processes",
        type=int,
        default=min(os.cpu_count() or 1, 4),
        metavar="N",
        help="how many pictures are at work at a time (%(default)s)",
    )
    add(
        "--classes",
        default="",
        metavar="A,B",
        help="the classes whose regions become objects (potsdam: all; loveda_urban: building)",
    )
    own = parser.add_argument_group("how pictures of your own become RGB, as data.bands and so on")
    own.add_argument("--bands", type=int, nargs="+", default=[], metavar="BAND")
    own.add_argument("--stretch", type=float, nargs=2, default=[2.0, 98.0], metavar=("LOW", "HIGH"))
    own.add_argument("--stretch-8bit", action="store_true")
    add("--limit", type=int, metavar="N", help="only the first N source pictures of each split")
    return parser


def _report(about: dict[str, Any], to: str | None) -> str:
    """What a person wants to know of a data set that is ready."""
    lines = []
    for split, entry in about["splits"].items():
        counts = f"{entry['scenes']} scenes, {entry['objects']} objects"
        classes = [f"{name or 'no class'} {n}" for name, n in entry["classes"].items()]
        lines += [f"{split}: {counts}, {entry['object_hash']}", f"    {', '.join(classes)}"]
    lines += filter(None, [about["note"], about["paper"], *about["left_out_before"]])
    if about["left_out"]:
        lines.append(
            f"{len(about['left_out'])} of {about['pictures']} source pictures were left out; "
            "about.json says which and why."
        )
    where = f" with RSISREFINER_DATA={to}" if to else ""
    lines.append(f"Licence: {about['licence']}")
    lines.append(f"Ready: name it {about['name']!r}{where}.")
    return "\n".join(lines)


if __name__ == "__main__":
    run_main(main)
