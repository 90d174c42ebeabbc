"""Which objects are trained on and which are held out: by where they lie, not at random.

Neighbours look alike, so that objects held out at random among those trained on would promise too
much. A picture of four objects or more is cut across its longer side: a quarter of its objects, the
last to begin along that side, is held out, and training sees nothing of the picture from where the
first of them begins. Objects across that line are left out of both. Smaller pictures are held out
whole, about one in four. The same objects are always divided in the same way.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rsisrefiner_jax.data.windows import Box

PARTS = ("train", "held-out", "all")
SHARE = 0.25  # of the objects that is held out
CUT = 4  # objects of a picture that is cut in two


class Division(NamedTuple):
    """Of a picture. train, held_out: places of objects. seen: what training may see, None: none."""

    train: list[int]
    held_out: list[int]
    seen: Box | None


def divide(sizes: Sequence[tuple[int, int]], boxes: Sequence[Sequence[Box]]) -> list[Division]:
    """Divides the objects of pictures.

    sizes: (height, width) of each picture. boxes: of the objects of each.
    """
    owed, divisions = 0.0, []
    for (height, width), own in zip(sizes, boxes, strict=True):
        owed += SHARE * len(own)
        if len(own) >= CUT:
            count = max(0, min(int(owed + 0.5), len(own) // 2))
            division = _cut((height, width), own, count)
        elif len(own) <= 2 * owed:
            division = Division([], list(range(len(own))), None)
        else:
            division = Division(list(range(len(own))), [], (0, 0, width, height))
        owed -= len(division.held_out)
        divisions.append(division)
    return divisions


def undivided(boxes: Sequence[Sequence[Box]]) -> list[Division]:
    """All objects held out, of a project that nothing was trained on. boxes: as `divide`."""
    return [Division([], list(range(len(own))), None) for own in boxes]


def _cut(size: tuple[int, int], boxes: Sequence[Box], count: int) -> Division:
    """Holds out the `count` objects that begin last along the longer side."""
    height, width = size
    axis = 0 if width >= height else 1
    if not count:
        return Division(list(range(len(boxes))), [], (0, 0, width, height))
    order = sorted(range(len(boxes)), key=lambda i: (boxes[i][axis], i))
    rest, held_out = order[:-count], order[-count:]
    line = boxes[held_out[0]][axis]
    train = [i for i in rest if boxes[i][axis + 2] <= line]
    seen = (0, 0, line, height) if axis == 0 else (0, 0, width, line)
    return Division(sorted(train), sorted(held_out), seen if line else None)
