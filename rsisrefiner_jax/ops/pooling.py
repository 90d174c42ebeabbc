"""2x2 maxima.

Their gradient goes to the pixel that was the maximum. XLA's own finds it by searching every window
of a copy of the input again, which takes about ten times as long on a CPU. So the place of each
maximum is kept instead, except on TPUs, where XLA's needs less memory.
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float


def max_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b h/2 w/2 c"]:
    """2x2 maximum, stride 2. Of equal pixels the first takes the gradient, as in PyTorch.

    Raises:
        TypeError: h or w is odd.
    """
    return jax.lax.platform_dependent(x, tpu=by_windows, default=by_quarters)


def by_windows(x: Float[Array, "b h w c"]) -> Float[Array, "b h/2 w/2 c"]:
    """`max_pool` whose gradient searches the input again."""
    return nn.max_pool(x, (2, 2), (2, 2))


@jax.custom_vjp
def by_quarters(x: Float[Array, "b h w c"]) -> Float[Array, "b h/2 w/2 c"]:
    """`max_pool` whose gradient knows the place of each maximum."""
    return functools.reduce(jnp.maximum, _quarters(x))


def _quarters(x: Float[Array, "b h w c"]) -> list[Float[Array, "b h/2 w/2 c"]]:
    """The pixels of every 2x2 cell by their place in it, row by row."""
    b, h, w, c = x.shape
    cells = x.reshape(b, h // 2, 2, w // 2, 2, c)
    return [cells[:, :, i, :, j] for i in range(2) for j in range(2)]


def _forward(x: Array) -> tuple[Array, Array]:
    """The maxima, and which of the `_quarters` is the first that has each: uint8, 0 to 3."""
    quarters, highest = _quarters(x), by_quarters(x)
    first = jnp.uint8(3)
    for place in (2, 1, 0):
        first = jnp.where(quarters[place] == highest, jnp.uint8(place), first)
    return highest, first


def _backward(first: Array, grad: Array) -> tuple[Array]:
    b, h, w, c = grad.shape
    place = jnp.arange(4, dtype=jnp.uint8).reshape(1, 1, 2, 1, 2, 1)
    first, grad = (x[:, :, None, :, None] for x in (first, grad))
    return (jnp.where(first == place, grad, 0).reshape(b, 2 * h, 2 * w, c),)


by_quarters.defvjp(_forward, _backward)
