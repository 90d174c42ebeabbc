"""A run's newest weights as a checkpoint of their own: no optimizer state, no data position.

Updates that LoRA has learned are merged into the weights, which are then plain ones.

python -m rsisrefiner_jax.checkpoint.export runs/annotator rsisrefiner_jax/annotate/model
"""

import argparse
import dataclasses

from rsisrefiner_jax.errors import run_main


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; see `--help`. Raises UserError: no checkpoint, or DEST in use."""
    parser = argparse.ArgumentParser(
        prog="python -m rsisrefiner_jax.checkpoint.export",
        description="Copies the newest weights of a run, and its configuration, into a checkpoint "
        "of their own, which is a third of the size.",
    )
    parser.add_argument("source", metavar="RUN", help="a run's directory, or a checkpoint")
    parser.add_argument("destination", metavar="DEST", help="a new or empty directory")
    options = parser.parse_args(arguments)

    from rsisrefiner_jax.checkpoint.runs import load_weights, save_weights
    from rsisrefiner_jax.models.lora import merge_lora

    found = load_weights(options.source)
    params = merge_lora(found.config.model, found.params)
    plain = dataclasses.replace(found.config.model, lora_rank=0)
    config = dataclasses.replace(found.config, model=plain)
    meta = found.meta | {"step": found.step}
    save_weights(options.destination, config, params, found.batch_stats, meta)
    print(f"{options.destination}: the weights of step {found.step}")


if __name__ == "__main__":
    run_main(main)
