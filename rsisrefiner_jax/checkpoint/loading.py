"""A network loaded from a checkpoint, ready to predict."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from rsisrefiner_jax.checkpoint.runs import Weights, load_weights
from rsisrefiner_jax.config import Config, apply_overrides
from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.models.lora import merge_lora
from rsisrefiner_jax.models.parameters import parameter_counts
from rsisrefiner_jax.models.registry import abstract_variables, make_model
from rsisrefiner_jax.weights import check_same


@dataclasses.dataclass
class LoadedModel:
    """A network with its weights."""

    config: Config
    variables: dict[str, Any]  # on the device; updates of LoRA are merged into the weights
    parameters: dict[str, int]
    step: int

    @property
    def model(self) -> ClickModel:
        """The function of `variables`."""
        return make_model(self.config.model)


def load_changed(directory: str | Path, overrides: Sequence[str] = ()) -> tuple[Weights, Config]:
    """A checkpoint's weights, and its configuration changed by `a.b=value` overrides.

    Raises:
        UserError: no checkpoint there, or an override that does not fit.
    """
    weights = load_weights(directory)
    config = apply_overrides(weights.config, overrides)
    if config.model != weights.config.model:
        expected = abstract_variables(config.model)["params"]
        check_same(weights.params, expected, f"{directory} with {' '.join(overrides)}")
    return weights, config


def load_model(directory: str | Path, overrides: Sequence[str] = ()) -> LoadedModel:
    """Loads a checkpoint with its own configuration, changed by `a.b=value` overrides.

    Raises:
        UserError: no checkpoint there, or an override that does not fit.
    """
    weights, config = load_changed(directory, overrides)
    unused = int(weights.meta.get("unused", 0))
    params = merge_lora(config.model, weights.params)
    return LoadedModel(
        config=config,
        variables=jax.device_put({"params": params, "batch_stats": weights.batch_stats}),
        parameters=parameter_counts(config.model, weights.params, unused),
        step=weights.step,
    )
