"""SAM's prompt encoder: clicks as tokens, a previous mask as a map (Kirillov et al., 2023)."""

import math

import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Bool, Float

from rsisrefiner_jax.interaction.clicks import Clicks
from rsisrefiner_jax.models.layers import gelu, layer_norm


class PromptEncoder(nn.Module):
    """Clicks and previous mask in the terms of the image embedding, of `width` channels."""

    width: int = 256
    dtype: Dtype | None = None

    def setup(self) -> None:
        self.frequencies = self.param("frequencies", normal(1.0), (2, self.width // 2))
        shape = (self.width,)
        self.unused = self.param("unused", normal(0.02), shape)  # "not a point"
        self.negative = self.param("negative", normal(0.02), shape)
        self.positive = self.param("positive", normal(0.02), shape)
        self.no_mask = self.param("no_mask", normal(0.02), shape)
        self.mask_encoder = MaskEncoder(self.width, self.dtype)

    def positions(self, xy: Float[Array, "*n 2"]) -> Float[Array, "*n {self.width}"]:
        """Sines and cosines of random frequencies at places in 0..1."""
        angle = 2 * math.pi * ((2 * xy - 1) @ self.frequencies)
        return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1)

    def grid(self, side: int) -> Float[Array, "1 {side} {side} {self.width}"]:
        """The positions of a map's cells."""
        at = (jnp.arange(side) + 0.5) / side
        x, y = jnp.meshgrid(at, at)
        return self.positions(jnp.stack([x, y], -1))[None]

    def clicks(
        self, clicks: Clicks, side: int
    ) -> tuple[Float[Array, "b t {self.width}"], Bool[Array, "b t"]]:
        """t tokens, one a slot and one for no point, and which of them are to be heeded.

        SAM expects the last one where there is no box. side: of the picture, in pixels.
        """
        label = jnp.pad(clicks.label, ((0, 0), (0, 1)), constant_values=-1)
        code = self.positions((clicks.yx[..., ::-1] + 0.5) / side)
        kind = jnp.where(clicks.label[..., None] == 1, self.positive, self.negative)
        tokens = jnp.pad(code + kind, ((0, 0), (0, 1), (0, 0)))
        tokens = jnp.where(label[..., None] < 0, self.unused, tokens)
        return tokens, (label >= 0).at[:, -1].set(True)

    def mask(
        self, logits: Float[Array, "b m m"], given: Float[Array, " b"]
    ) -> Float[Array, "b m/4 m/4 {self.width}"]:
        """What is added to the image embedding. given: 1 where there is a previous mask, else 0."""
        given = given[:, None, None, None]
        return given * self.mask_encoder(logits[..., None]) + (1 - given) * self.no_mask


class MaskEncoder(nn.Module):
    """Mask logits at a quarter of their side."""

    width: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b m m 1"]) -> Float[Array, "b m/4 m/4 {self.width}"]:
        for i, features in enumerate((4, 16)):
            x = nn.Conv(features, (2, 2), 2, "VALID", dtype=self.dtype, name=f"conv_{i}")(x)
            x = gelu(layer_norm(x, name=f"norm_{i}", epsilon=1e-6, dtype=self.dtype))
        return nn.Conv(self.width, (1, 1), dtype=self.dtype, name="conv_2")(x)
