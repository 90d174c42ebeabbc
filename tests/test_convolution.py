"""Convolutions of our own against those of XLA."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.ops.convolution import dense


def by_xla(x, kernel, strides, padding):
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=layout)


@pytest.mark.parametrize(
    ("size", "strides", "padding", "shape"),
    [
        (3, (1, 1), ((1, 1), (1, 1)), (12, 14)),
        (3, (2, 2), ((1, 1), (1, 1)), (13, 14)),  # the last column is beyond the last step
        (7, (2, 1), ((3, 3), (3, 3)), (17, 15)),
        (1, (2, 2), ((0, 0), (0, 0)), (12, 11)),
    ],
)
def test_gradients_are_those_of_xla(size, strides, padding, shape):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((3, *shape, 4)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((size, size, 4, 6)), jnp.float32)

    def loss(convolve, x, kernel):
        return jnp.sin(convolve(x, kernel, strides, padding)).sum()

    ours, theirs = (
        jax.jit(jax.value_and_grad(loss, (1, 2)), static_argnums=0)(convolve, x, kernel)
        for convolve in (dense, by_xla)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3), ours, theirs)
