"""Where on a raster the model looks: squares about clicks, moved into the raster and cut to it."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from rsisrefiner_jax.data.windows import LOOK, Window, square_about
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.masks import BOX_LIMIT, union_box

LARGEST = 4096  # pixels, side of a window

Box = tuple[float, float, float, float]  # left, top, right, bottom
Pixels = tuple[int, int, int, int]  # the same, of whole pixels


class Click(NamedTuple):
    """In pixels of the raster."""

    x: float
    y: float
    positive: bool


@dataclasses.dataclass(frozen=True)
class Windows:
    """Those of one raster. first: the side that windows begin with; largest: the one they end at.

    All in pixels.
    """

    width: int
    height: int
    first: int
    largest: int

    def at_first(self, box: Box | None, click: Click) -> Window:
        """About a box where there is one that is not too large, else about the click."""
        centre, side = (click.x, click.y), self.first
        if box is not None:
            left, top, right, bottom = box
            wanted = int(LOOK * max(right - left, bottom - top))
            if wanted <= self.largest:
                centre, side = ((left + right) / 2, (top + bottom) / 2), max(side, wanted)
            else:
                side = self.largest
        return self._about(centre, side)

    def with_last(self, window: Window, clicks: Sequence[Click]) -> Window:
        """The window, grown until it holds the last click with room around it, or moved there."""
        while not self._comfortable(window, clicks[-1]):
            if self.is_largest(window):
                return self._latest(clicks)
            window = self.grown(window, clicks)
        return window

    def grown(self, window: Window, clicks: Sequence[Click], box: Pixels | None = None) -> Window:
        """Twice as large, about the clicks and a box."""
        side = min(2 * max(window.height, window.width), self.largest)
        boxes = [(int(c.x), int(c.y), int(c.x) + 1, int(c.y) + 1) for c in clicks]
        left, top, right, bottom = union_box([*boxes, *([] if box is None else [box])])
        if max(right - left, bottom - top) > side:
            return self._about(middle(clicks), side)
        return self._about(((left + right) / 2, (top + bottom) / 2), side)

    def is_largest(self, window: Window) -> bool:
        return max(window.height, window.width) >= self.largest

    def _latest(self, clicks: Sequence[Click]) -> Window:
        """The largest window, about as many of the last clicks as it has room for."""
        window = self._about(middle(clicks[-1:]), self.largest)
        for count in range(2, len(clicks) + 1):
            last = clicks[-count:]
            wider = self._about(middle(last), self.largest)
            if not all(self._comfortable(wider, click) for click in last):
                break
            window = wider
        return window

    def _comfortable(self, window: Window, click: Click) -> bool:
        margin = min(self.first // 8, window.width // 4, window.height // 4)
        y, x, height, width = window
        left = x if x == 0 else x + margin
        top = y if y == 0 else y + margin
        right = x + width if x + width == self.width else x + width - margin
        bottom = y + height if y + height == self.height else y + height - margin
        return left <= click.x <= right and top <= click.y <= bottom

    def _about(self, centre: tuple[float, float], side: int) -> Window:
        return square_about(centre, side, (0, 0, self.width, self.height))


def middle(clicks: Sequence[Click]) -> tuple[float, float]:
    xs, ys = [c.x for c in clicks], [c.y for c in clicks]
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def holds(window: Window, click: Click) -> bool:
    """Whether the click lies in the window."""
    y, x, height, width = window
    return x <= click.x < x + width and y <= click.y < y + height


def require_inside(x: float, y: float, size: tuple[int, int]) -> None:
    """Checks that a place is one of a raster of (width, height) pixels. Raises UserError."""
    width, height = size
    require(
        0 <= x < width and 0 <= y < height,
        f"({x:.1f}, {y:.1f}) lies outside the image of {width} x {height} pixels",
    )


def require_reach(
    clicks: Sequence[Click], size: tuple[int, int], box: Pixels | None = None
) -> None:
    """Checks that clicks cannot make an object that is too large to be held.

    Args:
        size: (width, height) of the raster.
        box: (left, top, right, bottom) of the mask that they refine.

    Raises:
        UserError: they lie too far apart.
    """
    boxes = [] if box is None else [box]
    for click in clicks:  # no window that is about a click reaches further
        x, y = int(click.x), int(click.y)
        boxes.append((x - LARGEST, y - LARGEST, x + LARGEST, y + LARGEST))
    left, top, right, bottom = union_box(boxes)
    width, height = min(right, size[0]) - max(left, 0), min(bottom, size[1]) - max(top, 0)
    require(
        width * height <= BOX_LIMIT,
        f"this click is too far away: the box around an object may have {BOX_LIMIT // 10**6} "
        "million pixels; finish it and draw what is here as another one",
    )
