"""Image Feature Extractor: convolutional detail beside the ViT (paper section III-C, figure 4)."""

from typing import Any

from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jaxtyping import Float

from rsisrefiner_jax.models.layers import BatchNorm, DeformConv, conv, linear
from rsisrefiner_jax.models.remat import recomputed
from rsisrefiner_jax.ops.pooling import max_pool
from rsisrefiner_jax.ops.resize import halve


class ImageFeatureExtractor(nn.Module):
    """Normalised image -> F_IFE."""

    channels: tuple[int, int, int, int]
    width: int
    axis_name: str | None = None
    dtype: Dtype | None = None
    remat: bool = False

    @nn.compact
    def __call__(
        self, image: Float[Array, "b s s 3"], train: bool
    ) -> Float[Array, "b s/16 s/16 {self.width}"]:
        settings: Any = {"axis_name": self.axis_name, "dtype": self.dtype}
        first, later = (recomputed(part, self.remat, 2) for part in (ResBlock, DeformResBlock))
        x = first(self.channels[0], **settings, name="block_0")(image, train)
        self.sow("intermediates", "ife_block0", x)
        for i, features in enumerate(self.channels[1:], start=1):
            x = later(features, **settings, name=f"block_{i}")(x, train)
            self.sow("intermediates", f"ife_block{i}", x)
        x = nn.relu(conv(x, self.width, 1, name="project", dtype=self.dtype))
        self.sow("intermediates", "F_IFE", x)
        return x


class ResBlock(nn.Module):
    """maxpool(relu(BN(conv3x3(x)))) + shortcut; halves the side."""

    features: int
    axis_name: str | None = None
    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], train: bool
    ) -> Float[Array, "b h/2 w/2 {self.features}"]:
        d = self.dtype
        y = conv(x, self.features, 3, name="conv", dtype=d)
        y = nn.relu(BatchNorm(self.axis_name, d, name="norm")(y, train))
        return max_pool(y) + shortcut(x, self.features, d)


class DeformResBlock(nn.Module):
    """maxpool(SE(relu(BN(deformable conv3x3(x))))) + shortcut; halves the side."""

    features: int
    axis_name: str | None = None
    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], train: bool
    ) -> Float[Array, "b h/2 w/2 {self.features}"]:
        d = self.dtype
        offset = conv(x, 18, 3, name="offset", dtype=d)
        self.sow("intermediates", "offsets", offset)
        y = DeformConv(self.features, d, name="deform")(x, offset)
        y = nn.relu(BatchNorm(self.axis_name, d, name="norm")(y, train))
        y = SqueezeExcite(d, name="se")(y)
        return max_pool(y) + shortcut(x, self.features, d)


class SqueezeExcite(nn.Module):
    """Channel attention: x * sigmoid(W2 relu(W1 mean(x)))."""

    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        channels = x.shape[-1]
        y = x.mean((1, 2))
        y = linear(y, max(channels // 16, 1), bias=False, name="reduce", dtype=self.dtype)
        y = linear(nn.relu(y), channels, bias=False, name="expand", dtype=self.dtype)
        return x * nn.sigmoid(y)[:, None, None]


def shortcut(
    x: Float[Array, "b h w c"], features: int, dtype: Dtype | None
) -> Float[Array, "b h/2 w/2 {features}"]:
    """1x1 convolution at half the side; both are linear, so the cheaper order: halve first."""
    return conv(halve(x), features, 1, name="shortcut", dtype=dtype)
