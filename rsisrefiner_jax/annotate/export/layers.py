"""Objects painted into images, without ever holding a whole one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rsisrefiner_jax.annotate.masks import Mask
from rsisrefiner_jax.formats.crs import system

ROWS = 512


def layers_of(masks: Sequence[Mask]) -> list[int]:
    """Of every mask the number of the first layer in which it overlaps no earlier one."""
    chosen: list[int] = []
    boxes = np.array([mask.box for mask in masks]).reshape(-1, 4)
    for i, mask in enumerate(masks):
        left, top, right, bottom = boxes[i]
        earlier = boxes[:i]
        near = (earlier[:, 0] < right) & (earlier[:, 2] > left)
        near &= (earlier[:, 1] < bottom) & (earlier[:, 3] > top)
        window = mask.x, mask.y, mask.width, mask.height
        taken = {
            chosen[j]
            for j in np.flatnonzero(near).tolist()
            if (masks[j].within(*window) & mask.pixels).any()
        }
        chosen.append(next(n for n in range(len(taken) + 1) if n not in taken))
    return chosen


def paint(
    file: Any,
    items: Sequence[tuple[Mask, int, int]],
    width: int,
    height: int,
    dtype: Any,
) -> None:
    """Writes masks into an open rasterio file, each (mask, band, value); later ones on top."""
    for y in range(0, height, ROWS):
        rows = min(ROWS, height - y)
        here = [item for item in items if item[0].y < y + rows and item[0].box[3] > y]
        for band in range(1, file.count + 1):
            part = np.zeros((rows, width), dtype)
            for mask, own, value in here:
                if own == band:
                    window = part[:, mask.x : mask.box[2]]
                    window[mask.within(mask.x, y, mask.width, rows)] = value
            if part.any():
                file.write(part, band, window=((y, y + rows), (0, width)))


def profile(info: Any, dtype: str, count: int) -> dict[str, Any]:
    """Of a GeoTIFF on a raster's grid."""
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
