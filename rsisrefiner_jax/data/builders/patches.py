"""Cutting a large scene into patches."""

import dataclasses
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Window:
    """Rows y0..y1 and columns x0..x1 of a scene (ends excluded), in pixels."""

    y0: int
    y1: int
    x0: int
    x1: int

    def __str__(self) -> str:
        """As the iSAID development kit names its patches."""
        return f"{self.y0}_{self.y1}_{self.x0}_{self.x1}"


def windows(height: int, width: int, size: int, overlap: int) -> Iterator[Window]:
    """The patches of a scene that the iSAID development kit cuts, row by row.

    A patch starts every `size - overlap` pixels; one that would stick out is moved back to lie
    flush with the border (which may make its overlap larger). A side of at most `size` pixels is
    not cut.
    """
    for y0, y1 in _spans(height, size, overlap):
        for x0, x1 in _spans(width, size, overlap):
            yield Window(y0, y1, x0, x1)


def _spans(length: int, size: int, overlap: int) -> list[tuple[int, int]]:
    if length <= size:
        return [(0, length)]
    starts = {min(start, length - size) for start in range(0, length, size - overlap)}
    return [(start, start + size) for start in sorted(starts)]
