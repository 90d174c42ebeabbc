"""2x2 maxima against flax's pooling, the gradient and ties included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.ops.pooling import by_windows, max_pool


def pictures(levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of so many different values (few: many ties), and a gradient of their maxima."""
    rng = np.random.default_rng(levels)
    x = rng.integers(0, levels, (2, 6, 8, 3)).astype(np.float32)
    return x, rng.normal(size=(2, 3, 4, 3)).astype(np.float32)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("levels", [1, 3, 10000])
def test_both_ways_agree(levels, dtype):
    x, grad = (jnp.asarray(part, dtype) for part in pictures(levels))
    got, back = jax.vjp(max_pool, x)
    expected, expected_back = jax.vjp(by_windows, x)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(back(grad)[0], expected_back(grad)[0])
    assert got.dtype == back(grad)[0].dtype == dtype


def test_the_first_of_equal_pixels_takes_the_gradient():
    x = jnp.array([[2.0, 5.0], [5.0, 5.0]])[None, :, :, None]
    grad = jax.grad(lambda x: max_pool(x).sum())(x)
    np.testing.assert_array_equal(grad[0, :, :, 0], [[0, 1], [0, 0]])


def test_an_odd_side_is_refused():
    with pytest.raises(TypeError):
        max_pool(jnp.zeros((1, 3, 4, 1)))
