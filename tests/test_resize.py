import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.ops.resize import halve, resize_align_corners, resize_half_pixel


def _row(*values: float) -> jax.Array:
    return jnp.asarray(values, jnp.float32)[None, None, :, None]


def test_align_corners_by_hand() -> None:
    out = resize_align_corners(_row(0, 3, 9), (1, 5))
    np.testing.assert_allclose(out[0, 0, :, 0], [0, 1.5, 3, 6, 9], atol=1e-6)
    out = resize_align_corners(_row(0, 1, 2, 3), (1, 3))
    np.testing.assert_allclose(out[0, 0, :, 0], [0, 1.5, 3], atol=1e-6)


def test_half_pixel_by_hand() -> None:
    out = resize_half_pixel(_row(0, 4), (1, 4))
    np.testing.assert_allclose(out[0, 0, :, 0], [0, 1, 3, 4], atol=1e-6)
    # Shrinking reads two pixels only (no antialias): pixel centres 1 and 4 of six, exactly.
    out = resize_half_pixel(_row(0, 1, 7, 7, 2, 7), (1, 2))
    np.testing.assert_allclose(out[0, 0, :, 0], [1, 2], atol=1e-6)


def test_half_pixel_by_a_power_of_two_by_hand() -> None:
    out = resize_half_pixel(_row(0, 8), (1, 8))
    np.testing.assert_allclose(out[0, 0, :, 0], [0, 0, 1, 3, 5, 7, 8, 8], atol=1e-6)


@pytest.mark.parametrize("size", [(6, 10), (12, 5), (24, 40), (7, 20), (9, 15)])
def test_half_pixel_is_that_of_jax(size: tuple[int, int]) -> None:
    x = jax.random.normal(jax.random.key(0), (2, 3, 5, 4))

    def theirs(x: jax.Array) -> jax.Array:
        return jax.image.resize(x, (2, *size, 4), "bilinear", antialias=False)

    def ours(x: jax.Array) -> jax.Array:
        return resize_half_pixel(x, size)

    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-6)
    gradients = [jax.grad(lambda x, f=f: jnp.square(f(x)).sum())(x) for f in (ours, theirs)]
    np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-5)


def test_half_precision_is_rounded_once_an_axis() -> None:
    x = jax.random.normal(jax.random.key(0), (1, 3, 5, 4), jnp.bfloat16)
    whole = resize_half_pixel(x.astype(jnp.float32), (6, 20))
    rows = resize_half_pixel(x.astype(jnp.float32), (6, 5)).astype(jnp.bfloat16)
    np.testing.assert_array_equal(resize_half_pixel(x, (6, 5)), rows)
    np.testing.assert_allclose(resize_half_pixel(x, (6, 20)).astype(jnp.float32), whole, atol=0.02)


def test_rows_and_columns_by_hand() -> None:
    x = jnp.asarray([[0, 2], [4, 10]], jnp.float32)[None, :, :, None]
    expected = [[0, 1, 2], [2, 4, 6], [4, 7, 10]]
    np.testing.assert_allclose(resize_align_corners(x, (3, 3))[0, ..., 0], expected, atol=1e-6)


@pytest.mark.parametrize("resize", [resize_align_corners, resize_half_pixel])
def test_one_pixel_and_no_change(resize) -> None:  # type: ignore[no-untyped-def]
    one = np.full((1, 1, 1, 2), 5, np.float32)
    np.testing.assert_array_equal(resize(one, (3, 4)), np.full((1, 3, 4, 2), 5))
    x = np.random.default_rng(0).random((2, 4, 5, 3), np.float32)
    np.testing.assert_array_equal(resize(x, (4, 5)), x)


def test_align_corners_to_one_pixel_takes_the_first() -> None:
    assert resize_align_corners(_row(3, 8, 9), (1, 1)).item() == 3


def test_channels_and_samples_stay_apart() -> None:
    x = jax.random.uniform(jax.random.key(0), (2, 6, 7, 3))
    whole = jax.jit(lambda x: resize_half_pixel(x, (9, 4)))(x)
    for i in range(2):
        for c in range(3):
            alone = resize_half_pixel(x[i : i + 1, ..., c : c + 1], (9, 4))
            np.testing.assert_allclose(whole[i, ..., c], alone[0, ..., 0], atol=1e-6)


def test_halve_is_the_mean_of_cells() -> None:
    x = jax.random.uniform(jax.random.key(0), (2, 6, 8, 3))
    assert halve(jnp.asarray([[0, 1], [2, 5]], jnp.float32)[None, ..., None]).item() == 2
    np.testing.assert_allclose(halve(x), resize_half_pixel(x, (3, 4)), atol=1e-6)
    with pytest.raises(ValueError, match="even sides, got 5x8"):
        halve(x[:, :5])
