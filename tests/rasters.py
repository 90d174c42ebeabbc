"""Tiny GeoTIFFs for tests; importing this needs rasterio."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import Affine

UTM = {"crs": "EPSG:32632", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)}


def write_raster(path: Path, bands: np.ndarray, **profile: Any) -> str:
    """Writes bands [count, h, w] as a tiled GeoTIFF; rasterio's profile says the rest."""
    count, height, width = bands.shape
    shape = {"count": count, "height": height, "width": width, "dtype": bands.dtype}
    profile = {"tiled": True, "blockxsize": 16, "blockysize": 16} | profile
    interpretation = profile.pop("colorinterp", None)
    colormap = profile.pop("colormap", None)
    with rasterio.open(path, "w", driver="GTiff", **shape, **profile) as file:
        file.write(bands)
        if interpretation:
            file.colorinterp = interpretation
        if colormap:
            file.write_colormap(1, colormap)
    return str(path)
