"""The networks that a configuration can name, and their first weights."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from rsisrefiner_jax.config import Model
from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.interaction.clicks import empty
from rsisrefiner_jax.models.lora import NAME, init_lora
from rsisrefiner_jax.models.mfp import Mfp
from rsisrefiner_jax.models.refiner.image_only import ImageOnlyRefiner
from rsisrefiner_jax.models.refiner.network import Refiner
from rsisrefiner_jax.models.sam.network import Sam
from rsisrefiner_jax.models.simpleclick import SimpleClick
from rsisrefiner_jax.ops.precision import widest_float

KEPT = 2  # networks whose first weights are not compiled anew
NETWORKS: dict[str, Any] = {"sam": Sam, "mfp": Mfp, "simpleclick": SimpleClick}


def make_model(config: Model, axis_name: str | None = None) -> ClickModel:
    """The network of a configuration.

    axis_name: of the devices over which BatchNorm takes its statistics in training.
    """
    refiner = ImageOnlyRefiner if config.backbone == "tiny_vit" else Refiner
    return NETWORKS.get(config.network, refiner)(config, axis_name)


def init_variables(config: Model, key: jax.Array) -> dict[str, Any]:
    """Random parameters and fresh BatchNorm statistics: {"params": ..., "batch_stats": ...}.

    float32; float64 under `jax_enable_x64`, where training computes in it.
    """
    return _initial(make_model(config), config)(key)


@functools.lru_cache(KEPT)
def _initial(model: ClickModel, config: Model) -> Any:
    """`init_variables` as a function of the key, compiled once."""
    side = config.image_size

    def init(key: jax.Array) -> dict[str, Any]:
        image, prev_mask = jnp.zeros((1, side, side, 3)), jnp.zeros((1, side, side))
        variables = model.init(key, image, prev_mask, empty(1, 1), first=False)
        params = dict(variables["params"])
        if config.lora_rank:
            params[NAME] = init_lora(config, params["backbone"], key)
        drawn = {"params": params, "batch_stats": variables.get("batch_stats", {})}
        return jax.tree.map(lambda x: x.astype(widest_float()), drawn)

    return jax.jit(init)


def abstract_variables(config: Model) -> dict[str, Any]:
    """Shapes and dtypes of `init_variables`, without computing anything."""
    return jax.eval_shape(lambda: init_variables(config, jax.random.key(0)))
