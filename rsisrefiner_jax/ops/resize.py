"""Bilinear resizing with the two pixel conventions of the field, without antialiasing.

`jax.image.resize` knows only one of them and smooths when it shrinks; converted weights expect
these. Each axis is one small matrix product or, enlarged by a power of two, sums of shifted copies,
so that the gradient is exact and ordered.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from rsisrefiner_jax.ops.precision import wide


def resize_align_corners(x: Array, size: tuple[int, int]) -> Array:
    """x [b, h, w, c] -> [b, *size, c]; the centres of the corner pixels stay where they are."""
    return _resize(x, size, align_corners=True)


def resize_half_pixel(x: Array, size: tuple[int, int]) -> Array:
    """x [b, h, w, c] -> [b, *size, c]; the outer edges of the corner pixels stay."""
    return _resize(x, size, align_corners=False)


def halve(x: Array) -> Array:
    """x [b, h, w, c] -> [b, h / 2, w / 2, c]: `resize_half_pixel` for this factor, the 2x2 mean.

    Raises:
        ValueError: h or w is odd.
    """
    b, h, w, c = x.shape
    if h % 2 or w % 2:
        raise ValueError(f"halve needs even sides, got {h}x{w}")
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


@jax.named_scope("resize")
def _resize(x: Array, size: tuple[int, int], align_corners: bool) -> Array:
    for axis, after in zip((1, 2), size, strict=True):
        factor, rest = divmod(after, x.shape[axis])
        if after == x.shape[axis]:
            continue
        if not align_corners and rest == 0 and factor.bit_count() == 1:
            x = _enlarge(x, axis, factor)
        else:
            x = _interpolate(x, axis, after, align_corners)
    return x


def _enlarge(x: Array, axis: int, factor: int) -> Array:
    """`resize_half_pixel` of one axis by a power of two, whose weights are the same everywhere.

    Sums of shifted copies: XLA takes ten times as long to compile the matrix product for a TPU.
    """
    side = x.shape[axis]
    beyond = [(0, 0)] * x.ndim
    beyond[axis] = (1, 1)
    padded = jnp.pad(wide(x), beyond, mode="edge")
    before, at, after = (jax.lax.slice_in_dim(padded, i, i + side, axis=axis) for i in range(3))
    parts = []
    for i in range(factor):
        away = (i + 0.5) / factor - 0.5  # from the old pixel's centre, in old pixels
        parts.append((1 - abs(away)) * at + abs(away) * (before if away < 0 else after))
    shape = (*x.shape[:axis], side * factor, *x.shape[axis + 1 :])
    return jnp.stack(parts, axis + 1).reshape(shape).astype(x.dtype)


def _interpolate(x: Array, axis: int, after: int, align_corners: bool) -> Array:
    """One axis by a matrix product."""
    weights = _weights(x.shape[axis], after, align_corners).astype(x.dtype)
    product = "Hh,bhwc->bHwc" if axis == 1 else "Ww,bhwc->bhWc"
    return jnp.einsum(product, weights, x, precision=jax.lax.Precision.HIGHEST)


def _weights(before: int, after: int, align_corners: bool) -> np.ndarray:
    """float32 [after, before]: row i holds the two weights that make new pixel i."""
    i = np.arange(after, dtype=np.float32)
    # float32 throughout: where a source coordinate rounds to decides its weights' last digits.
    if align_corners:
        step = np.float32((before - 1) / (after - 1) if after > 1 else 0.0)
        source = step * i
    else:
        step = np.float32(before / after)
        source = np.maximum(step * (i + np.float32(0.5)) - np.float32(0.5), np.float32(0.0))
    low = np.minimum(source.astype(np.int64), before - 1)
    high = np.minimum(low + 1, before - 1)
    share = source - low.astype(np.float32)
    weights = np.zeros((after, before), np.float32)
    np.add.at(weights, (np.arange(after), low), 1 - share)
    np.add.at(weights, (np.arange(after), high), share)
    return weights
