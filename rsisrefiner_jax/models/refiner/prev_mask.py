"""Previous-Mask Processing Module (paper section III-A, figure 3)."""

from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jaxtyping import Float

from rsisrefiner_jax.models.layers import BatchNorm, conv, conv_relu


class PrevMaskEncoder(nn.Module):
    """The network's second input -> F_mask."""

    channels: tuple[int, int, int, int]
    width: int
    axis_name: str | None = None
    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self, aux: Float[Array, "b s s 4"], train: bool
    ) -> Float[Array, "b s/16 s/16 {self.width}"]:
        x = aux
        for i, features in enumerate(self.channels):
            x = conv_relu(x, features, 3, stride=2, name=f"conv_{i}", dtype=self.dtype)
        return XceptionConv(self.width, self.axis_name, self.dtype, name="xception")(x, train)


class XceptionConv(nn.Module):
    """Depthwise 3x3, BN, depthwise 3x3, pointwise, BN, ReLU."""

    features: int
    axis_name: str | None = None
    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], train: bool
    ) -> Float[Array, "b h w {self.features}"]:
        d, c = self.dtype, x.shape[-1]
        x = conv(x, c, 3, depthwise=True, name="depthwise_1", dtype=d)
        x = BatchNorm(self.axis_name, d, name="norm_1")(x, train)
        x = conv(x, c, 3, depthwise=True, name="depthwise_2", dtype=d)
        x = conv(x, self.features, 1, name="pointwise", dtype=d)
        return nn.relu(BatchNorm(self.axis_name, d, name="norm_2")(x, train))
