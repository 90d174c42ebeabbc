"""Windows whose place and size are known only on the device, and bilinear resizing between them.

Products of two float32 numbers are exact in float64. Computed there and rounded once, a blend is
the same in every program, whether or not the compiler contracts it into fused multiply-adds; in
float32 a probability on the threshold could fall either way.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

SIDES = (128, 256, 512, 1024)  # pixels, of the windows that `in_window` has to choose from


def extent(line: Array) -> tuple[Array, Array]:
    """The first and last True of bool [n]; (0, n - 1) if there is none."""
    return jnp.argmax(line), line.shape[0] - 1 - jnp.argmax(line[::-1])


def in_window(
    function: Callable[[tuple[int, int], Array], Any], boxes: Array, shape: tuple[int, ...]
) -> Any:
    """`function(size, corner)` with the smallest static window size that holds every box.

    What is looked at is mostly small and the image is large.

    Args:
        function: returns the same shapes for every size.
        boxes: int32 [b, 4], first row, last row, first column, last column in an image.
        shape: the image's; corner int32 [b, 2] is the upper left pixel of each window, which lies
            in the image.
    """

    def within(side: int) -> Callable[[Array], Any]:
        size = min(side, shape[0]), min(side, shape[1])
        last = jnp.array([shape[0] - size[0], shape[1] - size[1]])
        return lambda first: function(size, jnp.minimum(first, last))

    sides = [side for side in SIDES if side < max(shape)]
    needed = (boxes[:, 1::2] - boxes[:, ::2] + 1).max()
    index = sum(((needed > side).astype(jnp.int32) for side in sides), jnp.int32(0))
    return jax.lax.switch(index, [within(side) for side in [*sides, max(shape)]], boxes[:, ::2])


def resample(x: Array, source: Array, target: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    """A canvas in which the window `target` shows the window `source` of `x`.

    The centres of the corner pixels stay corners (PyTorch's align_corners=True). Positions are
    computed in float32, as PyTorch does, and columns are blended before rows.

    Args:
        x: [h, w, c], any number type.
        source: int32 [4], (first row, last row, first column, last column) within x.
        target: likewise, within the canvas.
        size: (height, width) of the canvas.
    Returns:
        float32 [*size, c] (outside the window it means nothing) and bool [*size], the window.
    """
    above, below, down, in_rows = _taps(source[:2], target[:2], size[0])
    left, right, across, in_columns = _taps(source[2:], target[2:], size[1])
    down, across = down[:, None, None], across[None, :, None]

    def columns(rows: Array) -> Array:
        return _blend(_take(rows, left, 1), _take(rows, right, 1), across)

    if size[0] < x.shape[0]:  # fewer rows than there are: take them before the columns
        upper, lower = columns(_take(x, above, 0)), columns(_take(x, below, 0))
    else:
        blended = columns(x)
        upper, lower = _take(blended, above, 0), _take(blended, below, 0)
    return _blend(upper, lower, down), in_rows[:, None] & in_columns[None]


def _taps(source: Array, target: Array, length: int) -> tuple[Array, Array, Array, Array]:
    """For each place of a canvas side: its two neighbours, the second's weight, if it is inside."""
    place = jnp.arange(length, dtype=jnp.int32) - target[0]
    last_source, last_target = source[1] - source[0], target[1] - target[0]
    with jax.enable_x64(True):
        # In float32 XLA would multiply by the reciprocal of a constant side, a digit off.
        step = last_source.astype(jnp.float64) / jnp.maximum(last_target, 1).astype(jnp.float64)
        step = step.astype(jnp.float32).astype(jnp.float64)
        position = step * place.astype(jnp.float64)
        position = jnp.where(last_target > 0, position.astype(jnp.float32), 0)
    first = jnp.clip(position.astype(jnp.int32), 0, last_source)
    second = jnp.minimum(first + 1, last_source)
    inside = (place >= 0) & (place <= last_target)
    weight = position - first.astype(jnp.float32)
    return source[0] + first, source[0] + second, weight, inside


def _blend(a: Array, b: Array, weight: Array) -> Array:
    """a * (1 - weight) + b * weight, float32."""
    weights = 1 - weight, weight
    with jax.enable_x64(True):
        a, b = (
            x.astype(jnp.float64) * w.astype(jnp.float64)
            for x, w in zip((a, b), weights, strict=True)
        )
        return (a + b).astype(jnp.float32)


def _take(x: Array, index: Array, axis: int) -> Array:
    return jnp.take(x, index, axis, mode="clip")
