"""Trains the network that a project of the annotator uses further on its finished objects.

    python -m rsisrefiner_jax.finetune scene.annotations --out runs/scene

A quarter of the objects, which lie apart from the others, is held out; NoC on them before and
after is printed with its interval and written to OUT. Stop or kill it at any moment: the same
command goes on from there. The annotator may be at work on the project; it offers the network
once it is there, and `--checkpoint OUT` opens it everywhere. docs/finetune.md says more.
"""

import argparse
from pathlib import Path

from rsisrefiner_jax.console import add_overrides, program
from rsisrefiner_jax.errors import require, run_main

MINUTES = 10.0


def main(words: list[str] | None = None) -> None:
    """Runs the command line; see `--help`. Raises UserError."""
    options = _parser().parse_args(words)
    require(options.minutes > 0, f"--minutes {options.minutes:g}: must be more than 0")
    require(options.steps is None or options.steps > 0, f"--steps {options.steps}: at least 1")

    from rsisrefiner_jax.finetune import outcome as outcomes
    from rsisrefiner_jax.finetune.offering import offer
    from rsisrefiner_jax.finetune.plan import make_plan
    from rsisrefiner_jax.finetune.run import run
    from rsisrefiner_jax.parallel import keep_compiled_programs

    keep_compiled_programs()
    out, network = options.out, options.checkpoint
    given = (options.project, out, network, options.set, options.minutes, options.steps)
    plan = make_plan(*given)
    found = run(plan, out)
    outcomes.write(found, out)
    print(outcomes.table(found))
    print(outcomes.verdict(found))
    print(f"report: {out / 'report' / 'report.html'}; the network: --checkpoint {out}")
    offered = offer(plan, found, out)
    if offered:
        print(f"the annotator offers it as {offered.parent.name}/{offered.name}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("finetune"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "project",
        type=Path,
        metavar="PROJECT",
        help="the annotator's folder, or one that its export wrote",
    )
    add(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="a new directory; its name is the network's in the annotator",
    )
    add(
        "--checkpoint",
        metavar="DIR",
        help="continue from this network (default: the one in use in the project)",
    )
    add(
        "--minutes",
        type=float,
        default=MINUTES,
        metavar="M",
        help="how long to train, about (default: %(default)g); the evaluations come on top",
    )
    add("--steps", type=int, metavar="N", help="so many training steps instead")
    add_overrides(parser, "change the configuration: optim.lr=1e-4, model.image_size=448")
    return parser


if __name__ == "__main__":
    run_main(main)
