"""A georeferenced raster and its polygons as windowed scenes."""

import itertools
import os
from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from rsisrefiner_jax.data.geo.vectors import Polygon, read_polygons
from rsisrefiner_jax.data.raster import Window, read_window
from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.raster_info import open_raster

WINDOW = 800  # pixels; the paper cuts its pictures to this side


class GeoSource:
    """Scenes of at most 800 x 800 pixels that tile a raster, at its own resolution.

    All windows have the same size but for a pixel, rather than leaving slivers at the far edges.
    Windows without an object are left out (`windows_left_out`). A pixel belongs to a polygon that
    holds its centre. A polygon that a window border cuts is an object of both windows, each with
    its own part; its id (`vectors.Polygon.id`) is the same in both. Polygons that overlap
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
        self._raster = raster
        self._recipe = recipe
        self._polygons = read_polygons(vectors, info, class_field)
        self._boxes = np.array([polygon.box for polygon in self._polygons]).reshape(-1, 4)
        windows = list(_windows(info.height, info.width))
        bar = tqdm(windows, desc="rasterising", unit="window", delay=1, leave=False)
        self._windows = [w for w in bar if any(True for _ in self._rasterised(w))]
        self.windows_left_out = len(windows) - len(self._windows)
        require(
            bool(self._windows),
            f"{vectors}: no polygon covers a pixel of {raster}; do both show the same place, and "
            "are their coordinate reference systems right?",
        )

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> Scene:
        """Reads one window of the raster."""
        window = self._windows[index]
        image, valid = read_window(self._raster, window, self._recipe)
        labels, objects = _in_layers(window, self._rasterised(window))
        stem = os.path.splitext(os.path.basename(self._raster))[0]
        return Scene(f"{stem}_y{window.y}_x{window.x}", image, labels, objects, ~valid)

    def _rasterised(
        self, window: Window
    ) -> Iterator[tuple[Polygon, tuple[slice, slice], np.ndarray]]:
        """Polygons with a pixel in a window: where in it, and which pixels, bool [h, w]."""
        from affine import Affine
        from rasterio.features import rasterize

        low = np.array([window.x, window.y])
        size = np.array([window.width, window.height])
        starts = np.clip(np.floor(self._boxes[:, :2]) - low, 0, size).astype(int)
        ends = np.clip(np.ceil(self._boxes[:, 2:]) - low, 0, size).astype(int)
        for i in np.flatnonzero((ends > starts).all(1)):
            (x0, y0), (x1, y1) = starts[i], ends[i]
            mask = rasterize(
                [self._polygons[i].geometry()],
                out_shape=(y1 - y0, x1 - x0),
                transform=Affine.translation(window.x + x0, window.y + y0),
                dtype=np.uint8,
            ).view(bool)
            if mask.any():
                yield self._polygons[i], np.s_[y0:y1, x0:x1], mask


def _windows(height: int, width: int) -> Iterator[Window]:
    def edges(side: int) -> Sequence[int]:
        count = -(-side // WINDOW)
        return [side * i // count for i in range(count + 1)]

    rows, columns = edges(height), edges(width)
    for y0, y1 in itertools.pairwise(rows):
        for x0, x1 in itertools.pairwise(columns):
            yield Window(y0, x0, y1 - y0, x1 - x0)


def _in_layers(
    window: Window, rasterised: Iterator[tuple[Polygon, tuple[slice, slice], np.ndarray]]
) -> tuple[np.ndarray, tuple[SceneObject, ...]]:
    """labels int32 [h, w, layers] and objects, each in the first layer where it overlaps none."""
    shape = (window.height, window.width)
    layers = [np.zeros(shape, np.int32)]
    objects = []
    for polygon, where, mask in rasterised:
        free = (n for n, layer in enumerate(layers) if not layer[where][mask].any())
        number = next(free, len(layers))
        if number == len(layers):
            layers.append(np.zeros(shape, np.int32))
        layers[number][where][mask] = polygon.id
        objects.append(SceneObject(polygon.id, number, polygon.category))
    return np.stack(layers, axis=-1), tuple(objects)
