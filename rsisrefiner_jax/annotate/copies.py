"""GeoTIFFs that the server makes for itself of a raster: checked, and whole or not there.

On a full disk GDAL may write a file that is mostly holes without saying a word, so what is read
back is compared with what was written before a copy gets its name.
"""

import contextlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from rsisrefiner_jax.annotate.disk import written_aside
from rsisrefiner_jax.annotate.refusals import NoSpace

Place = tuple[tuple[int, int], tuple[int, int]]  # (top, bottom), (left, right)


class Copy:
    """A GeoTIFF being written. One thread at a time."""

    def __init__(self, file: Any, name: str) -> None:
        self._file = file
        self._name = name
        self._written: list[tuple[Place, int, int | None]] = []

    def write(self, pixels: np.ndarray, mask: np.ndarray | None, place: Place) -> None:
        """Writes a window, [bands, h, w], and its mask. Raises NoSpace."""
        with _room(self._name):
            self._file.write(pixels, window=place)
            if mask is not None:
                self._file.write_mask(mask, window=place)
        self._written.append((place, _checksum(pixels), None if mask is None else _checksum(mask)))

    def check(self, part: Path) -> None:
        """Raises NoSpace: the closed file does not hold what was written."""
        with _room(self._name), rasterio.open(part, driver="GTiff") as file:
            for place, pixels, mask in self._written:
                whole = _checksum(file.read(window=place)) == pixels and (
                    mask is None or _checksum(file.read_masks(1, window=place)) == mask
                )
                if not whole:
                    raise NoSpace(_sentence(self._name))


@contextlib.contextmanager
def copying(target: Path, like: Any, height: int, width: int, **profile: Any) -> Iterator[Copy]:
    """A new GeoTIFF with the meaning of another raster's values.

    Args:
        like: the raster, opened.
        profile: more of rasterio's creation options.

    Raises:
        NoSpace: the disk is full; nothing stays.
    """
    shape = {"height": height, "width": width, "count": like.count, "dtype": like.dtypes[0]}
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "bigtiff": "IF_SAFER"}
    options = {"driver": "GTiff", "nodata": like.nodata, **shape, **tiles, **profile}
    with written_aside(target) as part:
        with (
            _room(target.name),
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(part, "w", **options) as file,
        ):
            file.colorinterp = like.colorinterp
            with contextlib.suppress(ValueError):  # there is none
                file.write_colormap(1, like.colormap(1))
            copy = Copy(file, target.name)
            yield copy
        copy.check(part)


@contextlib.contextmanager
def _room(name: str) -> Iterator[None]:
    """Turns GDAL's errors about writing into NoSpace."""
    try:
        yield
    except (RasterioError, CPLE_BaseError) as error:
        raise NoSpace(_sentence(name)) from error


def _sentence(name: str) -> str:
    return f"{name}: it could not be written whole; is the disk full?"


def _checksum(pixels: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(pixels).tobytes())
