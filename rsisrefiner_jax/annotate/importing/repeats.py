"""Which objects of a file lie on objects that are there already, as when it is sent twice."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import shapely

from rsisrefiner_jax.formats.masks import Mask, encoded_box

SAME = 0.5  # intersection over union from which on two masks count as the same object
KEPT = 4096  # masks that stay decoded meanwhile

Encoded = dict[str, Any]


def repeats(found: Sequence[Encoded], there: Sequence[Encoded]) -> dict[int, tuple[int, float]]:
    """Of the masks found the places of those that lie on one that is there: its place, and IoU.

    No two lie on the same one: pairs that are most alike come first. Masks as `Mask.encode` has
    them.
    """
    pairs = sorted(_alike(found, there), key=lambda pair: (-pair[2], pair[:2]))
    on: dict[int, tuple[int, float]] = {}
    taken: set[int] = set()
    for one, other, iou in pairs:
        if one not in on and other not in taken:
            on[one] = other, iou
            taken.add(other)
    return on


def _alike(found: Sequence[Encoded], there: Sequence[Encoded]) -> Iterator[tuple[int, int, float]]:
    """Pairs of places with their IoU, where that is `SAME` or more."""
    if not found or not there:
        return
    boxes = [np.array([encoded_box(mask) for mask in masks], float) for masks in (found, there)]
    tree = shapely.STRtree(shapely.box(*boxes[1].T))
    pairs = tree.query(shapely.box(*boxes[0].T))
    # Boxes say enough of most: what masks share lies in both boxes.
    a, b = boxes[0][pairs[0]], boxes[1][pairs[1]]
    shared = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    pairs = pairs[:, (shared > 0).all(1)]

    @functools.lru_cache(KEPT)
    def decoded(side: int, place: int) -> tuple[Mask, int]:
        mask = Mask.decode((found, there)[side][place])
        return mask, mask.area

    for one, other in pairs.T.tolist():
        if found[one] == there[other]:
            yield one, other, 1.0
        elif (iou := _iou(decoded(0, one), decoded(1, other))) >= SAME:
            yield one, other, iou


def _iou(one: tuple[Mask, int], other: tuple[Mask, int]) -> float:
    """Intersection over union of masks of known areas."""
    (a, area), (b, second) = one, other
    left, top = max(a.x, b.x), max(a.y, b.y)
    box = left, top, min(a.box[2], b.box[2]) - left, min(a.box[3], b.box[3]) - top
    most = min(area, second, box[2] * box[3])
    if most < SAME * max(area, second):
        return 0.0
    shared = a.shared(b)
    return shared / (area + second - shared)
