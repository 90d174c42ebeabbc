"""A checkpoint as a function from clicks to logits."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rsisrefiner_jax.checkpoint import load_weights
from rsisrefiner_jax.clicks import Clicks
from rsisrefiner_jax.config import Config, Model, apply_overrides
from rsisrefiner_jax.models.refiner import abstract_variables, apply
from rsisrefiner_jax.parameters import parameter_counts
from rsisrefiner_jax.weights import check_same


@dataclasses.dataclass
class LoadedModel:
    """A network ready to predict."""

    config: Config
    variables: dict[str, Any]  # on the device
    parameters: dict[str, int]
    step: int

    def predict(self, x: np.ndarray, yx: np.ndarray, label: np.ndarray, double: bool) -> np.ndarray:
        """Logits float32 [b, s, s] of one object (b = 2: the picture and its mirror image).

        x float32 [b, s, s, 4]: picture / 255 and previous probabilities. yx float32 [b, k, 2]
        and label int32 [b, k]: clicks in order, 1 positive, 0 negative, -1 unused. double: the
        previous probabilities are all zero, so that two passes are due.
        """
        double = double and self.config.model.first_pass == "double"
        clicks = Clicks(jnp.asarray(yx, jnp.float32), jnp.asarray(label, jnp.int32))
        out = forward(
            self.config.model, double, self.variables, jnp.asarray(x, jnp.float32), clicks
        )
        return np.asarray(out)


@partial(jax.jit, static_argnums=(0, 1))
def forward(config: Model, double: bool, variables: dict[str, Any], x, clicks: Clicks):
    """`apply` on the rows of one object."""
    return apply(config, variables, x[..., :3], x[..., 3], clicks, double=double, group=x.shape[0])


def load_model(directory: str | Path, overrides: Sequence[str] = ()) -> LoadedModel:
    """Loads a checkpoint with its own configuration, changed by `a.b=value` overrides.

    Raises:
        UserError: no checkpoint there, or an override that does not fit.
    """
    weights = load_weights(directory)
    config = apply_overrides(weights.config, overrides)
    if config.model != weights.config.model:
        expected = abstract_variables(config.model)["params"]
        check_same(weights.params, expected, f"{directory} with {' '.join(overrides)}")
    unused = int(weights.meta.get("unused", 0))
    return LoadedModel(
        config=config,
        variables=jax.device_put({"params": weights.params, "batch_stats": weights.batch_stats}),
        parameters=parameter_counts(config.model, weights.params, unused),
        step=weights.step,
    )
