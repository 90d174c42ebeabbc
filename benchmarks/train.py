"""A training step, by the number of click iterations.

    python -m benchmarks.train --config configs/quickstart.py
    python -m benchmarks.train --batch 16 --set model.dtype=bfloat16      # the paper's, on a GPU

The data are random, so that the input pipeline is not timed.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Times, arguments, machine, peak_memory, report, timed
from benchmarks.network import timed_model
from rsisrefiner_jax import parallel
from rsisrefiner_jax.config import Config
from rsisrefiner_jax.errors import run_main
from rsisrefiner_jax.models.flops import flops
from rsisrefiner_jax.training.step import init_state, make_step
from rsisrefiner_jax.weights import split


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--batch", type=int, help="samples over all devices; default: the config's")
    args = parser.parse_args()
    model = timed_model(args)
    config = model.config
    batch = args.batch or config.train.batch_size
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, batch_size=batch))
    about = machine(config.model.dtype) | {"batch": batch}
    limit = about["matmul_gflop_s"] * 1e9 * about["devices"]
    rows = []
    weights = np.asarray(config.clicks.iterations) / sum(config.clicks.iterations)
    for iterations in range(1, len(weights) + 1):
        times, count = step(config, model.variables, batch, iterations, args.repeat)
        rows.append(
            {
                "iterations": iterations,
                "share of steps": float(weights[iterations - 1]),
                "ms": times,
                "samples/s": batch / times.median,
                "GFLOP": round(count / 1e9),
                "of the limit": count / limit / times.median,
                "peak GiB": (peak_memory() or 0) / 2**30 or None,
            }
        )
    mean = sum(row["share of steps"] * row["ms"].median for row in rows)
    rows.append({"iterations": "mean", "ms": mean * 1e3, "samples/s": batch / mean})
    report(f"A training step of {config.name}", about, rows, args.json)


def step(
    config: Config, variables: Any, batch: int, iterations: int, repeat: int
) -> tuple[Times, int]:
    """Its times, and its operations."""
    devices = parallel.DataParallel(config.parallel.backend, batch)
    frozen, trainable = split(variables["params"], config.model.frozen)
    state = devices.replicate(init_state(config, trainable, variables["batch_stats"]))
    frozen = devices.replicate(frozen)
    side = config.model.image_size
    rng = np.random.default_rng(0)
    label = np.zeros((batch, side, side), np.int8)
    label[:, side // 4 : side // 2, side // 4 : side // 2] = 1
    samples = {
        "image": rng.integers(0, 256, (batch, side, side, 3), np.uint8),
        "label": label,
        "first_click": np.full((batch, 2), side // 3, np.float32),
    }
    compiled = devices.compile(make_step(config, iterations == 1))
    sharded = devices.shard(samples)

    def run() -> Any:
        nonlocal state  # the step donates it
        state, metrics, _ = compiled(state, frozen, sharded, jnp.int32(iterations))
        return metrics

    times = timed(run, repeat)
    drafts = config.model.first_pass == "double"
    traced = jax.vmap(
        make_step(config, iterations == 1), (None, None, 0, None), 0, axis_name=parallel.AXIS
    )
    one = jax.tree.map(lambda x: x[None], samples)
    count = flops(traced, state, frozen, one, jnp.int32(iterations), rounds=iterations - 1 + drafts)
    return times, count


if __name__ == "__main__":
    run_main(main)
