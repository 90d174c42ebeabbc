"""Many small boxes side by side in a few pictures, so that GDAL is called once for each picture.

A call of GDAL's rasteriser or tracer takes ten times as long as a small outline does in it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

SIDE = 2048  # pixels; boxes that are wider or higher get a picture of their own


class Sheet(NamedTuple):
    """A picture of boxes. numbers: int [n], which boxes lie in it. corners: int [n, 2], where the
    upper left corner of each lies, (x, y). size: (width, height) of the picture."""

    numbers: np.ndarray
    corners: np.ndarray
    size: tuple[int, int]


def packed(sizes: np.ndarray) -> Iterator[Sheet]:
    """Puts boxes into pictures, row by row, the lowest first.

    Args:
        sizes: int [n, 2], (width, height) of each, all above 0.
    """
    large = np.asarray((sizes > SIDE).any(axis=1))
    for number in np.flatnonzero(large).tolist():
        width, height = sizes[number].tolist()
        yield Sheet(np.array([number]), np.zeros((1, 2), int), (width, height))
    numbers: list[int] = []
    corners: list[tuple[int, int]] = []
    x = y = row = right = 0
    order = np.argsort(sizes[:, 1], kind="stable")
    for number in order[~large[order]].tolist():
        width, height = sizes[number].tolist()
        if x and x + width > SIDE:
            x, y, row = 0, y + row, 0
        if y + height > SIDE and numbers:
            yield Sheet(np.array(numbers), np.array(corners), (right, y + row))
            numbers, corners = [], []
            x = y = row = right = 0
        numbers.append(number)
        corners.append((x, y))
        x, row = x + width, max(row, height)
        right = max(right, x)
    if numbers:
        yield Sheet(np.array(numbers), np.array(corners), (right, y + row))
