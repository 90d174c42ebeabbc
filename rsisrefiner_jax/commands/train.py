"""Trains RS-ISRefiner: python train.py --config configs/base.py [--workdir DIR] [--set a.b=value].

A run starts in one of three ways: from the newest checkpoint of its work directory, if there is
one (exactly where that was saved); from the weights of any checkpoint that train.init_from names;
from random weights beside a converted backbone.

SIGTERM, SIGUSR1 and SIGHUP finish the step at hand, save it and exit with code 75, Ctrl-C with 130;
the same command goes on from there. A step whose numbers are not finite ends the run with 3;
nothing of it is saved but its batch. docs/training.md has the options, docs/cluster.md Slurm,
Open MPI, Kubernetes and TPU pods.
"""

import argparse
from pathlib import Path

from rsisrefiner_jax import config as config_module
from rsisrefiner_jax.cluster import joining
from rsisrefiner_jax.config import Config
from rsisrefiner_jax.console import add_overrides, program
from rsisrefiner_jax.errors import Stopped, run_main
from rsisrefiner_jax.training.determinism import compute_deterministically


def main() -> None:
    arguments = parse_arguments()
    config = read_config(arguments)
    workdir = Path(arguments.workdir or Path("runs") / config.name)

    if config.train.deterministic:
        compute_deterministically()

    import jax

    from rsisrefiner_jax.cluster.peers import watched
    from rsisrefiner_jax.cluster.stopping import stop_request
    from rsisrefiner_jax.experiment import training

    with stop_request() as request:
        joining.join(arguments)
        with watched(config.parallel.patience) as peers:
            request.tell = peers.tell
            sources = training.open_data(config)
            training.make_workdir(workdir)
            together = training.Together(request, peers)
            done, minutes, finished = training.run(
                config,
                workdir,
                sources,
                together=together,
                accept_changes=arguments.accept_changes,
                profile=arguments.profile,
            )
        joining.part()
    if not finished:
        said = f"step {done} is saved; the same command goes on from there"
        if request.code == 130:
            print(said)
            raise KeyboardInterrupt
        raise Stopped(said)
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
    parser.add_argument(
        "--profile",
        nargs="?",
        type=int,
        const=5,
        default=0,
        metavar="STEPS",
        help="trace so many steps (default: 5) into WORKDIR/profile, for TensorBoard or Perfetto",
    )
    add_overrides(parser)
    parser.add_argument(
        "--accept-changes",
        action="store_true",
        help="go on from a checkpoint of other settings, which is refused otherwise",
    )
    joining.add_flags(parser)
    return parser.parse_args()


def read_config(arguments: argparse.Namespace) -> Config:
    """The configuration that the command line comes to. Raises UserError."""
    overrides = list(arguments.set)
    if arguments.data:
        overrides.append(f"data.train={arguments.data!r}")
    return config_module.load(arguments.config, overrides)


if __name__ == "__main__":
    run_main(main)
