"""Early fusion of ViT features, and their fusion with the convolutional ones (equations 1 to 3)."""

import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import ones

from rsisrefiner_jax.models.layers import Attention, BatchNorm, Up2, gelu, layer_norm, linear


def early_fusion(first, second, kind: str, dtype=None):
    """F_early from two early ViT blocks, [b, n, e] each (equation 1 for `gated`; Table VIII).

    gated: w = sigmoid(W [first, second] + b); F_early = w * first + (1 - w) * second.
    fixed: their mean. first, second: that one alone.
    """
    # The gate exists in every variant, so that one checkpoint serves all of them.
    both = jnp.concatenate([first, second], -1)
    gate = nn.sigmoid(linear(both, first.shape[-1], name="gate", dtype=dtype))
    if kind == "fixed":
        return 0.5 * (first + second)
    if kind == "first":
        return first
    if kind == "second":
        return second
    return gate * first + (1 - gate) * second


class ImageFeatureFusion(nn.Module):
    """F_early [b, n, e] and F_IFE [b, s, s, e] -> F_HQ [b, 4s, 4s, e/4].

    F_early' = LN(F_early + theta * CA(F_early, F_IFE))   (equation 2)
    F_IFE'   = LN(F_IFE + CA(F_IFE, F_early'))            (equation 3)
    then two transposed convolutions. theta: one learnable value per channel, or a constant
    (Table VII).
    """

    heads: int
    theta: str | float
    axis_name: str | None = None
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, early, extracted, train: bool):
        d = self.dtype
        b, side, _, width = extracted.shape
        extracted = extracted.reshape(b, -1, width)
        theta = self.param("theta", ones, (width,)).astype(early.dtype)
        if not isinstance(self.theta, str):  # else it is learned
            theta = jnp.full_like(theta, self.theta)
        y = Attention(self.heads, d, name="early_attends")(early, extracted, extracted)
        early = layer_norm(early + theta[None, None] * y, name="norm_1", dtype=d)
        self.sow("intermediates", "F_early_updated", early)
        y = Attention(self.heads, d, name="extractor_attends")(extracted, early, early)
        x = layer_norm(extracted + y, name="norm_2", dtype=d)
        self.sow("intermediates", "F_IFE_updated", x)
        x = Up2(width // 2, d, name="up_1")(x.reshape(b, side, side, width))
        x = gelu(BatchNorm(self.axis_name, d, name="up_norm_1")(x, train))
        x = Up2(width // 4, d, name="up_2")(x)
        return gelu(BatchNorm(self.axis_name, d, name="up_norm_2")(x, train))
