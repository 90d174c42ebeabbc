"""A checkpoint as the click loop's network."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from jax import Array

from rsisrefiner_jax.checkpoint import load_weights
from rsisrefiner_jax.clicks import Clicks
from rsisrefiner_jax.config import Config, Model, apply_overrides
from rsisrefiner_jax.models.refiner import ImageFeatures, abstract_variables, apply
from rsisrefiner_jax.parameters import parameter_counts
from rsisrefiner_jax.weights import check_same


@dataclasses.dataclass(frozen=True)
class Network:
    """`Refiner` as `evaluation.click_loop.Network` asks for it: pure functions of variables.

    variables: {"params", "batch_stats"}. Both parts of a pass are functions of their own, so that
    the picture's share is computed once for all clicks on a crop.
    """

    config: Model

    @property
    def image_size(self) -> int:
        """The side of the square input in pixels."""
        return self.config.image_size

    @property
    def drafts(self) -> bool:
        """Whether an empty previous mask is first drafted (the reference's double pass)."""
        return self.config.first_pass == "double"

    def features(self, variables: dict[str, Any], image: Array) -> ImageFeatures:
        """image float32 [b, s, s, 3] in 0..1 -> what it alone decides."""
        return apply(self.config, variables, image, method="image_features")

    def logits(
        self,
        variables: dict[str, Any],
        features: ImageFeatures,
        prev_mask: Array,
        clicks: Clicks,
        draft: Array,
        group: int,
    ) -> Array:
        """One pass, float32 [b, s, s]. draft bool [b]: the previous mask is not modulated."""
        modulated = apply(self.config, variables, prev_mask, clicks, group=group, method="modulate")
        modulated = jax.numpy.where(draft[:, None, None], prev_mask, modulated)
        return apply(
            self.config,
            variables,
            features,
            prev_mask,
            modulated,
            clicks,
            group=group,
            method="answer",
        )


@dataclasses.dataclass
class LoadedModel:
    """A network ready to predict."""

    config: Config
    variables: dict[str, Any]  # on the device
    parameters: dict[str, int]
    step: int

    @property
    def network(self) -> Network:
        """The function of `variables`."""
        return Network(self.config.model)


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
