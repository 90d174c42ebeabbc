"""Reading a raster file, whole or a window of it, as RGB and a mask of valid pixels.

PNG, JPEG and their like are decoded by OpenCV. Every other file (GeoTIFF, VRT, JPEG 2000 ...) is
read by rasterio, which reads no more than the window, takes any number of bands and of bits, and
knows no-data. Without rasterio OpenCV stands in for TIFF files of 8 or 16 bits that are grey or
plain RGB; it knows no no-data, so that every pixel is valid. Rasters at addresses are those of
`formats.remote`.

The percentiles of a stretch are taken once a process from the whole file, thinned out to at most
1024 pixels a side: GDAL's nearest-neighbour reading at that size, from the file's own overviews
where it has them. Nothing stays open between calls, so any thread or process may read.
"""

import functools
import os
import sys
from typing import Any

import cv2
import numpy as np

from rsisrefiner_jax.data.stretch import (
    Limits,
    Recipe,
    Stretch,
    apply,
    find_stretch,
    sample_shape,
    thin_out,
)
from rsisrefiner_jax.data.windows import Window
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats import raster_info
from rsisrefiner_jax.formats.pixels import decode
from rsisrefiner_jax.formats.raster_info import INSTALL, opened
from rsisrefiner_jax.formats.rasters import reading
from rsisrefiner_jax.formats.remote import is_allowed

COLOURS = ("red", "green", "blue")
LARGEST = 1 << 30  # pixels of a picture that is read whole: what OpenCV takes, too
SMALL_FILE = 1 << 20  # bytes: too few for so many pixels
HUGE = 1e30  # what no sensor measures: values that are declared as no data lie beyond
OPENCV = (".bmp", ".jpe", ".jpeg", ".jpg", ".png", ".webp")


def read_window(
    path: str, window: Window | tuple[int, int, int, int], recipe: Recipe = Recipe()
) -> tuple[np.ndarray, np.ndarray]:
    """A part of a raster: exactly the pixels that `read_picture` has there.

    Args:
        window: (y, x, height, width), inside the raster.

    Returns:
        uint8 [height, width, 3] RGB; bool [height, width], False where there is no data: by the
        file's no-data value, alpha or mask, or a value that is not a number.

    Raises:
        UserError: as `read_picture`, or a window that is not inside the raster.
    """
    return _read(path, Window(*window), recipe)


def read_picture(path: str, recipe: Recipe = Recipe()) -> tuple[np.ndarray, np.ndarray]:
    """A whole raster, as `read_window` returns it.

    An orientation tag is not applied: labels refer to the stored pixels. The colours of 8-bit
    pixels without data stay as they are stored.

    Raises:
        UserError: a file that is missing, broken, of an unknown kind or of complex numbers, or
            that lacks a band of `recipe`.
    """
    return _read(path, None, recipe)


def _read(path: str, window: Window | None, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    if _is_for_opencv(path) or raster_info.installed() is None:
        pixels, valid = _decoded(path, recipe)
        limits = None
        if recipe.stretches(pixels.dtype):
            found = find_stretch(thin_out(pixels), thin_out(valid), recipe)
            limits = _said(path, recipe, found)
        if window is not None:
            _require_inside(path, window, *valid.shape)
            part = np.s_[window.y : window.y + window.height, window.x : window.x + window.width]
            pixels, valid = pixels[part], np.ascontiguousarray(valid[part])
    else:
        with opened(path) as file:
            if window is not None:
                _require_inside(path, window, file.height, file.width)
            pixels, valid = read_bands(file, recipe, window, None)
        limits = _said(path, recipe, stretch_of_file(path, recipe))
    return apply(pixels, limits), valid


def _is_for_opencv(path: str) -> bool:
    """PNG, JPEG and their like on this machine, but those of more pixels than OpenCV takes."""
    if not path.lower().endswith(OPENCV) or is_allowed(path):
        return False
    if not os.path.isfile(path) or os.path.getsize(path) < SMALL_FILE:
        return True
    height, width = raster_info.stored_size(path) or (0, 0)
    return height * width <= LARGEST


def stretch_of_file(path: str, recipe: Recipe) -> Stretch:
    """What becomes 0 and 255 in a file, and what is left out of that.

    Found once, as long as the file is not written to. Raises UserError as `read_picture`.
    """
    if is_allowed(path):  # at an address: it is taken to stay as it is
        return _stretch_of_file(path, recipe, 0, 0)
    stat = os.stat(path)
    return _stretch_of_file(path, recipe, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=4096)
def _stretch_of_file(path: str, recipe: Recipe, _modified: int, _size: int) -> Stretch:
    with opened(path) as file:
        if not recipe.stretches(np.dtype(file.dtypes[0])):
            return Stretch(None)
        sample, valid = read_bands(file, recipe, None, sample_shape(file.height, file.width))
        return find_stretch(sample, valid, recipe)


_told: set[float] = set()  # values that a note was printed of


def _said(path: str, recipe: Recipe, found: Stretch) -> Limits | None:
    """The limits; prints once of each value that it was guessed to be no data."""
    for value in found.fill if recipe.fill is None else ():
        if value not in _told:
            _told.add(value)
            print(
                f"note: {path}: much of it is {value:g}, which is left out of the stretch as no "
                "data although the file does not declare it; data.fill=[] keeps it in",
                file=sys.stderr,
            )
    return found.limits


def _decoded(path: str, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Bands [h, w, 1 or 3] and valid [h, w] by OpenCV."""
    try:
        pixels = decode(path, cv2.IMREAD_UNCHANGED)
        kind = pixels.dtype
        require(kind in (np.uint8, np.uint16), f"{path}: values are {kind}, not of 8 or 16 bits")
    except UserError as error:
        if path.lower().endswith(OPENCV):
            raise
        raise UserError(f"{error}; {INSTALL}") from error
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    count = pixels.shape[2]
    order = [2, 1, 0, 3] if count > 2 else [0, 1]  # OpenCV's is BGR
    alpha = count if count in (2, 4) else None
    chosen = _chosen(path, recipe, count, [1, 2, 3] if count > 2 else [1])
    valid = np.ones(pixels.shape[:2], bool)
    if alpha and alpha not in chosen:
        valid = pixels[..., alpha - 1] > 0
    return pixels[..., [order[band - 1] for band in chosen]], valid


def read_bands(
    file: Any, recipe: Recipe, window: Window | None, shape: tuple[int, int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Bands [h, w, 1 or 3] and valid bool [h, w] of a file that `opened` gave.

    Args:
        window: None = the whole file.
        shape: (height, width) that it is thinned out to, if given.

    Raises:
        UserError: it cannot be read, holds complex numbers, or lacks a band of `recipe`.
    """
    from rasterio.enums import ColorInterp

    meaning = dict(zip(file.indexes, file.colorinterp, strict=True))
    chosen = _chosen(file.name, recipe, file.count, colour_bands(file))
    require(
        "complex" not in file.dtypes[0],
        f"{file.name}: values are complex numbers; write their magnitude to a file of its own",
    )
    where = window and ((window.y, window.y + window.height), (window.x, window.x + window.width))
    with reading(file.name):
        pixels = file.read(chosen, window=where, out_shape=shape and (len(chosen), *shape))
        if ColorInterp.alpha in [meaning[i] for i in chosen]:  # mislabelled, often infrared
            valid = np.ones(pixels.shape[1:], bool)
        else:
            valid = file.dataset_mask(window=where, out_shape=shape) > 0
    pixels = np.moveaxis(pixels, 0, -1)
    if pixels.dtype.kind == "f":
        valid &= np.isfinite(pixels).all(-1)
        if file.nodata is not None and HUGE < abs(file.nodata) < np.inf:
            # A value of 39 digits is often rounded where it is declared.
            valid &= ~(pixels * np.sign(file.nodata) > HUGE).all(-1)
    if meaning[chosen[0]] == ColorInterp.palette:
        table = np.zeros((np.iinfo(pixels.dtype).max + 1, 3), np.uint8)
        for index, colours in file.colormap(chosen[0]).items():
            table[index] = colours[:3]
        pixels = table[pixels[..., 0]]
    return pixels, valid


def colour_bands(file: Any) -> list[int]:
    """The numbers of the bands that a file itself shows, three or for grey one.

    Those that it calls red, green and blue, by their interpretation or by their names; else the
    first ones that are not alpha. Four bands of more than 8 bits that have no such names are
    blue, green, red and infrared, the order in which satellites' bands are delivered.
    """
    from rasterio.enums import ColorInterp

    bands = zip(file.indexes, file.colorinterp, file.descriptions, strict=True)
    plain = [(i, kind, name or "") for i, kind, name in bands if kind != ColorInterp.alpha]
    for words in ([kind.name for _, kind, _ in plain], [name.lower() for *_, name in plain]):
        if all(words.count(colour) == 1 for colour in COLOURS):
            return [plain[words.index(colour)][0] for colour in COLOURS]
    numbers = [i for i, *_ in plain] or [1]
    if len(numbers) == 4 and np.dtype(file.dtypes[0]).itemsize > 1:
        return numbers[2::-1]
    return numbers[:3] if len(numbers) >= 3 else numbers[:1]


def _chosen(path: str, recipe: Recipe, count: int, own: list[int]) -> list[int]:
    """The numbers of the bands to show, `own` being the file's choice."""
    if not recipe.bands:
        return own
    require(
        max(recipe.bands) <= count,
        f"{path}: data.bands={list(recipe.bands)} but the file has only {count}",
    )
    return list(recipe.bands)


def _require_inside(path: str, window: Window, height: int, width: int) -> None:
    y, x, rows, columns = window
    require(
        0 <= y < y + rows <= height and 0 <= x < x + columns <= width,
        f"{path}: a window of {rows} x {columns} pixels at y={y}, x={x} is not inside the "
        f"raster's {height} x {width} (height x width)",
    )
