"""The data SPEC `geo:RASTER.tif,VECTORS.gpkg`: a raster and its polygons as windowed scenes."""

import os
from pathlib import Path

import numpy as np
import shapely
from tqdm import tqdm

from rsisrefiner_jax.data.raster import Window, read_window
from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.data.windows import windows
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats import geometry
from rsisrefiner_jax.formats.layers import lay_out
from rsisrefiner_jax.formats.left_out import LeftOut, Problem
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.formats.polygons import read_polygons
from rsisrefiner_jax.formats.raster_info import Raster, open_raster
from rsisrefiner_jax.formats.region import Region

LAYER = "|layername="  # as QGIS writes the source of a layer


class GeoSource:
    """Scenes of at most 800 x 800 pixels that tile a raster, at its own resolution.

    All windows have the same size but for a pixel, rather than leaving slivers at the far edges.
    Windows without an object are left out (`windows_left_out`). A pixel belongs to a polygon that
    holds its centre. A polygon that a window border cuts is an object of both windows, each with
    its own part; its id (`formats.polygons`) is the same in both. Polygons that overlap
    lie in different layers. Pixels without data are ignored.

    Args:
        raster: GeoTIFF or another georeferenced file, see `formats.kinds.drivers_for`.
        vectors: polygons in any coordinate reference system: GeoPackage, GeoJSON, Shapefile,
            FlatGeobuf.
        recipe: how raster values become RGB.
        class_field: the attribute that names the class, see `read_polygons`.

    Raises:
        UserError: as `open_raster` and `read_polygons`, or no polygon covers a pixel. A damaged
            raster when a scene is read.
    """

    def __init__(
        self,
        raster: str,
        vectors: str,
        recipe: Recipe = Recipe(),
        class_field: str | None = None,
    ) -> None:
        info = open_raster(raster)
        self.notes = [f"{raster}: {info.hint}"] if info.transform and info.hint else []
        self._raster = raster
        self._recipe = recipe
        self._regions = self._read(vectors, info, class_field)
        self._outlines = np.array([region.outline for region in self._regions], object)
        self._boxes = shapely.bounds(self._outlines).reshape(-1, 4)
        everywhere = list(windows(info.height, info.width))
        bar = tqdm(everywhere, desc="rasterising", unit="window", delay=1, leave=False)
        self._windows = [window for window in bar if self._rasterised(window)]
        self.windows_left_out = len(everywhere) - len(self._windows)
        placed = "do both show the same place, and are their coordinate reference systems right?"
        if info.transform is None:
            placed = f"coordinates were taken for pixels, as {raster} is not georeferenced"
            placed += f": {info.hint}" if info.hint else ""
        require(bool(self._windows), f"{vectors}: no polygon covers a pixel of {raster}; {placed}")

    def _read(self, vectors: str, info: Raster, class_field: str | None) -> list[Region]:
        """The polygons near the raster; counts those that it cannot hold."""
        path, _, layer = vectors.partition(LAYER)
        found = read_polygons(Path(path), info, layer, class_field)
        self.left_out = LeftOut()
        if found.unplaced:
            message = (
                f"some polygons cannot be converted to {info.crs}, that of {info.path}; clip them "
                "to the raster first"
            )
            require(bool(found.regions), f"{path}: {message}")
            problem = Problem("no-place", message)
            self.left_out.add("object", f"{path}:", problem, found.unplaced)
        return found.regions

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> Scene:
        """Reads one window of the raster."""
        window = self._windows[index]
        image, valid = read_window(self._raster, window, self._recipe)
        found = self._rasterised(window)
        ids = [self._regions[i].id or i + 1 for i, _ in found]
        masks = [mask for _, mask in found]
        labels, layers = lay_out(ids, masks, (window.height, window.width))
        objects = tuple(
            SceneObject(id, layer, self._regions[i].category)
            for id, layer, (i, _) in zip(ids, layers, found, strict=True)
        )
        stem = os.path.splitext(os.path.basename(self._raster))[0]
        return Scene(window.named(stem), image, labels, objects, ~valid)

    def _rasterised(self, window: Window) -> list[tuple[int, Mask]]:
        """The polygons with a pixel in a window, by number, and which pixels of it."""
        low = np.array([window.x, window.y])
        size = np.array([window.width, window.height])
        starts, ends = self._boxes[:, :2] - low, self._boxes[:, 2:] - low
        near = np.flatnonzero((ends > 0).all(1) & (starts < size).all(1))
        moved = shapely.transform(self._outlines[near], lambda xy: xy - low)
        masks = geometry.rasterised(moved, window.width, window.height)
        return [(i, mask) for i, mask in zip(near.tolist(), masks, strict=True) if mask.area]
