"""SimpleFPN: the last ViT feature at four scales (paper section III-B)."""

import jax.numpy as jnp
from flax import linen as nn

from rsisrefiner_jax.models.layers import Up2, conv, gelu, group_norm, uniform


class SimpleFPN(nn.Module):
    """F_ViT [b, s, s, e] -> features of side 4s, 2s, s, s/2 with the given channels."""

    channels: tuple[int, int, int, int]
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x):
        levels = [
            Level4(self.channels[0], self.dtype, name="level_4")(x),
            Level8(self.channels[1], self.dtype, name="level_8")(x),
            Level16(self.channels[2], self.dtype, name="level_16")(x),
            Level32(self.channels[3], self.dtype, name="level_32")(x),
        ]
        for name, level in zip(("fpn_4", "fpn_8", "fpn_16", "fpn_32"), levels, strict=True):
            self.sow("intermediates", name, level)
        return levels


class Level4(nn.Module):
    """Four times the side."""

    features: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x):
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
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x):
        d = self.dtype
        x = Up2(x.shape[-1] // 2, d, name="up_1")(x)
        x = group_norm(x, name="norm_1", dtype=d)
        x = conv(x, self.features, 1, name="conv", dtype=d)
        return gelu(group_norm(x, name="norm_2", dtype=d))


class Level16(nn.Module):
    """The same side."""

    features: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x):
        x = conv(x, self.features, 1, name="conv", dtype=self.dtype)
        return gelu(group_norm(x, name="norm_1", dtype=self.dtype))


class Level32(nn.Module):
    """Half the side."""

    features: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x):
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
