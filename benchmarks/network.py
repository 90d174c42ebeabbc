"""The network that is timed: a checkpoint's, or a configuration's with random weights."""

import argparse

import jax
import jax.numpy as jnp

from rsisrefiner_jax import parallel
from rsisrefiner_jax.checkpoint.loading import LoadedModel, load_model
from rsisrefiner_jax.config import load
from rsisrefiner_jax.interaction.clicks import empty
from rsisrefiner_jax.interaction.loop import Loop, ModelInput
from rsisrefiner_jax.models.registry import init_variables


def timed_model(args: argparse.Namespace) -> LoadedModel:
    """The model that `measure.arguments` name. Raises UserError."""
    parallel.keep_compiled_programs()
    if args.checkpoint:
        return load_model(args.checkpoint, args.set)
    config = load(args.config, args.set)
    variables = init_variables(config.model, jax.random.key(0))
    return LoadedModel(config, variables, {}, 0)


def pass_input(loop: Loop, batch: int) -> tuple[jax.Array, ModelInput]:
    """Pictures [b, f, s, s, 3] and what else a pass takes: random, with three clicks."""
    s, f = loop.model.image_size, loop.copies
    keys = jax.random.split(jax.random.key(1), 3)
    image = jax.random.uniform(keys[0], (batch, f, s, s, 3))
    clicks = empty(batch * f, loop.protocol.max_clicks)
    yx = jax.random.uniform(keys[1], (batch * f, 3, 2), maxval=s - 1)
    clicks = clicks._replace(
        yx=clicks.yx.at[:, :3].set(yx),
        label=clicks.label.at[:, :3].set(jnp.array([1, 0, 1])),
    )
    clicks = jax.tree.map(lambda x: x.reshape(batch, f, *x.shape[1:]), clicks)
    return image, ModelInput(jax.random.uniform(keys[2], (batch, f, s, s)), clicks)
