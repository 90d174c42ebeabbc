"""How long a training takes where there is no accelerator."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from rsisrefiner_jax.config import Config

LONG = 24 * 3600  # seconds; a shorter training needs no warning
EFFICIENCY = 0.3  # of a training step beside one large matrix product
BACKWARD = 3  # what a pass with a gradient takes, in passes without


def cpu_warning(config: Config, parameters: int, done: int = 0) -> str | None:
    """What is said where a long training has nothing but the CPU; None: it has, or is short.

    parameters: of the whole network. done: steps.
    """
    steps = config.train.last_step - done
    if jax.default_backend() != "cpu" or steps <= 0:
        return None
    rate = EFFICIENCY * matmul_rate() * jax.process_count()
    seconds = steps * step_operations(config, parameters) / rate
    if seconds < LONG:
        return None
    return (
        f"note: there is no accelerator, so this trains on the CPU: some "
        f"{seconds / 86400:,.0f} days for {steps:,} steps by a short measurement; install "
        "rsisrefiner-jax[cuda] or [tpu] where the device is"
    )


def step_operations(config: Config, parameters: int) -> float:
    """Floating-point operations of an average training step, to within a factor of two.

    Each parameter is multiplied and added once for each patch of the picture.
    """
    patches = (config.model.image_size // config.model.patch_size) ** 2
    return passes_of_step(config) * 2 * parameters * patches


def passes_of_step(config: Config) -> float:
    """How long an average training step takes, in forward passes of one target."""
    weights = np.asarray(config.clicks.iterations)
    iterations = float((np.arange(1, len(weights) + 1) * weights).sum() / weights.sum())
    every = config.clicks.gradient == "every"
    passes = iterations * BACKWARD if every else iterations - 1 + BACKWARD
    return passes * config.train.batch_size * config.data.targets


def matmul_rate(side: int = 512) -> float:
    """Operations a second of a product of two square float32 matrices."""
    multiply = jax.jit(lambda a: a @ a)
    a = jnp.ones((side, side))
    multiply(a).block_until_ready()
    started = time.perf_counter()
    multiply(a).block_until_ready()
    return 2 * side**3 / (time.perf_counter() - started)
