"""Maps at several scales, in which clicks and the previous mask keep their detail."""

import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jaxtyping import Float

from rsisrefiner_jax.interaction.clicks import Clicks, squared_distances
from rsisrefiner_jax.models.layers import Up2, conv_he, group_norm


def click_maps(
    clicks: Clicks, side: int, stride: int, radius: float, reach: float
) -> Float[Array, "b m m 4"]:
    """Clicks as maps of a `stride`-th of the picture's `side`, positive ones first in each pair.

    Two are disks of `radius` pixels; two fall off smoothly with the distance to the nearest click,
    to 0.6 at `reach` pixels, so that a click is felt far away.
    """
    nearest = squared_distances(clicks, (side // stride, side // stride), stride)
    disks = (nearest <= radius**2).astype(jnp.float32)
    return jnp.concatenate([disks, jnp.exp(-nearest / (2 * reach**2))], -1)


class ResidualBlock(nn.Module):
    """x + two 3x3 convolutions of its norm; begins as x."""

    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        width, d = x.shape[-1], self.dtype
        y = nn.relu(group_norm(x, name="norm", dtype=d))
        y = nn.relu(conv_he(y, width, 3, name="conv_0", dtype=d))
        return x + conv_he(y, width, 3, name="conv_1", zero=True, dtype=d)


class Down(nn.Module):
    """Half the side, `features` channels."""

    features: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h/2 w/2 {self.features}"]:
        return conv_he(nn.relu(x), self.features, 3, stride=2, name="conv", dtype=self.dtype)


class Join(nn.Module):
    """A coarse map at twice its side, added to a fine one, and a residual block."""

    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self, coarse: Float[Array, "b h w e"], fine: Float[Array, "b 2*h 2*w c"]
    ) -> Float[Array, "b 2*h 2*w c"]:
        x = fine + Up2(fine.shape[-1], self.dtype, name="up")(nn.relu(coarse))
        return ResidualBlock(self.dtype, name="block")(x)
