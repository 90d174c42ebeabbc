"""The names of the commands. `__main__.py` runs them; a new command is a line in `COMMANDS`.

rsisrefiner train --config base       is    python train.py --config configs/base.py
rsisrefiner annotate scene.tif        is    python -m rsisrefiner_jax.annotate scene.tif
"""

import argparse
import dataclasses
import sys

CONSOLE = "rsisrefiner"


@dataclasses.dataclass(frozen=True)
class Command:
    """A command line of the project."""

    module: str  # its `main()` reads sys.argv and raises UserError
    help: str
    script: str | None = None  # in the top folder, where it is called so

    @property
    def program(self) -> str:
        """How it is called from a copy of the sources."""
        return f"python {self.script or f'-m {self.module}'}"


COMMANDS = {
    "train": Command("rsisrefiner_jax.commands.train", "train a network", "train.py"),
    "eval": Command("rsisrefiner_jax.commands.eval", "evaluate it by simulated clicks", "eval.py"),
    "annotate": Command("rsisrefiner_jax.annotate", "click objects on rasters, in the browser"),
    "finetune": Command(
        "rsisrefiner_jax.finetune", "train the annotator's network further on finished objects"
    ),
    "forecast": Command("rsisrefiner_jax.forecast", "clicks and hours for the rest of a layer"),
    "refine": Command("rsisrefiner_jax.refine", "outline a whole layer of prompts on rasters"),
    "convert": Command("convert_weights", "read weights of other projects (.pth, .safetensors)"),
    "prepare": Command("rsisrefiner_jax.data.prepare", "make an official data set ready"),
    "doctor": Command("rsisrefiner_jax.data.doctor", "examine a data set and repair it"),
    "show": Command("rsisrefiner_jax.data.show", "draw what a data set holds"),
    "tables": Command("rsisrefiner_jax.tables", "train and evaluate rows of the paper's tables"),
    "report": Command("rsisrefiner_jax.evaluation.report", "put evaluations side by side"),
    "compare": Command("rsisrefiner_jax.evaluation.compare", "say in what two evaluations differ"),
    "trajectories": Command(
        "rsisrefiner_jax.evaluation.trajectories", "compare the best and the worst clicks"
    ),
    "export": Command("rsisrefiner_jax.export", "write a network as files that jax alone runs"),
    "export-checkpoint": Command(
        "rsisrefiner_jax.checkpoint.export", "keep a run's newest weights without its optimizer"
    ),
    "export-project": Command(
        "rsisrefiner_jax.annotate.export", "write an annotator's project as a data set"
    ),
}


def add_overrides(parser: argparse._ActionsContainer, help: str | None = None) -> None:
    """Adds --set FIELD=VALUE ..., for `config.load`, to a command line; it may be given again."""
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help=help
    )


def program(name: str) -> str:
    """How the command `name` is called where this process was: in its usage and in next steps."""
    by_console = sys.argv[0].startswith(f"{CONSOLE} ")  # as `__main__.py` leaves it
    return f"{CONSOLE} {name}" if by_console else COMMANDS[name].program
