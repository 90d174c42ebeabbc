"""Maps at several scales, in which clicks and the previous mask keep their detail."""

import math

import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jax.nn.initializers import normal, zeros
from jaxtyping import Float

from rsisrefiner_jax.interaction.clicks import Clicks
from rsisrefiner_jax.models.layers import Up2, group_norm


def click_maps(
    clicks: Clicks, side: int, stride: int, radius: float, reach: float
) -> Float[Array, "b m m 4"]:
    """Clicks as maps of a `stride`-th of the picture's `side`, positive ones first in each pair.

    Two are disks of `radius` pixels; two fall off smoothly with the distance to the nearest click,
    to 0.6 at `reach` pixels, so that a click is felt far away.
    """
    at = jnp.arange(side // stride) * stride + (stride - 1) / 2
    dy = (at - clicks.yx[..., 0, None]) ** 2
    dx = (at - clicks.yx[..., 1, None]) ** 2
    distance = dy[..., :, None] + dx[..., None, :]  # [b, k, m, m], never stored
    far = 1e9
    maps = []
    for sign in (1, 0):
        used = (clicks.label == sign)[..., None, None]
        maps.append(jnp.where(used, distance, far).min(1))
    nearest = jnp.stack(maps, -1)
    disks = (nearest <= radius**2).astype(jnp.float32)
    return jnp.concatenate([disks, jnp.exp(-nearest / (2 * reach**2))], -1)


def plain_conv(
    features: int, size: int, stride: int = 1, *, name: str, dtype: Dtype | None, zero: bool = False
) -> nn.Conv:
    """A convolution with He's initialisation, or one that begins as zero."""
    pad = (size - 1) // 2

    def he(key: Array, shape: tuple[int, ...], dtype: Dtype = jnp.float32) -> Array:
        return normal(math.sqrt(2 / math.prod(shape[:-1])))(key, shape, dtype)

    return nn.Conv(
        features,
        (size, size),
        stride,
        ((pad, pad), (pad, pad)),
        kernel_init=zeros if zero else he,
        dtype=dtype,
        name=name,
    )


class ResidualBlock(nn.Module):
    """x + two 3x3 convolutions of its norm; begins as x."""

    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        width, d = x.shape[-1], self.dtype
        y = nn.relu(group_norm(x, name="norm", dtype=d))
        y = nn.relu(plain_conv(width, 3, name="conv_0", dtype=d)(y))
        return x + plain_conv(width, 3, name="conv_1", dtype=d, zero=True)(y)


class Down(nn.Module):
    """Half the side, `features` channels."""

    features: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h/2 w/2 {self.features}"]:
        return plain_conv(self.features, 3, 2, name="conv", dtype=self.dtype)(nn.relu(x))


class Join(nn.Module):
    """A coarse map at twice its side, added to a fine one, and a residual block."""

    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self, coarse: Float[Array, "b h w e"], fine: Float[Array, "b 2*h 2*w c"]
    ) -> Float[Array, "b 2*h 2*w c"]:
        x = fine + Up2(fine.shape[-1], self.dtype, name="up")(nn.relu(coarse))
        return ResidualBlock(self.dtype, name="block")(x)
