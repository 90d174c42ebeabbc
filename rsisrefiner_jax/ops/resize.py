"""Bilinear resizing with the two pixel conventions of the field, without antialiasing.

`jax.image.resize` knows only one of them and smooths when it shrinks; converted weights expect
these. Both are two small matrix products, one per axis, so their gradient is exact and ordered.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


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
    _, h, w, _ = x.shape
    if h != size[0]:
        rows = _weights(h, size[0], align_corners)
        x = jnp.einsum(
            "Hh,bhwc->bHwc", rows.astype(x.dtype), x, precision=jax.lax.Precision.HIGHEST
        )
    if w != size[1]:
        cols = _weights(w, size[1], align_corners)
        x = jnp.einsum(
            "Ww,bhwc->bhWc", cols.astype(x.dtype), x, precision=jax.lax.Precision.HIGHEST
        )
    return x


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
