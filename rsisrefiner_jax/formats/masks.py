"""The pixels of an object: a box of them, wherever it lies in however large a raster."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from rsisrefiner_jax.errors import require

BOX_LIMIT = 400_000_000  # pixels of the box around one object


@dataclasses.dataclass(frozen=True, eq=False)
class Mask:
    """pixels: bool [h, w], the raster's from column `x` and row `y` on."""

    x: int
    y: int
    pixels: np.ndarray

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def area(self) -> int:
        """Pixels of the object."""
        return int(np.count_nonzero(self.pixels))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of the pixels held."""
        return self.x, self.y, self.x + self.width, self.y + self.height

    def trimmed(self) -> "Mask":
        """The same mask without empty rows and columns around it."""
        rows, columns = (np.flatnonzero(self.pixels.any(axis)) for axis in (1, 0))
        if not len(rows):
            return Mask(0, 0, np.zeros((0, 0), bool))
        (y0, y1), (x0, x1) = rows[[0, -1]].tolist(), columns[[0, -1]].tolist()
        part = np.ascontiguousarray(self.pixels[y0 : y1 + 1, x0 : x1 + 1])
        return Mask(self.x + x0, self.y + y0, part)

    def within(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """bool [height, width]: what of it lies in a window of the raster."""
        window = np.zeros((height, width), bool)
        copy_shared(self.pixels, (self.x, self.y), window, (x, y))
        return window

    def cut_to(self, x: int, y: int, width: int, height: int) -> "Mask":
        """The part that lies in a window, trimmed; x and y count from the window's corner."""
        left, top, right, bottom = self.box
        x0, y0 = max(left, x), max(top, y)
        x1, y1 = max(min(right, x + width), x0), max(min(bottom, y + height), y0)
        part = self.pixels[y0 - top : y1 - top, x0 - left : x1 - left]
        return Mask(x0 - x, y0 - y, part).trimmed()

    def pasted(self, x: int, y: int, pixels: np.ndarray) -> "Mask":
        """The mask with other pixels in a window, trimmed."""
        height, width = pixels.shape
        outer = union_box([self.box, (x, y, x + width, y + height)]) if self.area else None
        if outer is None:
            return Mask(x, y, pixels).trimmed()
        left, top, right, bottom = outer
        full = self.within(left, top, right - left, bottom - top)
        full[y - top : y - top + height, x - left : x - left + width] = pixels
        return Mask(left, top, full).trimmed()

    def joined(self, other: "Mask") -> "Mask":
        """The union with another mask. Raises UserError: larger than any object may be."""
        boxes = [mask.box for mask in (self, other) if mask.area]
        left, top, right, bottom = union_box(boxes or [self.box])
        width, height = right - left, bottom - top
        require(
            width * height <= BOX_LIMIT,
            f"an object of {width} x {height} pixels is larger than this server takes; finish this "
            "one and draw the rest as another",
        )
        window = left, top, width, height
        return Mask(left, top, self.within(*window) | other.within(*window)).trimmed()

    def without(self, other: "Mask") -> "Mask":
        """The difference to another mask."""
        taken = other.within(self.x, self.y, self.width, self.height)
        return Mask(self.x, self.y, self.pixels & ~taken).trimmed()

    def shared(self, other: "Mask") -> int:
        """How many pixels both have."""
        left, top = max(self.x, other.x), max(self.y, other.y)
        right, bottom = min(self.box[2], other.box[2]), min(self.box[3], other.box[3])
        if right <= left or bottom <= top:
            return 0
        window = left, top, right - left, bottom - top
        return int(np.count_nonzero(self.within(*window) & other.within(*window)))

    def same(self, other: "Mask") -> bool:
        """Whether two trimmed masks have the same pixels."""
        return self.box == other.box and np.array_equal(self.pixels, other.pixels)

    def encode(self) -> dict[str, Any]:
        """As JSON: the box and COCO's compressed run lengths within it."""
        return {
            "x": self.x,
            "y": self.y,
            "w": self.width,
            "h": self.height,
            "rle": compress(self.pixels),
        }

    @staticmethod
    def decode(encoded: dict[str, Any]) -> "Mask":
        """The inverse of `encode`."""
        shape = (encoded["h"], encoded["w"])
        return Mask(encoded["x"], encoded["y"], expand(encoded["rle"], shape))


EMPTY = Mask(0, 0, np.zeros((0, 0), bool))


def encoded_box(encoded: dict[str, Any]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a mask, without decoding it."""
    x, y = encoded["x"], encoded["y"]
    return x, y, x + encoded["w"], y + encoded["h"]


def copy_shared(
    source: np.ndarray, source_at: tuple[int, int], target: np.ndarray, target_at: tuple[int, int]
) -> None:
    """Copies what two windows [h, w] of a raster, at (x, y) each, have in common."""
    across, down = (
        _shared(source_at[i], source.shape[1 - i], target_at[i], target.shape[1 - i])
        for i in (0, 1)
    )
    target[down[1], across[1]] = source[down[0], across[0]]


def _shared(a: int, a_length: int, b: int, b_length: int) -> tuple[slice, slice]:
    """The intersection of two intervals, as slices counted from the start of either."""
    first, last = max(a, b), min(a + a_length, b + b_length)
    last = max(first, last)
    return slice(first - a, last - a), slice(first - b, last - b)


def union_box(boxes: Iterable[tuple[int, int, int, int]]) -> tuple[int, int, int, int]:
    """The box around boxes (left, top, right, bottom)."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def compress(pixels: np.ndarray) -> str:
    """COCO's compressed run lengths of bool [h, w]."""
    if not pixels.size:
        return ""
    return coco_mask.encode(np.asfortranarray(pixels.view(np.uint8)))["counts"].decode("ascii")


def expand(counts: str, shape: tuple[int, int]) -> np.ndarray:
    """The inverse of `compress`: bool [h, w]."""
    if not shape[0] * shape[1]:
        return np.zeros(shape, bool)
    rle = {"size": list(shape), "counts": counts.encode("ascii")}
    return np.ascontiguousarray(coco_mask.decode(rle)).view(bool)


def runs_in(mask: Mask, height: int, width: int) -> list[int]:
    """COCO's uncompressed counts of a mask in its whole raster, without unpacking that."""
    columns = np.zeros((mask.width, mask.height + 2), np.int8)
    columns[:, 1:-1] = mask.pixels.T
    edges = np.diff(columns, axis=1)
    first = np.argwhere(edges == 1)
    last = np.argwhere(edges == -1)
    start = (first[:, 0] + mask.x) * height + first[:, 1] + mask.y
    end = (last[:, 0] + mask.x) * height + last[:, 1] + mask.y
    apart = start[1:] != end[:-1]  # otherwise a run goes on at the top of the next column
    one = np.ones(min(len(start), 1), bool)
    runs = np.stack([start[np.concatenate([one, apart])], end[np.concatenate([apart, one])]], 1)
    bounds = np.concatenate([[0], runs.ravel(), [height * width]]).astype(np.int64)
    counts = np.diff(bounds).tolist()
    return counts if counts[-1] or len(counts) == 1 else counts[:-1]


def coco_rle(mask: Mask, height: int, width: int) -> dict[str, Any]:
    """COCO's compressed RLE of a mask in its whole raster."""
    counts = runs_in(mask, height, width)
    rle = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}


def areas_of(masks: Sequence[dict[str, Any]]) -> list[int]:
    """The pixels of masks that `Mask.encode` gave, without decoding them."""
    rles = [{"size": [m["h"], m["w"]], "counts": m["rle"].encode("ascii")} for m in masks]
    parts = [rles[start : start + 255] for start in range(0, len(rles), 255)]  # it takes no more
    return [int(area) for part in parts for area in coco_mask.area(part)]


def counts_of(text: str) -> list[int]:
    """COCO's compressed run lengths as numbers. Raises ValueError for anything else.

    Six bits a letter, five of them of the number and the first one saying that it goes on; from
    the fourth on the difference to the run two before.
    """
    data = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    if not len(data):
        return []
    goes_on = (data & 0x20) > 0
    if data.min() < 0 or data.max() > 63 or goes_on[-1]:
        raise ValueError("no run lengths")
    starts = np.flatnonzero(np.r_[True, ~goes_on[:-1]])
    lengths = np.diff(np.r_[starts, len(data)])
    if lengths.max() > 12:
        raise ValueError("no run lengths")
    place = np.arange(len(data)) - np.repeat(starts, lengths)
    values = np.add.reduceat((data & 0x1F) << 5 * place, starts)
    negative = (data[starts + lengths - 1] & 0x10) > 0
    values -= np.where(negative, np.int64(1) << 5 * lengths, 0)
    for first in (1, 2):
        values[first::2] = np.cumsum(values[first::2])
    return values.tolist()


def from_runs(counts: list[int], height: int, width: int) -> Mask:
    """A mask from COCO's uncompressed counts, without unpacking its whole raster.

    Raises ValueError when they do not add up to it.
    """
    if min(counts, default=-1) < 0 or sum(counts) != height * width:
        raise ValueError("run lengths do not add up to the size of the image")
    bounds = np.cumsum(np.array([*counts, 0], np.int64))
    start, end = bounds[0:-1:2], bounds[1::2]
    start, end = start[: len(end)], end[: len(start)]
    some = end > start
    start, end = start[some], end[some]
    if not len(start):
        return EMPTY
    x0, x1 = int(start[0] // height), int((end[-1] - 1) // height) + 1
    same = (start // height == (end - 1) // height).all()
    y0 = int((start % height).min()) if same else 0
    y1 = int(((end - 1) % height).max()) + 1 if same else height
    require((x1 - x0) * (y1 - y0) <= BOX_LIMIT, "an object is larger than this server takes")
    columns = np.zeros((x1 - x0, y1 - y0), bool)
    if same:
        step = np.zeros((x1 - x0, y1 - y0 + 1), np.int8)
        np.add.at(step, (start // height - x0, start % height - y0), 1)
        np.add.at(step, (end // height - x0 - (end % height == 0), (end - 1) % height + 1 - y0), -1)
        columns = np.cumsum(step[:, :-1], axis=1, dtype=np.int8).view(bool)
    else:
        flat = np.zeros((x1 - x0) * height + 1, np.int8)
        np.add.at(flat, start - x0 * height, 1)
        np.add.at(flat, end - x0 * height, -1)
        columns = np.cumsum(flat[:-1], dtype=np.int8).view(bool).reshape(x1 - x0, height)
    return Mask(x0, y0, np.ascontiguousarray(columns.T)).trimmed()
