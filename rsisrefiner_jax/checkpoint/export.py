"""A run's newest weights as a checkpoint of their own: no optimizer state, no data position.

    python -m rsisrefiner_jax.checkpoint.export runs/annotator DEST

Updates that LoRA has learned are merged into the weights, which are then plain ones. about.json
beside them says what they were trained on, with hashes and licences.
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from rsisrefiner_jax.atomic import atomic_file
from rsisrefiner_jax.console import add_overrides, program
from rsisrefiner_jax.errors import run_main

if TYPE_CHECKING:
    from rsisrefiner_jax.checkpoint.runs import Weights
    from rsisrefiner_jax.config import Config


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; see `--help`. Raises UserError: no checkpoint, or DEST in use."""
    parser = argparse.ArgumentParser(
        prog=program("export-checkpoint"),
        description="Copies the newest weights of a run, and its configuration, into a checkpoint "
        "of their own, which is a third of the size.",
    )
    parser.add_argument("source", metavar="RUN", help="a run's directory, or a checkpoint")
    parser.add_argument("destination", metavar="DEST", help="a new or empty directory")
    add_overrides(
        parser, "change the configuration that is stored: model.image_size=448, data.train=..."
    )
    options = parser.parse_args(arguments)

    from rsisrefiner_jax.checkpoint.about import ABOUT, describe
    from rsisrefiner_jax.checkpoint.loading import load_changed
    from rsisrefiner_jax.checkpoint.runs import require_new_directory

    require_new_directory(options.destination)
    found, config = load_changed(options.source, options.set)
    about = describe(config, found.step, found.meta | {"step": found.step})
    export_weights(found, config, options.destination)
    with atomic_file(Path(options.destination) / ABOUT) as file:
        file.write(json.dumps(about, indent=1).encode())
    print(f"{options.destination}: the weights of step {found.step}")


def export_weights(found: "Weights", config: "Config", destination: str | Path) -> None:
    """Writes weights as a checkpoint of their own, with what LoRA has learned merged into them.

    Raises UserError: the destination is in use.
    """
    from rsisrefiner_jax.checkpoint.runs import save_weights
    from rsisrefiner_jax.models.lora import merge_lora

    params = merge_lora(config.model, found.params)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, lora_rank=0))
    meta = found.meta | {"step": found.step}
    save_weights(destination, config, params, found.batch_stats, meta)


if __name__ == "__main__":
    run_main(main)
