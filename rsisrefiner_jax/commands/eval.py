"""Evaluates a checkpoint, or any other model, by simulated clicks.

    python eval.py --checkpoint runs/base --data synthetic:val --out runs/base/eval
    python eval.py --predictor examples.predictors.onnx_sam:factory \\
        --options encoder=encoder.onnx decoder=sam.onnx --data synthetic:val --out runs/sam

Writes results.json, objects.jsonl, table.md, miou.png and report.html with its numbers in
report.json into --out. Run again with the same settings, it goes on where it stopped.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rsisrefiner_jax.cluster import joining
from rsisrefiner_jax.config import Config, apply_overrides
from rsisrefiner_jax.console import add_overrides
from rsisrefiner_jax.errors import require, run_main
from rsisrefiner_jax.protocol import PRESETS, Protocol, preset

if TYPE_CHECKING:
    from rsisrefiner_jax.evaluated import Checkpoint, External


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--checkpoint", metavar="DIR", help="what to evaluate")
    what.add_argument(
        "--predictor",
        metavar="PACKAGE.MODULE:FACTORY",
        help="instead: a model of another kind (docs/other-models.md)",
    )
    parser.add_argument(
        "--options",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="arguments of the factory, given as text",
    )
    parser.add_argument("--data", nargs="+", metavar="SPEC", help="default: data.eval")
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        help=f"one of {', '.join(PRESETS)}; default: the checkpoint's own, else paper",
    )
    add_overrides(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR")
    parser.add_argument("--limit", type=int, metavar="N", help="objects of each data set")
    parser.add_argument(
        "--trajectories",
        action="store_true",
        help="best, centre, random and worst clicks and the gap between them (docs/robustness.md)",
    )
    joining.add_flags(parser)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    check(arguments)  # what is wrong is said at once, before anything slow
    if arguments.trajectories:
        run_trajectories(arguments)
    else:
        run(arguments)


def run_trajectories(arguments: argparse.Namespace) -> None:
    """An evaluation for each of the click strategies, and the gap between them."""
    import jax

    from rsisrefiner_jax.evaluation import trajectories

    for strategy, seeds in trajectories.STRATEGIES.items():
        print(f"{strategy} clicks")
        settings = [f"protocol.click_strategy={strategy}", f"eval.seeds={seeds}"]
        own = {"out": arguments.out / strategy, "set": [*arguments.set, *settings]}
        run(argparse.Namespace(**(vars(arguments) | own)))
    if jax.process_index() == 0:
        print(trajectories.write(arguments.out))


def run(arguments: argparse.Namespace) -> None:
    """One evaluation, into --out."""
    from rsisrefiner_jax.experiment import evaluation

    joining.join(arguments)
    subject = load(arguments)
    protocol = subject.config.protocol
    if arguments.protocol:
        protocol = choose_protocol(arguments.protocol, arguments.set)
    setup = evaluation.prepare(subject, protocol, arguments.data, arguments.limit)
    tables = evaluation.run(setup, arguments.out)
    if tables is not None:
        print(tables)
        print(f"Report: {arguments.out / 'report.html'}")


def check(arguments: argparse.Namespace) -> None:
    """Raises UserError: something on the command line cannot be meant."""
    require(
        arguments.checkpoint is None or not arguments.options,
        "--options are arguments of a --predictor's factory; --set changes a checkpoint's fields",
    )
    for item in arguments.set if arguments.predictor else []:
        require(
            item.startswith(("protocol.", "data.", "eval.")),
            f"--set {item}: with --predictor only protocol., data. and eval. fields can be set",
        )
    choose_protocol(arguments.protocol or "paper", arguments.set)
    require(
        arguments.limit is None or arguments.limit > 0,
        f"--limit {arguments.limit}: at least one object is needed",
    )
    require(
        not arguments.out.exists() or arguments.out.is_dir(),
        f"--out {arguments.out}: is a file; name a directory",
    )


def load(arguments: argparse.Namespace) -> "Checkpoint | External":
    """What is evaluated. Raises UserError."""
    from rsisrefiner_jax.evaluated import Checkpoint, External

    if arguments.predictor:
        return External.load(arguments.predictor, arguments.options, arguments.set)
    return Checkpoint.load(arguments.checkpoint, arguments.set)


def choose_protocol(name: str, overrides: Sequence[str]) -> Protocol:
    """The preset `name` with the `protocol.` overrides applied. Raises UserError."""
    return apply_overrides(Config(protocol=preset(name)), overrides).protocol


if __name__ == "__main__":
    run_main(main)
