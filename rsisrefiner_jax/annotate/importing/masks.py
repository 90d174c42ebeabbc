"""Masks as PNG or GeoTIFF: instance ids, class ids, or object and background."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsisrefiner_jax.annotate import rasters
from rsisrefiner_jax.annotate.importing.found import OBJECT_LIMIT, Reading, Target
from rsisrefiner_jax.data import raster as files
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.masks import BOX_LIMIT, Mask, union_box

ROWS = 512
WHOLE_LIMIT = 250_000_000  # pixels of a mask whose connected regions are looked for
TOTAL_LIMIT = 2_000_000_000  # pixels of all objects' boxes
UNCLASSIFIED = {"uint8": 255, "uint16": 65535}


def read(file: Path, target: Target, kind: str | None) -> Reading:
    """Objects of a mask of the raster's size.

    kind: "ids": every value but 0 is an object, in several bands if need be. "classes": every
    connected region of a value but 0 is one, of the class of this number. "binary": every
    connected region that is not 0. None: as this program noted in the file; else binary if it has
    one value besides 0, else ids.

    Raises:
        UserError: not such a mask.
    """
    info = rasters.open_checked(file)
    shape = target.image.info
    require(
        (info.height, info.width) == (shape.height, shape.width),
        f"{file.name}: {info.width} x {info.height} pixels, but {target.image.name} has "
        f"{shape.width} x {shape.height}",
    )
    require(
        np.dtype(info.dtype).kind in "ui",
        f"{file.name}: values are {info.dtype}, not whole numbers",
    )
    with files.opened(str(file)) as source, files.reading(str(file)):
        tags = source.tags()
        noted = tags.get("RSISREFINER")
        chosen = kind or (noted if noted in ("ids", "classes") else _told(source))
        if chosen == "ids":
            return _ids(source)
        require(source.count == 1, f"{file.name}: a mask of {chosen} has one band")
        require(
            info.height * info.width <= WHOLE_LIMIT,
            f"{file.name}: too large for a mask whose regions are to be told apart; give them ids",
        )
        return _regions(source, chosen == "classes", tags)


def _told(source: Any) -> str:
    seen: set[int] = set()
    for part, *_ in _strips(source, 1):
        seen |= set(np.unique(part).tolist()) - {0}
        if len(seen) > 1:
            return "ids"
    return "binary"


def _strips(source: Any, band: int) -> Iterator[tuple[np.ndarray, int]]:
    for y in range(0, source.height, ROWS):
        rows = min(ROWS, source.height - y)
        yield source.read(band, window=((y, y + rows), (0, source.width))), y


def _ids(source: Any) -> Reading:
    boxes: dict[int, tuple[int, int, int, int]] = {}
    for band in range(1, source.count + 1):
        for part, y in _strips(source, band):
            for id, box in _boxes(part, y):
                boxes[id] = union_box([boxes[id], box]) if id in boxes else box
                require(len(boxes) <= OBJECT_LIMIT, f"more than {OBJECT_LIMIT} ids in one mask")
    sizes = [(r - x) * (b - y) for x, y, r, b in boxes.values()]
    require(
        max(sizes, default=0) <= BOX_LIMIT and sum(sizes) <= TOTAL_LIMIT,
        "the objects of this mask are larger than this server takes at a time",
    )
    found = {id: np.zeros((b - y, r - x), bool) for id, (x, y, r, b) in boxes.items()}
    for band in range(1, source.count + 1):
        for part, y in _strips(source, band):
            for id, (left, top, right, bottom) in _boxes(part, y):
                x0, y0 = boxes[id][:2]
                here = part[top - y : bottom - y, left:right] == id
                found[id][top - y0 : bottom - y0, left - x0 : right - x0] |= here
    reading = Reading()
    for id in sorted(found):
        reading.add_mask(Mask(boxes[id][0], boxes[id][1], found[id]), id=id)
    return reading


def _boxes(part: np.ndarray, y: int) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    """The ids in a strip of rows from `y` on, with their boxes in the raster."""
    from scipy.ndimage import find_objects

    ids, numbers = np.unique(part, return_inverse=True)
    numbers = numbers.reshape(part.shape) + (ids[0] != 0)
    for id, where in zip(ids[ids != 0].tolist(), find_objects(numbers), strict=True):
        rows, columns = where
        yield id, (columns.start, y + rows.start, columns.stop, y + rows.stop)


def _regions(source: Any, by_class: bool, tags: dict[str, str]) -> Reading:
    values = source.read(1)
    reading = Reading()
    whole = np.unique(values).tolist() if by_class else [1]
    for value in whole:
        if value == 0:
            continue
        chosen = (values == value) if by_class else (values != 0)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            chosen.view(np.uint8), connectivity=4, ltype=cv2.CV_32S
        )
        require(count <= OBJECT_LIMIT, f"more than {OBJECT_LIMIT} regions in one mask")
        name = ""
        if by_class and value != UNCLASSIFIED.get(str(values.dtype)):
            name = tags.get(f"class_{value}", f"class {value}")
        for label in range(1, count):
            x, y, width, height = stats[label, :4].tolist()
            region = labels[y : y + height, x : x + width] == label
            reading.add_mask(Mask(x, y, region), category=name)
    return reading
