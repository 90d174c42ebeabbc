"""python -m rsisrefiner_jax.data.doctor SPEC [--against SPEC] [--fix DIR] [--sheet FILE.png]."""

import argparse
from collections.abc import Sequence

from rsisrefiner_jax.config import Config, apply_overrides
from rsisrefiner_jax.console import add_overrides, program
from rsisrefiner_jax.errors import require, run_main

_EPILOG = """
Exit code: 0 the set can be used (defects in it are named), 2 it cannot; with --strict 2 also when
there is any defect.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog=program("doctor"),
        description="Examines every file of a data set, names the known traps it finds, and counts "
        "what training and evaluation get of it.",
        epilog=_EPILOG,
    )
    parser.add_argument("spec", help="data SPEC, as coco:IMAGES_DIR,ANNOTATIONS.json")
    parser.add_argument("--against", metavar="SPEC", help="another split, to compare with")
    parser.add_argument("--fix", metavar="DIR", help="write a repaired copy into a new folder")
    parser.add_argument("--sheet", metavar="FILE.png", help="draw random objects with outlines")
    parser.add_argument("--seed", type=int, default=0, help="which objects --sheet draws")
    add_overrides(parser, "how files become RGB, as data.bands=[3,2,1]")
    parser.add_argument("--strict", action="store_true", help="exit with 2 on any defect")
    args = parser.parse_args(arguments)
    require(
        args.sheet is None or args.sheet.lower().endswith(".png"),
        f"--sheet {args.sheet}: the sheet is a PNG; end in .png",
    )
    require(args.seed >= 0, f"--seed {args.seed} must not be negative")

    data = apply_overrides(Config(), args.set).data

    from rsisrefiner_jax.data.doctor.examine import examine
    from rsisrefiner_jax.data.stretch import Recipe

    recipe = Recipe.of(data)
    examine(args.spec, recipe, args.against, args.fix, args.sheet, args.seed, args.strict)


if __name__ == "__main__":
    run_main(main)
