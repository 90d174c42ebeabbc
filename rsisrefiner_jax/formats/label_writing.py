"""Masks of ids or classes as files: objects painted into them, without ever holding a whole one."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from rsisrefiner_jax.formats.crs import system
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.formats.progress import Progress

ROWS = 512


def paint(
    file: Any,
    items: Sequence[tuple[Mask, int, int]],
    width: int,
    height: int,
    dtype: Any,
    progress: Progress,
) -> None:
    """Writes masks into an open rasterio file, each (mask, band, value); later ones on top.

    Each is a step, done with its last row. Raises Cancelled.
    """
    strips: dict[tuple[int, int], list[tuple[Mask, int]]] = defaultdict(list)
    for mask, band, value in items:
        for strip in range(mask.y // ROWS, (mask.box[3] - 1) // ROWS + 1):
            strips[strip, band].append((mask, value))
    for strip, band in sorted(strips):
        y = strip * ROWS
        rows = min(ROWS, height - y)
        part = np.zeros((rows, width), dtype)
        for mask, value in strips[strip, band]:
            progress.check()
            window = part[:, mask.x : mask.box[2]]
            window[mask.within(mask.x, y, mask.width, rows)] = value
            progress.done += mask.box[3] <= y + rows
        if part.any():
            file.write(part, band, window=((y, y + rows), (0, width)))


def profile(info: Any, dtype: str, count: int) -> dict[str, Any]:
    """The profile of a GeoTIFF on a raster's grid, as rasterio takes it."""
    from affine import Affine

    return {
        "driver": "GTiff",
        "width": info.width,
        "height": info.height,
        "count": count,
        "dtype": dtype,
        "crs": system(info.crs) if info.crs else None,
        "transform": Affine(*info.transform) if info.transform else Affine.identity(),
        "tiled": True,
        "blockxsize": 256,
        "blockysize": ROWS,
        "compress": "deflate",
        "interleave": "band",
        "sparse_ok": True,
        "bigtiff": "IF_SAFER",
    }
