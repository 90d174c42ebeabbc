"""SimpleFPN: the last ViT feature at four scales (paper section III-B)."""

from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jaxtyping import Float

from rsisrefiner_jax.models.layers import Up2, conv, gelu, group_norm, uniform

# The four feature maps, each of half the side of the one before.
Levels = tuple[
    Float[Array, "b h w c4"],
    Float[Array, "b h/2 w/2 c8"],
    Float[Array, "b h/4 w/4 c16"],
    Float[Array, "b h/8 w/8 c32"],
]


class SimpleFPN(nn.Module):
    """F_ViT -> features of four times, twice, once and half its side."""

    channels: tuple[int, int, int, int]
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b s s e"]) -> Levels:
        levels = (
            Level4(self.channels[0], self.dtype, name="level_4")(x),
            Level8(self.channels[1], self.dtype, name="level_8")(x),
            Level16(self.channels[2], self.dtype, name="level_16")(x),
            Level32(self.channels[3], self.dtype, name="level_32")(x),
        )
        for name, level in zip(("fpn_4", "fpn_8", "fpn_16", "fpn_32"), levels, strict=True):
            self.sow("intermediates", name, level)
        return levels


class Level4(nn.Module):
    """Four times the side."""

    features: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w e"]) -> Float[Array, "b 4*h 4*w {self.features}"]:
        width, d = x.shape[-1], self.dtype
        x = Up2(width // 2, d, name="up_1")(x)
        x = gelu(group_norm(x, name="norm_1", dtype=d))
        x = Up2(width // 4, d, name="up_2")(x)
        x = group_norm(x, name="norm_2", dtype=d)
        x = conv(x, self.features, 1, name="conv", dtype=d)
        return gelu(group_norm(x, name="norm_3", dtype=d))


class Level8(nn.Module):
    """Twice the side."""

    features: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w e"]) -> Float[Array, "b 2*h 2*w {self.features}"]:
        d = self.dtype
        x = Up2(x.shape[-1] // 2, d, name="up_1")(x)
        x = group_norm(x, name="norm_1", dtype=d)
        x = conv(x, self.features, 1, name="conv", dtype=d)
        return gelu(group_norm(x, name="norm_2", dtype=d))


class Level16(nn.Module):
    """The same side."""

    features: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w e"]) -> Float[Array, "b h w {self.features}"]:
        x = conv(x, self.features, 1, name="conv", dtype=self.dtype)
        return gelu(group_norm(x, name="norm_1", dtype=self.dtype))


class Level32(nn.Module):
    """Half the side."""

    features: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w e"]) -> Float[Array, "b h/2 w/2 {self.features}"]:
        d, init = self.dtype, uniform(4 * x.shape[-1])
        x = nn.Conv(
            2 * x.shape[-1],
            (2, 2),
            (2, 2),
            "VALID",
            kernel_init=init,
            bias_init=init,
            dtype=d,
            name="down",
        )(x)
        x = group_norm(x, name="norm_1", dtype=d)
        x = conv(x, self.features, 1, name="conv", dtype=d)
        return gelu(group_norm(x, name="norm_2", dtype=d))
