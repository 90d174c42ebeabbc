"""All objects of an annotator's project as one data set to train on.

    python -m rsisrefiner_jax.annotate.export scene.annotations --to DIR

writes DIR/instances.json (COCO) and prints the data SPEC that opens it, project:DIR. While no
annotator is at work on it, project:PROJECT opens the project itself.
"""

import argparse
from pathlib import Path

from rsisrefiner_jax.console import program
from rsisrefiner_jax.errors import run_main


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    from rsisrefiner_jax.annotate.export.whole_project import export_project

    print(export_project(options.project, options.to or options.project / "export"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("export-project"),
        description="Write all objects of an annotator's project as one data set (COCO) and print "
        "the SPEC that opens it: train.py --data SPEC.",
    )
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the annotator's folder")
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="where to write (default: PROJECT/export)"
    )
    return parser


if __name__ == "__main__":
    run_main(main)
