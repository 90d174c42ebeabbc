"""Images of mixed sizes in a few shapes, so that little is compiled; padding changes no result."""

import numpy as np

SMALLEST = 256  # pixels
LARGE = 4096  # pixels; a power of two above it would waste too much memory
STEP = 2048


def padded_shape(height: int, width: int) -> tuple[int, int]:
    """The shape that an image is padded to: sides are powers of two, large ones multiples."""
    return _side(height), _side(width)


def _side(length: int) -> int:
    if length > LARGE:
        return -(-length // STEP) * STEP
    return max(SMALLEST, 1 << (length - 1).bit_length())


def pad(array: np.ndarray, shape: tuple[int, int], fill: int = 0) -> np.ndarray:
    """array [h, w, ...] with `fill` below and to the right: [*shape, ...]."""
    padded = np.full((*shape, *array.shape[2:]), fill, array.dtype)
    padded[: array.shape[0], : array.shape[1]] = array
    return padded
