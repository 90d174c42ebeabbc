"""The masks of a COCO JSON: polygons and run lengths, encoded, decoded and laid over each other."""

import math
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from rsisrefiner_jax.formats.coco_entries import Entry
from rsisrefiner_jax.formats.left_out import Problem, counted

Size = tuple[int, int]  # height, width

_FAR_OUTSIDE = 1_000_000  # pixels; pycocotools crashes on coordinates much larger
_BROKEN = Problem(
    "broken-segmentation", "has a 'segmentation' that is neither polygons nor a fitting RLE"
)


def encode(annotation: Entry, size: Size) -> bytes | Problem:
    """The compressed run lengths of an annotation's mask, or why there is none. Never raises.

    The parts of a polygon are united, and one wholly inside another is a hole in it. Runs of a
    compressed RLE that are longer than the picture are only found by `decode`.
    """
    shape = annotation.get("segmentation")
    if not shape:
        return Problem("no-mask", "has no polygon and no RLE")
    if isinstance(shape, list):
        if not all(_is_numbers(part) for part in shape):
            return _BROKEN
        parts = sound_parts(shape)  # pycocotools would take a part of four numbers for a box
        if not parts:
            most = max(len(part) for part in shape) // 2
            return Problem("degenerate-polygon", f"is a polygon of {counted(most, 'point')}")
        if max(max(map(abs, part)) for part in parts) >= _FAR_OUTSIDE:
            return Problem("broken-segmentation", "has a polygon far outside its picture")
        rle = _filled(coco_mask.frPyObjects(parts, *size))
    else:
        try:
            rle = _compressed(shape, size)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return _BROKEN
    if coco_mask.area(rle) == 0:
        return Problem("no-pixel", "covers no pixel of its picture")
    return rle["counts"]


def decode(counts: bytes, size: Size) -> np.ndarray:
    """bool [h, w]. Raises ValueError when the runs are longer than the size allows."""
    return coco_mask.decode({"size": list(size), "counts": counts}).view(bool)


def lay_out(ids: list[int], counts: list[bytes], size: Size) -> tuple[np.ndarray, list[int]]:
    """Labels int32 [h, w, layers] and each mask's layer: the first where it overlaps none.

    Raises:
        ValueError: as `decode`.
    """
    stack = [np.zeros(size, np.int32)]
    layers = []
    boxes = coco_mask.toBbox([{"size": list(size), "counts": item} for item in counts])
    for id, item, (x, y, w, h) in zip(ids, counts, boxes.astype(int), strict=True):
        window = np.s_[y : y + h, x : x + w]
        mask = decode(item, size)[window]
        for layer, labels in enumerate(stack):  # noqa: B007
            if not labels[window][mask].any():
                break
        else:
            layer, labels = len(stack), np.zeros(size, np.int32)
            stack.append(labels)
        labels[window][mask] = id
        layers.append(layer)
    return np.moveaxis(np.stack(stack), 0, -1), layers  # each layer stays contiguous


def sound_parts(polygons: list[list[float]]) -> list[list[float]]:
    """The parts of a polygon with at least three points; a number without its pair is dropped."""
    return [part[: len(part) // 2 * 2] for part in polygons if len(part) >= 6]


def is_degenerate(annotation: Entry) -> bool:
    """Whether a polygon has parts without three points, or with half a point."""
    shape = annotation.get("segmentation")
    return (
        isinstance(shape, list)
        and all(_is_numbers(part) for part in shape)
        and sound_parts(shape) != shape
    )


def _filled(rings: list[Entry]) -> Entry:
    """The union of polygons given as RLEs; one wholly inside another is a hole in it."""
    areas = coco_mask.area(rings)
    # With "crowd" the measure is intersection / own area: 1 where ring i lies inside ring j.
    inside = coco_mask.iou(rings, rings, [1] * len(rings)) == 1
    depth = (inside & (areas[:, None] < areas[None])).sum(1)
    if not depth.any():
        return coco_mask.merge(rings)
    size = rings[0]["size"]
    mask = np.zeros(size, np.uint8, order="F")
    for i in np.argsort(depth, kind="stable"):
        mask[decode(rings[i]["counts"], size)] = depth[i] % 2 == 0
    return coco_mask.encode(mask)


def _compressed(rle: Entry, size: Size) -> Entry:
    """An RLE of the JSON in compressed form. Raises what a misfit raises."""
    if list(rle["size"]) != list(size):
        raise ValueError(f"size {rle['size']}")
    counts = rle["counts"]
    if isinstance(counts, str):
        return {"size": list(size), "counts": counts.encode("ascii")}
    if not _is_numbers(counts) or sum(counts) != size[0] * size[1] or min(counts) < 0:
        raise ValueError("run lengths do not add up to the size of the image")
    return coco_mask.frPyObjects(rle, *size)


def _is_numbers(part: Any) -> bool:
    return (
        isinstance(part, list)
        and bool(part)
        and all(type(value) in (int, float) and math.isfinite(value) for value in part)
    )
