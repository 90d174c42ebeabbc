"""The network in one call, as training calls it: what its two parts together must equal."""

from functools import partial

import jax

from rsisrefiner_jax.config import Model
from rsisrefiner_jax.interaction.clicks import Clicks
from rsisrefiner_jax.models.registry import make_model


@partial(jax.jit, static_argnums=(0, 1))
def forward(config: Model, first: bool, variables, x, clicks: Clicks):
    """Logits [b, s, s] of x [b, s, s, 4] (picture in 0..1, previous mask), rows of one object."""
    inputs = (x[..., :3], x[..., 3], clicks)
    return make_model(config).apply(variables, *inputs, first=first, group=len(x))
