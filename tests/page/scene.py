"""The large raster of the page's tests, and objects on it."""

import json
from pathlib import Path

import numpy as np

from rsisrefiner_jax.data.synthetic import SyntheticSource
from tests.browser import Server

SIDE, CELL = 12_000, 750
CRS, TRANSFORM = "EPSG:32632", (0.3, 0.0, 690_000.0, 0.0, -0.3, 5_335_000.0)
TANKS = 7  # the scene in the lower right corner
KINDS = ("building", "storage tank", "vehicle")


def write_mosaic(path: Path) -> None:
    """A mosaic of generated scenes, written strip by strip."""
    import rasterio

    source = SyntheticSource("test", size=CELL)
    scenes = [source[i].image for i in range(12)]
    across = SIDE // CELL
    shape = {"width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8"}
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    place = {"crs": CRS, "transform": rasterio.Affine(*TRANSFORM)}
    with rasterio.open(path, "w", driver="GTiff", **shape, **tiles, **place) as file:
        for row in range(across):
            numbers = [
                (TANKS + 5 * (across - 1 - row) + 7 * (across - 1 - c)) % 12 for c in range(16)
            ]
            strip = np.concatenate([scenes[number] for number in numbers], axis=1)
            window = rasterio.windows.Window(0, row * CELL, SIDE, CELL)
            file.write(strip.transpose(2, 0, 1), window=window)


def squares(server: Server, folder: Path, count: int) -> Path:
    """A file of `count` objects, 40 pixels wide, that its image can import."""
    rings = []
    for n in range(count):
        x, y = 100 + 60 * (n % 100), 100 + 60 * (n // 100)
        corners = ((x, y), (x + 40, y), (x + 40, y + 40), (x, y + 40), (x, y))
        rings.append(
            [[TRANSFORM[2] + 0.3 * left, TRANSFORM[5] - 0.3 * top] for left, top in corners]
        )
    shapes = [{"type": "Polygon", "coordinates": [ring]} for ring in rings]
    content = {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}},
        "features": [{"type": "Feature", "properties": {}, "geometry": shape} for shape in shapes],
    }
    file = folder / "squares.geojson"
    file.write_text(json.dumps(content))
    return file
