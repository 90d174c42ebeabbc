"""Large pictures as scenes of windows that tile them."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

SIDE = 800  # pixels at most; the paper cuts its pictures to this side


class Window(NamedTuple):
    """A part of a raster, in pixels."""

    y: int
    x: int
    height: int
    width: int

    def named(self, picture: str) -> str:
        """The name of the scene of this window of a picture."""
        return f"{picture}_y{self.y}_x{self.x}"


def windows(height: int, width: int) -> Iterator[Window]:
    """Windows that tile a picture, row by row; all of the same size but for a pixel, rather than
    leaving slivers at the far edges."""

    def edges(side: int) -> Sequence[int]:
        count = -(-side // SIDE)
        return [side * i // count for i in range(count + 1)]

    rows, columns = edges(height), edges(width)
    for y0, y1 in itertools.pairwise(rows):
        for x0, x1 in itertools.pairwise(columns):
            yield Window(y0, x0, y1 - y0, x1 - x0)
