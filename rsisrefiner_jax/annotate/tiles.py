"""PNG tiles of a raster for the map; level 0 is the whole image in one tile."""

import math
import threading
from collections import OrderedDict

import cv2
import numpy as np

from rsisrefiner_jax.annotate.source import Source
from rsisrefiner_jax.data.raster import Window
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import require

SIDE = 256
# BGRA stripes that go on from tile to tile: nothing in nature looks like them.
_stripes = (np.add.outer(np.arange(SIDE), np.arange(SIDE)) // 4 % 4 == 0)[..., None]
HATCH = np.where(_stripes, (255, 0, 255, 255), (0, 0, 0, 255)).astype(np.uint8)


def levels(height: int, width: int) -> int:
    """How many levels there are; the last is at native resolution."""
    return max(math.ceil(math.log2(max(height, width) / SIDE)), 0) + 1


def encode(source: Source, recipe: Recipe, level: int, column: int, row: int) -> bytes:
    """One tile as PNG; what lies outside the raster or has no data is transparent.

    What is broken in the file is hatched.

    Raises:
        UserError: no such tile, or the file cannot be read.
    """
    height, width = source.height, source.width
    count = levels(height, width)
    require(0 <= level < count, f"no level {level}: there are 0 to {count - 1}")
    step = 1 << (count - 1 - level)
    span = SIDE * step
    y, x = row * span, column * span
    require(0 <= y < height and 0 <= x < width, f"no tile {column}/{row} on level {level}")
    rows, columns = min(span, height - y), min(span, width - x)
    shape = math.ceil(rows / step), math.ceil(columns / step)
    window = Window(y, x, rows, columns)
    rgb, valid = source.read(window, recipe, step)
    tile = np.zeros((SIDE, SIDE, 4), np.uint8)
    part = tile[: shape[0], : shape[1]]
    part[..., :3] = rgb[..., ::-1]
    part[..., 3] = np.where(valid, 255, 0)
    broken = source.broken(window, step)
    part[broken] = HATCH[: shape[0], : shape[1]][broken]
    return cv2.imencode(".png", tile, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


class TileCache:
    """The tiles asked for last, at most `budget` bytes of them."""

    def __init__(self, budget: int = 64 << 20) -> None:
        self._budget = budget
        self._size = 0
        self._tiles: OrderedDict[tuple, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple) -> bytes | None:
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
            return self._tiles.get(key)

    def put(self, key: tuple, tile: bytes) -> None:
        with self._lock:
            if key in self._tiles:
                return
            self._tiles[key] = tile
            self._size += len(tile)
            while self._size > self._budget:
                self._size -= len(self._tiles.popitem(last=False)[1])
