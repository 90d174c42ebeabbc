"""Thinned-out copies of large rasters without overviews, made in one pass over the file.

GDAL's own decimated reading unpacks a block once for every band and tile that needs it, which
takes minutes where one pass over the file takes seconds; uncompressed rows alone it reads well.
Two small files come of it: a preview for the coarse tiles, and the sample that the percentiles of
a stretch are taken from, at the very pixels that `data.raster` takes.
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

from rsisrefiner_jax.data import raster as files
from rsisrefiner_jax.data.stretch import sample_shape

SMALL = 4096  # pixels; GDAL alone is quick enough on rasters of this side
SIDE = 2048  # pixels of a preview, but
LARGEST_STEP = 16  # every so many-th pixel at least
CHUNK = 32 << 20  # bytes read at a time by a thread
BANDS = 8  # files of more are left to GDAL
THREADS = min(os.cpu_count() or 1, 4)

_locks: dict[str, threading.Lock] = defaultdict(threading.Lock)


class Preview(NamedTuple):
    """path: every `step`-th pixel, beginning with that in the middle of the first step.
    sample: the file that percentiles are taken from."""

    path: str
    step: int
    sample: str


class _Copy(NamedTuple):
    """A file being written: which rows and columns of the raster it gets, both rising."""

    file: Any
    rows: np.ndarray
    columns: np.ndarray


def preview_of(path: str, cache: Path, name: str) -> Preview | None:
    """The preview of a raster, made when it is first asked for; None where none is needed.

    Args:
        cache: the folder for it.
        name: of the file's content; another one when that changes.
    """
    with files.opened(path) as file, files.reading(path):
        side = max(file.shape)
        rows = file.compression is None and file.block_shapes[0][1] == file.width
        quick = rows or file.overviews(1)
        if side <= SMALL or quick or file.count > BANDS:
            return None
    step = 1
    while step < LARGEST_STEP and side / step > SIDE:
        step *= 2
    wanted = Preview(str(cache / f"{name}.x{step}.tif"), step, str(cache / f"{name}.sample.tif"))
    with _locks[wanted.path]:
        if not os.path.exists(wanted.path):
            _make(path, wanted)
    return wanted


def steps(length: int, step: int) -> np.ndarray:
    """The rows or columns that a preview has of a raster."""
    return np.minimum(np.arange(0, length, step) + step // 2, length - 1)


def _make(path: str, wanted: Preview) -> None:
    import rasterio
    from rasterio.enums import Resampling

    parts = {name: f"{name}.part" for name in (wanted.path, wanted.sample)}
    with files.opened(path) as file, files.reading(path):
        height, width = file.shape
        rows, columns = sample_shape(height, width)
        positions = {
            wanted.path: (steps(height, wanted.step), steps(width, wanted.step)),
            wanted.sample: (
                ((np.arange(rows) + 0.5) * height / rows).astype(int),
                ((np.arange(columns) + 0.5) * width / columns).astype(int),
            ),
        }
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), contextlib.ExitStack() as stack:
            copies = [
                _Copy(stack.enter_context(_like(file, parts[name], *where)), *where)
                for name, where in positions.items()
            ]
            _fill(path, list(_chunks(file)), copies)
    with rasterio.open(parts[wanted.path], "r+") as small:
        if max(small.shape) > SIDE:
            factors = [2**n for n in range(1, 12) if max(small.shape) / 2**n > 128]
            small.build_overviews(factors, Resampling.nearest)
    for name in (wanted.sample, wanted.path):  # the last one says that both are there
        os.replace(parts[name], name)


@contextlib.contextmanager
def _like(file: Any, path: str, rows: np.ndarray, columns: np.ndarray) -> Iterator[Any]:
    """A new small file with the meaning of a large one's values."""
    import rasterio

    profile = {
        "driver": "GTiff",
        "height": len(rows),
        "width": len(columns),
        "count": file.count,
        "dtype": file.dtypes[0],
        "nodata": file.nodata,
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "interleave": "band",
        "bigtiff": "IF_SAFER",
    }
    with rasterio.open(path, "w", **profile) as small:
        small.colorinterp = file.colorinterp
        with contextlib.suppress(ValueError):  # there is none
            small.write_colormap(1, file.colormap(1))
        yield small


def _chunks(file: Any) -> Iterator[tuple[int, int, int, int]]:
    """Windows (top, bottom, left, right) of whole blocks that cover a file."""
    height, width = file.shape
    block_height, block_width = file.block_shapes[0]
    pixel = file.count * np.dtype(file.dtypes[0]).itemsize
    columns = max(min(CHUNK // (pixel * block_height * block_width), -(-width // block_width)), 1)
    across = min(columns * block_width, width)
    rows = max(CHUNK // (pixel * block_height * across), 1) * block_height
    for top in range(0, height, rows):
        for left in range(0, width, across):
            yield top, min(top + rows, height), left, min(left + across, width)


def _fill(path: str, chunks: list[tuple[int, int, int, int]], copies: list[_Copy]) -> None:
    from rasterio.enums import MaskFlags

    own = threading.local()
    writing = threading.Lock()

    def fill(chunk: tuple[int, int, int, int]) -> None:
        if not hasattr(own, "file"):
            own.file = files.opened(path)
            stack.callback(own.file.close)
        file = own.file
        top, bottom, left, right = chunk
        where = (top, bottom), (left, right)
        with files.reading(path):
            pixels = file.read(window=where)
            masked = file.mask_flag_enums[0] == [MaskFlags.per_dataset]
            mask = file.dataset_mask(window=where) if masked else None
        for small, rows, columns in copies:
            y0, y1 = np.searchsorted(rows, (top, bottom)).tolist()
            x0, x1 = np.searchsorted(columns, (left, right)).tolist()
            if y0 == y1 or x0 == x1:
                continue
            picked = np.ix_(rows[y0:y1] - top, columns[x0:x1] - left)
            with writing:
                small.write(pixels[:, *picked], window=((y0, y1), (x0, x1)))
                if mask is not None:
                    small.write_mask(mask[picked], window=((y0, y1), (x0, x1)))

    with contextlib.ExitStack() as stack, ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(fill, chunks):
            pass
