"""Trains and evaluates every row of the paper's tables.

    python -m rsisrefiner_jax.tables 3 5 6 7 8 9 --base configs/tables_mobilesam.py \\
        configs/tables_vits.py --out runs/tables --seeds 3

Each table takes the first --base that can have it: 6 to 8 need the refiner on a ViT; 3 and 5 one
on a ViT with --pretrained, or on TinyViT with all of MobileSAM in model.backbone_weights; 9 takes
any. Writes
tableN.json and tableN.md into --out, anew after every seed. Stop or kill it at any moment: the
same command goes on from there. Where there are several devices, each works on a row of its own.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rsisrefiner_jax.console import add_overrides, program
from rsisrefiner_jax.errors import require, run_main

if TYPE_CHECKING:
    from rsisrefiner_jax.config import Config

NUMBERS = (3, 5, 6, 7, 8, 9)


def main(words: list[str] | None = None) -> None:
    """Runs the command line; see `--help`. Raises UserError."""
    arguments = parse_arguments(words)
    bases = read_bases(arguments)

    import jax

    from rsisrefiner_jax.cluster import joining
    from rsisrefiner_jax.experiment.training import make_workdir
    from rsisrefiner_jax.tables.jobs import run_all
    from rsisrefiner_jax.tables.plan import Plan, as_base

    joining.join()
    made = (arguments.out, arguments.seeds, arguments.pretrained)
    plan = Plan(arguments.tables, [as_base(base) for base in bases], *made)
    jobs = plan.pending()
    make_workdir(arguments.out)
    print(f"{len(jobs)} rows to train and evaluate, into {arguments.out}")
    plan.write_finished()
    run_all(jobs, jax.local_devices(), plan.write_finished)
    for number in arguments.tables:
        print((arguments.out / f"table{number}.md").read_text())


def parse_arguments(words: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=program("tables"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "tables", type=int, nargs="+", choices=NUMBERS, metavar="N", help="3, 5, 6, 7, 8 or 9"
    )
    parser.add_argument("--base", nargs="+", required=True, metavar="CONFIG")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR")
    parser.add_argument(
        "--pretrained",
        metavar="DIR",
        help="a converted checkpoint of MFP (of MobileSAM), which tables 3 and 5 fine-tune",
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="trainings of each row")
    parser.add_argument("--data", nargs="+", metavar="SPEC", help="to train on")
    parser.add_argument("--eval-data", nargs="+", metavar="SPEC", help="to evaluate on")
    parser.add_argument("--limit", type=int, metavar="N", help="objects of each data set")
    add_overrides(parser)
    return parser.parse_args(words)


def read_bases(arguments: argparse.Namespace) -> "list[Config]":
    """The base configurations that the command line comes to. Raises UserError."""
    from rsisrefiner_jax import config

    overrides = list(arguments.set)
    if arguments.data:
        overrides.append(f"data.train={arguments.data!r}")
    if arguments.eval_data:
        overrides.append(f"data.eval={arguments.eval_data!r}")
    if arguments.limit is not None:
        overrides.append(f"eval.limit={arguments.limit}")
    require(arguments.seeds >= 1, f"--seeds {arguments.seeds}: at least one is needed")
    bases = [config.load(path, overrides) for path in arguments.base]
    names = [base.name for base in bases]
    require(len(set(names)) == len(names), f"--base: two configurations are called {names[0]}")
    return bases


if __name__ == "__main__":
    run_main(main)
