"""Tiled copies of pictures that can only be read from their top down (PNG, JPEG, WebP)."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import MaskFlags

from rsisrefiner_jax.annotate.copies import Copy, copying
from rsisrefiner_jax.annotate.damage import Damage, unreadable
from rsisrefiner_jax.annotate.refusals import NoSpace
from rsisrefiner_jax.data import raster as files
from rsisrefiner_jax.errors import UserError, require

SEQUENTIAL = tuple(suffix for suffix in files.OPENCV if suffix != ".bmp")
ROWS = 256  # read at a time

_unpacking = threading.Lock()


def tiled_copy(path: Path, cache: Path, fingerprint: str, damage: Damage) -> Path | None:
    """A copy with random access, made when it is first asked for; None: there is no room for it.

    Where the picture breaks off, the rest of it is noted as broken.

    Raises:
        UserError: nothing of it can be read.
    """
    target = cache / f"{fingerprint}.tif"
    with _unpacking:
        if target.exists():
            return target
        # Read whole, a PNG file that breaks off is made up by GDAL without an error.
        with (
            rasterio.Env(GDAL_PNG_WHOLE_IMAGE_OPTIM="NO"),
            files.opened(str(path)) as file,
        ):
            try:
                with copying(target, file, *file.shape, compress="LZW") as copy:
                    _unpack(path, file, damage, copy)
                return target
            except NoSpace:
                _unpack(path, file, damage, None)
                return None


def _unpack(path: Path, file: Any, damage: Damage, copy: Copy | None) -> None:
    """Reads an opened picture into a copy, if there is one, and notes where it breaks off."""
    height, width = file.shape
    masked = file.mask_flag_enums[0] == [MaskFlags.per_dataset]
    end = 0
    for top, pixels, mask in _strips(str(path), file, masked):
        end = top + pixels.shape[1]
        if copy is not None:
            copy.write(pixels, mask, ((top, end), (0, width)))
    require(end > 0, f"{path.name}: cannot be read as a raster: it is broken")
    if end < height:
        damage.mark(np.s_[end:, :])
    damage.check_file()
    if copy is not None:
        damage.save()  # before the copy is there to be believed


def _strips(
    path: str, file: Any, masked: bool
) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
    """(top, pixels [bands, h, w], mask [h, w]) from the top down, as far as it can be read."""

    def read(file: Any, top: int, bottom: int) -> tuple[int, np.ndarray, np.ndarray | None]:
        place = (top, bottom), (0, file.width)
        with files.reading(path):
            pixels = file.read(window=place)
            return top, pixels, file.dataset_mask(window=place) if masked else None

    for top in range(0, file.height, ROWS):
        bottom = min(top + ROWS, file.height)
        try:
            yield read(file, top, bottom)
        except UserError as error:
            if not unreadable(error):
                raise
            # Opened again: after a fault the same JPEG reader makes up what follows.
            with files.opened(path) as again:
                yield from _rows(lambda row: read(again, row, row + 1), top, bottom)
            return


def _rows(read: Any, top: int, bottom: int) -> Iterator[Any]:
    for row in range(top, bottom):
        try:
            yield read(row)
        except UserError as error:
            if not unreadable(error):
                raise
            return
