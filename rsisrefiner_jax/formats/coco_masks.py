"""The masks of a COCO JSON: polygons and run lengths."""

import math
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.coco_entries import Entry
from rsisrefiner_jax.formats.left_out import Problem, counted
from rsisrefiner_jax.formats.masks import BOX_LIMIT, counts_of, from_runs

Size = tuple[int, int]  # height, width

_FAR_OUTSIDE = 1_000_000  # pixels; pycocotools crashes on coordinates much larger
_BROKEN = Problem(
    "broken-segmentation", "has a 'segmentation' that is neither polygons nor a fitting RLE"
)
_SMALL = 1 << 22  # pixels of a picture
_NO_PIXEL = Problem("no-pixel", "covers no pixel of its picture")


def encode(annotation: Entry, size: Size) -> dict[str, Any] | Problem:
    """An annotation's mask as `Mask.encode` has it, or why there is none. Never raises.

    The parts of a polygon are united, and one wholly inside another is a hole in it. Polygons are
    filled as pycocotools fills them, which defines what a COCO polygon covers.
    """
    shape = annotation.get("segmentation")
    if not shape:
        return Problem("no-mask", "has no polygon and no RLE")
    if not isinstance(shape, list):
        return _of_run_lengths(shape, size)
    parts = polygon_parts(shape, size)
    if isinstance(parts, Problem):
        return parts
    box = _window(parts, size)
    if box is None:
        return _NO_PIXEL
    left, top, right, bottom = box
    if (right - left) * (bottom - top) > BOX_LIMIT:
        return Problem("broken-segmentation", "is a polygon larger than what is taken")
    moved = [_moved(part, left, top) for part in parts]
    rle = _filled(coco_mask.frPyObjects(moved, bottom - top, right - left))
    if coco_mask.area(rle) == 0:
        return _NO_PIXEL
    return {"x": left, "y": top, "w": right - left, "h": bottom - top, "rle": _text(rle)}


def polygon_parts(shape: list[Any], size: Size) -> list[list[float]] | Problem:
    """The rings of a polygon, (x, y, x, y, ...) each, or why it is none.

    One ring may stand there without a list around it. Run lengths in the place of a ring, which
    some programs write, are told by their sum.
    """
    rings = [shape] if _is_numbers(shape) else shape
    if not all(_is_numbers(ring) for ring in rings):
        return _BROKEN
    height, width = size
    if any(min(ring) >= 0 and sum(ring) == height * width for ring in rings):
        return Problem("broken-segmentation", "has run lengths where the corners of a ring belong")
    parts = sound_parts(rings)  # pycocotools would take a part of four numbers for a box
    if not parts:
        most = max(len(ring) for ring in rings) // 2
        return Problem("degenerate-polygon", f"is a polygon of {counted(most, 'point')}")
    if max(max(map(abs, part)) for part in parts) >= _FAR_OUTSIDE + max(size):
        return Problem("broken-segmentation", "has a polygon far outside its picture")
    return parts


def sound_parts(polygons: list[list[float]]) -> list[list[float]]:
    """The parts of a polygon with at least three points; a number without its pair is dropped."""
    return [part[: len(part) // 2 * 2] for part in polygons if len(part) >= 6]


def is_degenerate(annotation: Entry) -> bool:
    """Whether a polygon has parts without three points, or with half a point."""
    shape = annotation.get("segmentation")
    if not isinstance(shape, list):
        return False
    rings = [shape] if _is_numbers(shape) else shape
    return all(_is_numbers(ring) for ring in rings) and sound_parts(rings) != rings


def _window(parts: list[list[float]], size: Size) -> tuple[int, int, int, int] | None:
    """(left, top, right, bottom): the pixels of the picture that a polygon can cover."""
    xs = [value for part in parts for value in part[::2]]
    ys = [value for part in parts for value in part[1::2]]
    left, top = max(math.floor(min(xs)) - 1, 0), max(math.floor(min(ys)) - 1, 0)
    right, bottom = min(math.ceil(max(xs)) + 1, size[1]), min(math.ceil(max(ys)) + 1, size[0])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _moved(part: list[float], left: int, top: int) -> list[float]:
    """A ring by whole pixels to the left and up, so that it is filled as it was before.

    pycocotools rounds to fifths of a pixel, which is done here first: a difference is rounded
    otherwise than the number itself.
    """
    moved = np.array(part, float)
    for axis, by in ((0, left), (1, top)):
        if by:
            moved[axis::2] = (np.trunc(5 * moved[axis::2] + 0.5) - 5 * by) / 5
    return moved.tolist()


def _filled(rings: list[Entry]) -> Entry:
    """The union of polygons given as RLEs; one wholly inside another is a hole in it."""
    if len(rings) == 1:
        return rings[0]
    areas = coco_mask.area(rings)
    # With "crowd" the measure is intersection / own area: 1 where ring i lies inside ring j.
    inside = coco_mask.iou(rings, rings, [1] * len(rings)) == 1
    depth = (inside & (areas[:, None] < areas[None])).sum(1)
    if not depth.any():
        return coco_mask.merge(rings)
    size = rings[0]["size"]
    mask = np.zeros(size, np.uint8, order="F")
    for i in np.argsort(depth, kind="stable"):
        mask[coco_mask.decode(rings[i]).view(bool)] = depth[i] % 2 == 0
    return coco_mask.encode(mask)


def _of_run_lengths(rle: Any, size: Size) -> dict[str, Any] | Problem:
    height, width = size
    try:
        if list(rle["size"]) != [height, width]:
            return _BROKEN
        counts = rle["counts"]
        if not isinstance(counts, str) and not _is_numbers(counts):
            return _BROKEN
        if height * width <= _SMALL:
            return _whole(counts, size)
        runs = counts_of(counts) if isinstance(counts, str) else [int(count) for count in counts]
        mask = from_runs(runs, height, width)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, UserError):
        return _BROKEN
    return mask.encode() if mask.area else _NO_PIXEL


def _whole(counts: str | list[int], size: Size) -> dict[str, Any] | Problem:
    """A mask whose box is the whole picture, which is quicker than finding its box where the
    picture is small."""
    height, width = size
    runs = counts_of(counts) if isinstance(counts, str) else counts
    if min(runs, default=-1) < 0 or sum(runs) != height * width:
        return _BROKEN
    rle: Entry = {"size": [height, width], "counts": counts}
    if isinstance(counts, str):
        rle["counts"] = counts.encode("ascii")
    else:
        rle = coco_mask.frPyObjects(rle | {"counts": [int(c) for c in counts]}, height, width)
    if coco_mask.area(rle) == 0:
        return _NO_PIXEL
    return {"x": 0, "y": 0, "w": width, "h": height, "rle": _text(rle)}


def _text(rle: Entry) -> str:
    return rle["counts"].decode("ascii")


def _is_numbers(part: Any) -> bool:
    return (
        isinstance(part, list)
        and bool(part)
        and all(type(value) in (int, float) and math.isfinite(value) for value in part)
    )
