"""Evaluations side by side: clicks beside the published numbers, curves, differences, pictures.

    python -m rsisrefiner_jax.evaluation.report runs/a/eval runs/b/eval --out runs/a-b

A, B, ... are directories that eval.py wrote; differences are to the first. Writes report.html,
report.json (every number of it), table.md and miou.png into --out.
"""

import argparse
from pathlib import Path

from rsisrefiner_jax.console import program
from rsisrefiner_jax.errors import UserError, require, run_main
from rsisrefiner_jax.evaluation.runs import names_of, read_run


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; see `--help`. Raises UserError."""
    parser = argparse.ArgumentParser(
        prog=program("report"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", metavar="DIR", nargs="+", type=Path, help="what eval.py wrote")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR")
    parser.add_argument(
        "--published",
        metavar="NAME=PAPER",
        nargs="+",
        action="extend",
        default=[],
        help="a data set of the runs beside which the paper's numbers on one of its own stand, "
        "as in eval100=nwpu (isaid, sandbar, nwpu, loveda_urban, whu_building)",
    )
    options = parser.parse_args(arguments)
    published_as = {}
    for pair in options.published:
        name, equals, paper = pair.partition("=")
        require(bool(equals), f"--published {pair}: expected NAME=PAPER, as in eval100=nwpu")
        published_as[name] = paper
    names = names_of(options.runs)
    runs = dict(zip(names, map(read_run, options.runs), strict=True))

    from rsisrefiner_jax.evaluation.report.write import write_report  # imports jax

    try:
        print(write_report(options.out, runs, published_as))
    except OSError as error:
        raise UserError(
            f"--out {options.out}: cannot be written ({error.strerror}); name another directory"
        ) from error
    print(f"Report: {options.out / 'report.html'}")


if __name__ == "__main__":
    run_main(main)
