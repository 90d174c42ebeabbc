"""Trains RS-ISRefiner: python train.py --config configs/base.py [--workdir DIR] [--set a.b=value].

A run starts in one of three ways: from the newest checkpoint of its work directory, if there is
one (exactly where that was saved); from the weights of any checkpoint that train.init_from names;
from random weights beside a converted backbone. Ctrl-C saves a checkpoint and leaves.
"""

import argparse
from pathlib import Path

from rsisrefiner_jax import config as config_module
from rsisrefiner_jax.config import Config
from rsisrefiner_jax.console import program
from rsisrefiner_jax.errors import run_main


def main() -> None:
    arguments = parse_arguments()
    config = read_config(arguments)
    workdir = Path(arguments.workdir or Path("runs") / config.name)

    import jax

    from rsisrefiner_jax import parallel
    from rsisrefiner_jax.experiment import training

    sources = training.open_data(config)
    training.make_workdir(workdir)
    parallel.initialize()
    done, minutes = training.run(config, workdir, sources)
    if done < config.train.steps:
        print(f"step {done} is saved; the same command goes on from there")
        raise KeyboardInterrupt
    if jax.process_index() == 0:
        print(f"{done} steps done, {minutes:.1f} minutes in this run; next: ", end="")
        print(f"{program('eval')} --checkpoint {workdir} --out {workdir / 'eval'}")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config", required=True, help="Python file that defines `config`, or one included: base"
    )
    parser.add_argument("--workdir", help="default: runs/<config name>")
    parser.add_argument("--data", nargs="+", metavar="SPEC", help="default: data.train")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE")
    return parser.parse_args()


def read_config(arguments: argparse.Namespace) -> Config:
    """The configuration that the command line comes to. Raises UserError."""
    overrides = list(arguments.set)
    if arguments.data:
        overrides.append(f"data.train={arguments.data!r}")
    return config_module.load(arguments.config, overrides)


if __name__ == "__main__":
    run_main(main)
