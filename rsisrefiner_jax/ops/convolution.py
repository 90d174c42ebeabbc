"""Convolutions that XLA runs slowly on a CPU, written as the products and sums that they are.

All have the signature of `jax.lax.conv_general_dilated`, as `flax.linen.Conv` takes it.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from rsisrefiner_jax.ops.precision import precision_here


def pointwise(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "1 1 c k"],
    *_: Any,
    precision: Any = None,
    **__: Any,
) -> Float[Array, "b h w k"]:
    """The 1x1 convolution, by the signature of `jax.lax.conv_general_dilated`."""
    return jnp.matmul(x, kernel[0, 0], precision=precision)


def depthwise_by_taps(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k k 1 c"],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    **_: Any,
) -> Float[Array, "b h2 w2 c"]:
    """The depthwise convolution, by the signature of `jax.lax.conv_general_dilated`."""
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    size, (down, right) = len(kernel), strides
    h, w = (side - size + 1 for side in x.shape[1:3])
    taps = (
        x[:, i : i + h : down, j : j + w : right] * kernel[i, j, 0]
        for i in range(size)
        for j in range(size)
    )
    with jax.named_scope("depthwise"):
        return functools.reduce(jnp.add, taps)


def dense(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k k c o"],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    *,
    precision: Any = None,
    **_: Any,
) -> Float[Array, "b h2 w2 o"]:
    """The convolution, by the signature of `jax.lax.conv_general_dilated`.

    Its gradient on a CPU is faster: that of the kernel is the sum over samples of one matrix
    product for each tap, for which XLA's own takes twice as long.
    """
    precision = precision or precision_here()

    def run(x: Array, kernel: Array) -> Array:
        dims = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x, kernel, strides, padding, dimension_numbers=dims, precision=precision
        )

    def kernel_gradient(x: Array, gradient: Array) -> Array:
        return jax.vjp(lambda k: run(x, k), jnp.zeros_like(kernel))[1](gradient)[0]

    def by_taps(x: Array, gradient: Array) -> Array:
        (h, w), (down, right) = gradient.shape[1:3], strides
        x = jnp.pad(x, ((0, 0), *padding, (0, 0)))

        def sample(given: tuple[Array, Array]) -> Array:
            x, gradient = given
            flat = gradient.reshape(h * w, -1)
            taps = [
                x[i : i + (h - 1) * down + 1 : down, j : j + (w - 1) * right + 1 : right]
                for i in range(kernel.shape[0])
                for j in range(kernel.shape[1])
            ]
            return jnp.stack(
                [jnp.matmul(tap.reshape(h * w, -1).T, flat, precision=precision) for tap in taps]
            )

        return jax.lax.map(sample, (x, gradient)).sum(0).reshape(kernel.shape)

    @jax.custom_vjp
    def convolve(x: Array, kernel: Array) -> Array:
        return run(x, kernel)

    def forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
        return run(x, kernel), (x, kernel)

    def backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
        x, kernel = saved
        to_x = jax.vjp(lambda x: run(x, kernel), x)[1](gradient)[0]
        to_kernel = jax.lax.platform_dependent(x, gradient, cpu=by_taps, default=kernel_gradient)
        return to_x, to_kernel

    convolve.defvjp(forward, backward)
    return convolve(x, kernel)
