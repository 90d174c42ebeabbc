"""Thinned-out copies of large rasters without overviews, made in one pass over the file.

GDAL's own decimated reading unpacks a block once for every band and tile that needs it, which
takes minutes where one pass over the file takes seconds; uncompressed rows alone it reads well.
Small files come of it: previews for the coarse tiles, and the sample that the percentiles of a
stretch are taken from, at the very pixels that `data.raster` takes.
"""

import contextlib
import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rasterio.enums import MaskFlags

from rsisrefiner_jax.annotate.copies import Copy, copying
from rsisrefiner_jax.annotate.damage import Damage
from rsisrefiner_jax.data import raster as files
from rsisrefiner_jax.data.raster import Window
from rsisrefiner_jax.data.stretch import sample_shape

SMALL = 4096  # pixels; GDAL alone is quick enough on rasters of this side
SIDE = 2048  # pixels of a preview, but
LARGEST_STEP = 16  # every so many-th pixel at least; then
APART = 8  # times as many in the next preview, until one is small
CHUNK = 32 << 20  # bytes read at a time by a thread
BANDS = 8  # files of more are left to GDAL
THREADS = min(os.cpu_count() or 1, 4)

_locks: dict[str, threading.Lock] = defaultdict(threading.Lock)


class Level(NamedTuple):
    """A file of every `step`-th pixel, beginning with that in the middle of the first step."""

    path: str
    step: int


class Preview(NamedTuple):
    """levels: from fine to coarse. sample: the file that percentiles are taken from."""

    levels: tuple[Level, ...]
    sample: str

    def level(self, step: int) -> Level | None:
        """The one to read every `step`-th pixel from; None where the raster itself is."""
        return next((level for level in reversed(self.levels) if level.step <= step), None)


class _Part(NamedTuple):
    """A copy being written: which rows and columns of the raster it gets, both rising."""

    copy: Copy
    rows: np.ndarray
    columns: np.ndarray


def preview_of(path: Path, cache: Path, fingerprint: str, damage: Damage) -> Preview | None:
    """The preview of a raster, made when it is first asked for; None where none is needed.

    Args:
        path: of the raster, or of a copy that stands in for it.
        cache: the folder for it.
        fingerprint: of the file's content; another one when that changes.
        damage: gets the blocks that cannot be read; they are zero in the preview.

    Raises:
        UserError: the raster cannot be read.
        NoSpace: there is no room for it.
    """
    with files.opened(str(path)) as file, files.reading(str(path)):
        side = max(file.shape)
        rows = file.compression is None and file.block_shapes[0][1] == file.width
        quick = rows or file.overviews(1) or file.count > BANDS
        if side <= SMALL or (quick and not damage.coarse):
            return None
    step = 1
    while step < LARGEST_STEP and side / step > SIDE:
        step *= 2
    chain = [step]
    while side / chain[-1] > SIDE:
        chain.append(chain[-1] * APART)
    levels = tuple(Level(str(cache / f"{fingerprint}.x{n}.tif"), n) for n in chain)
    wanted = Preview(levels, str(cache / f"{fingerprint}.sample.tif"))
    with _locks[levels[0].path]:
        if not os.path.exists(levels[0].path):
            _make(str(path), wanted, damage)
    return wanted


def steps(length: int, step: int) -> np.ndarray:
    """The rows or columns that a preview has of a raster."""
    return np.minimum(np.arange(0, length, step) + step // 2, length - 1)


def sampled(length: int, count: int) -> np.ndarray:
    """The rows or columns that percentiles are taken from."""
    return ((np.arange(count) + 0.5) * length / count).astype(int)


def _make(path: str, wanted: Preview, damage: Damage) -> None:
    """Writes the files of a preview; the finest, which says that all are there, comes last."""
    with files.opened(path) as file:
        height, width = file.shape
        rows, columns = sample_shape(height, width)
        positions = {
            **{p: (steps(height, step), steps(width, step)) for p, step in wanted.levels},
            wanted.sample: (sampled(height, rows), sampled(width, columns)),
        }
        try:
            with contextlib.ExitStack() as stack:
                parts = []
                for target, (y, x) in positions.items():
                    new = copying(Path(target), file, len(y), len(x), interleave="band")
                    parts.append(_Part(stack.enter_context(new), y, x))
                _fill(path, list(_chunks(file)), parts, damage)
                damage.check_file()
                damage.save()
        except BaseException:
            for target in positions:
                Path(target).unlink(missing_ok=True)
            raise


def _chunks(file: Any) -> Iterator[Window]:
    """Windows of whole blocks that cover a file."""
    height, width = file.shape
    block_height, block_width = file.block_shapes[0]
    pixel = file.count * np.dtype(file.dtypes[0]).itemsize
    columns = max(min(CHUNK // (pixel * block_height * block_width), -(-width // block_width)), 1)
    across = min(columns * block_width, width)
    rows = max(CHUNK // (pixel * block_height * across), 1) * block_height
    for top in range(0, height, rows):
        for left in range(0, width, across):
            yield Window(top, left, min(rows, height - top), min(across, width - left))


def _fill(path: str, chunks: list[Window], parts: list[_Part], damage: Damage) -> None:
    own = threading.local()
    writing = threading.Lock()

    def read(window: Window) -> tuple[np.ndarray, np.ndarray]:
        """All bands, and the mask, all true where the file has none of its own."""
        y, x, height, width = window
        place = (y, y + height), (x, x + width)
        with files.reading(path):
            pixels = np.moveaxis(own.file.read(window=place), 0, -1)
            if own.file.mask_flag_enums[0] != [MaskFlags.per_dataset]:
                return pixels, np.ones((height, width), bool)
            return pixels, own.file.dataset_mask(window=place) > 0

    def fill(chunk: Window) -> None:
        if not hasattr(own, "file"):
            own.file = files.opened(path)
            stack.callback(own.file.close)
        masked = own.file.mask_flag_enums[0] == [MaskFlags.per_dataset]
        found = damage.read(own.file, chunk, read)
        if found is None:
            return
        pixels, mask = found
        top, left, height, width = chunk
        for copy, rows, columns in parts:
            y0, y1 = np.searchsorted(rows, (top, top + height)).tolist()
            x0, x1 = np.searchsorted(columns, (left, left + width)).tolist()
            if y0 == y1 or x0 == x1:
                continue
            picked = np.ix_(rows[y0:y1] - top, columns[x0:x1] - left)
            thin = np.moveaxis(pixels[picked], -1, 0)
            seen = np.where(mask[picked], np.uint8(255), np.uint8(0)) if masked else None
            with writing:
                copy.write(thin, seen, ((y0, y1), (x0, x1)))

    with contextlib.ExitStack() as stack, ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(fill, chunks):  # the first that fails keeps the rest from beginning
            pass
