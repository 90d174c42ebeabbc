"""Early fusion of ViT features, and their fusion with the convolutional ones (equations 1 to 3)."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jax.nn.initializers import ones
from jaxtyping import Float

from rsisrefiner_jax.models.layers import Attention, BatchNorm, Up2, gelu


def early_fusion(
    first: Float[Array, "b n e"],
    second: Float[Array, "b n e"],
    kind: str,
    gate: Callable[[Array], Array],
) -> Float[Array, "b n e"]:
    """F_early from two early ViT blocks (equation 1 for `gated`; Table VIII).

    gated: w = sigmoid(W [first, second] + b); F_early = w * first + (1 - w) * second.
    fixed: their mean. first, second: that one alone. gate: the linear layer [b, n, 2e] -> e.
    """
    # The gate runs in every variant, so that one checkpoint serves all of them.
    weight = nn.sigmoid(gate(jnp.concatenate([first, second], -1)))
    if kind == "fixed":
        return 0.5 * (first + second)
    if kind == "first":
        return first
    if kind == "second":
        return second
    return weight * first + (1 - weight) * second


class ImageProjections(NamedTuple):
    """What the fusion reads of F_IFE. It depends on the picture alone."""

    extracted: Float[Array, "b n e"]  # F_IFE
    key: Float[Array, "b n e"]  # of the first attention
    value: Float[Array, "b n e"]  # of the first attention
    query: Float[Array, "b n e"]  # of the second attention


class ImageFeatureFusion(nn.Module):
    """F_early and the projections of F_IFE -> F_HQ, a map of four times the side of their grid.

    F_early' = LN(F_early + theta * CA(F_early, F_IFE))   (equation 2)
    F_IFE'   = LN(F_IFE + CA(F_IFE, F_early'))            (equation 3)
    then two transposed convolutions. theta: one learnable value per channel, or a constant
    (Table VII).
    """

    width: int  # e
    heads: int
    theta: str | float
    axis_name: str | None = None
    dtype: Dtype | None = None

    def setup(self) -> None:
        d, width = self.dtype, self.width
        self.learned_theta = self.param("theta", ones, (width,))
        self.early_attends = Attention(width, self.heads, d)
        self.norm_1 = nn.LayerNorm(1e-5, use_fast_variance=False, dtype=d)
        self.extractor_attends = Attention(width, self.heads, d)
        self.norm_2 = nn.LayerNorm(1e-5, use_fast_variance=False, dtype=d)
        self.up_1 = Up2(width // 2, d)
        self.up_norm_1 = BatchNorm(self.axis_name, d)
        self.up_2 = Up2(width // 4, d)
        self.up_norm_2 = BatchNorm(self.axis_name, d)

    def project(self, extracted: Float[Array, "b s s e"]) -> ImageProjections:
        """F_IFE -> what `__call__` reads of it."""
        x = extracted.reshape(extracted.shape[0], -1, self.width)
        return ImageProjections(
            extracted=x,
            key=self.early_attends.project(x, "key"),
            value=self.early_attends.project(x, "value"),
            query=self.extractor_attends.project(x, "query"),
        )

    def __call__(
        self, early: Float[Array, "b n e"], image: ImageProjections, train: bool
    ) -> Float[Array, "b side side e/4"]:
        theta = self.learned_theta.astype(early.dtype)
        if not isinstance(self.theta, str):  # else it is learned
            theta = jnp.full_like(theta, self.theta)
        query = self.early_attends.project(early, "query")
        y = self.early_attends.attend(query, image.key, image.value)
        early = self.norm_1(early + theta * y)
        self.sow("intermediates", "F_early_updated", early)
        key = self.extractor_attends.project(early, "key")
        value = self.extractor_attends.project(early, "value")
        x = self.norm_2(image.extracted + self.extractor_attends.attend(image.query, key, value))
        self.sow("intermediates", "F_IFE_updated", x)
        b, n, width = x.shape
        side = round(n**0.5)
        x = self.up_1(x.reshape(b, side, side, width))
        x = gelu(self.up_norm_1(x, train))
        x = self.up_2(x)
        return gelu(self.up_norm_2(x, train))
