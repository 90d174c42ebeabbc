"""Windows of large pictures: those that tile one, and squares about a place in it."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

SIDE = 800  # pixels at most; the paper cuts its pictures to this side
LOOK = 1.4  # how much wider than a box or object the square about it is, at least

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


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


def square_about(centre: tuple[float, float], side: int, region: Box) -> Window:
    """The square of this side about a place (x, y), moved into a region and cut to it."""
    left, top, right, bottom = region
    width, height = min(side, right - left), min(side, bottom - top)
    # By whole pixels: where within its pixel the place lies must not matter.
    x = min(max(int(centre[0]) - width // 2, left), right - width)
    y = min(max(int(centre[1]) - height // 2, top), bottom - height)
    return Window(y, x, height, width)
