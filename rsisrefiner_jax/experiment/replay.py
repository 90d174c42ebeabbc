"""A step that was not finite, again: its batch on the last weights that were saved.

    python -m rsisrefiner_jax.experiment.replay runs/base/not_finite/0012345.npz

The run itself, started again, comes to the same step with the very weights of then; this is a
quick look: at other weights or settings (--set model.dtype=float32), on a laptop.
"""

import argparse
from pathlib import Path

from rsisrefiner_jax.console import add_overrides
from rsisrefiner_jax.errors import UserError, require, run_main


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; see `--help`. Raises UserError: no such batch, or no checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("batch", type=Path, help="RUN/not_finite/STEP.npz")
    parser.add_argument("--checkpoint", help="default: the run's")
    add_overrides(parser)
    options = parser.parse_args(arguments)

    import jax
    import numpy as np

    from rsisrefiner_jax import parallel
    from rsisrefiner_jax.checkpoint.loading import load_changed
    from rsisrefiner_jax.models.parameters import as_stored
    from rsisrefiner_jax.training.step import ClickStep, init_state
    from rsisrefiner_jax.weights import split

    name, _, part = options.batch.stem.partition("-")
    require(options.batch.is_file() and name.isdigit(), f"{options.batch}: no batch of a step")
    paths = sorted(options.batch.parent.glob(f"{name}-*.npz")) if part else [options.batch]
    parts = []
    for path in paths:  # one a process
        with np.load(path) as file:
            parts.append(dict(file))
    batch = {key: np.concatenate([one[key] for one in parts]) for key in parts[0]}
    run = options.batch.absolute().parents[1]
    weights, config = load_changed(options.checkpoint or run, options.set)
    if config.model.image_size != batch["image"].shape[1]:
        raise UserError(f"{options.batch}: pictures of {batch['image'].shape[1]} pixels a side")
    devices = parallel.DataParallel("shard_map", len(batch["image"]), jax.local_devices()[:1])
    frozen, trainable = split(weights.params, config.model.frozen)
    state = devices.replicate(init_state(config, trainable, weights.batch_stats))
    frozen = devices.replicate(as_stored(config.model, frozen))
    step = int(name)
    metrics = ClickStep(config, devices)(state, frozen, devices.shard(batch), step - 1)[1]
    values = {key: float(value) for key, value in metrics.items()}
    finite = "finite" if values["finite"] == 1 else "not finite"
    print(
        f"step {step} on the weights of step {weights.step}: loss {values['loss']:g}, "
        f"gradient norm {values['grad_norm']:g}, {finite}"
    )


if __name__ == "__main__":
    run_main(main)
