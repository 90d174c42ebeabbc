"""Where the pixels of an image lie on the map: its affine transform, and outlines through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Point = tuple[float, float]
Polygon = list[list[Point]]  # its outer ring, then its holes; each ends where it begins

# QGIS places a raster without a georeference so: columns to the right, rows downwards from 0.
UNPLACED = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


class Grid:
    """The pixels of an image in the raster's own coordinates.

    transform: (a, b, c, d, e, f) as the server gives it: the pixel corner (x, y) lies at
        (a x + b y + c, d x + e y + f). None for an image without a georeference.
    """

    def __init__(self, transform: Sequence[float] | None) -> None:
        self._transform = tuple(transform or UNPLACED)

    def to_ground(self, x: float, y: float) -> Point:
        """A position in pixels, from the outer edge of the first one, in coordinates."""
        a, b, c, d, e, f = self._transform
        return a * x + b * y + c, d * x + e * y + f

    def to_pixels(self, east: float, north: float) -> Point:
        """The inverse of `to_ground`."""
        a, b, c, d, e, f = self._transform
        east, north = east - c, north - f
        size = a * e - b * d
        return (e * east - b * north) / size, (a * north - d * east) / size

    def bounds(self, width: int, height: int) -> tuple[float, float, float, float]:
        """The box (left, bottom, right, top) around an image of so many pixels."""
        corners = [self.to_ground(x, y) for x in (0, width) for y in (0, height)]
        xs, ys = zip(*corners)
        return min(xs), min(ys), max(xs), max(ys)

    def polygons(self, geometry: dict[str, Any] | None) -> list[Polygon]:
        """The polygons of a GeoJSON outline in pixels, in coordinates; none of no outline."""
        if geometry is None:
            return []
        several = geometry["type"] == "MultiPolygon"
        parts = geometry["coordinates"] if several else [geometry["coordinates"]]
        return [[[self.to_ground(x, y) for x, y in ring] for ring in rings] for rings in parts]
