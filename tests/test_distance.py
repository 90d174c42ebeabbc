import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from rsisrefiner_jax.ops.distance import squared_distance

run = jax.jit(squared_distance)


def _brute_force(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    zeros = np.argwhere(~padded)
    out = np.zeros(padded.shape)
    for y, x in np.argwhere(padded):
        out[y, x] = ((zeros - (y, x)) ** 2).sum(-1).min()
    return out[1:-1, 1:-1]


def test_by_hand() -> None:
    mask = np.ones((3, 5), bool)
    assert run(mask).tolist() == [[1] * 5, [1, 4, 4, 4, 1], [1] * 5]
    mask[1, 2] = False
    assert run(mask).tolist() == [[1] * 5, [1, 1, 0, 1, 1], [1] * 5]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 1.0))
def test_equals_brute_force(seed: int, density: float) -> None:
    mask = np.random.default_rng(seed).random((13, 18)) < density
    np.testing.assert_array_equal(run(mask), _brute_force(mask))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (97, 64)])
@pytest.mark.parametrize("density", [0.9, 0.999, 1.0])
def test_equals_scipy_and_vmap(shape: tuple[int, int], density: float) -> None:
    masks = np.random.default_rng(0).random((3, *shape)) < density
    expected = np.stack(
        [ndimage.distance_transform_edt(np.pad(m, 1))[1:-1, 1:-1] ** 2 for m in masks]
    )
    out = run(masks)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, np.rint(expected))
    np.testing.assert_array_equal(jax.vmap(run)(masks), out)
