"""Masks as polygons along the edges of pixels, and back: exact both ways.

Coordinates are pixels, (x, y), the corner of the first pixel being (0, 0).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.masks import BOX_LIMIT, EMPTY, Mask


def polygons(mask: Mask) -> BaseGeometry:
    """The valid Polygon or MultiPolygon, with holes, that covers exactly a mask's pixels.

    Pixels that meet at a corner only belong to different parts.
    """
    from affine import Affine
    from rasterio.features import shapes

    pixels = mask.pixels.astype(np.uint8)
    found = shapes(
        pixels, mask=mask.pixels, connectivity=4, transform=Affine.translation(mask.x, mask.y)
    )
    parts = [shape["coordinates"] for shape, _ in found]
    rings = [np.array(ring) for part in parts for ring in part]
    if not rings:
        return united([])
    ring_of = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    part_of = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    # All at once, which is much quicker than one by one.
    linear = shapely.linearrings(np.concatenate(rings), indices=ring_of)
    return united(list(shapely.polygons(linear, indices=part_of)))


def united(parts: list[BaseGeometry]) -> BaseGeometry:
    """One Polygon or MultiPolygon of polygons that share no area; invalid ones are mended."""
    mended: list[BaseGeometry] = []
    for part in parts:
        mended += flat(part if part.is_valid else shapely.make_valid(part))
    if len(mended) == 1:
        return mended[0]
    return shapely.MultiPolygon(mended)


def filled(parts: Sequence[BaseGeometry]) -> BaseGeometry:
    """What the parts of one object cover: all of them, but one wholly inside another is a hole.

    The one rule for COCO, for multipolygons and for whatever else comes in parts. A part is its
    outer ring without its inner ones; a ring that crosses itself is filled even-odd.
    """
    whole = [mended for part in parts for polygon in flat(part) for mended in _mended(polygon)]
    together = whole[0] if len(whole) == 1 else shapely.MultiPolygon(whole)
    if len(whole) < 2 or together.is_valid:
        return together
    own = np.array(whole)
    areas = shapely.area(own)
    inner, outer = shapely.STRtree(own).query(own, predicate="covered_by")
    depth = np.bincount(inner[areas[inner] < areas[outer]], minlength=len(own))
    covered = shapely.union_all(own[depth == 0])
    for level in range(1, int(depth.max(initial=0)) + 1):
        change = shapely.difference if level % 2 else shapely.union
        covered = change(covered, shapely.union_all(own[depth == level]))
    return united([part for part in flat(covered) if part.area > 0])


def _mended(polygon: BaseGeometry) -> list[BaseGeometry]:
    """Valid polygons that cover what a part does."""
    if not polygon.is_valid:
        shell, *holes = (
            shapely.make_valid(shapely.Polygon(ring))
            for ring in (polygon.exterior, *polygon.interiors)
        )
        polygon = shapely.difference(shell, shapely.union_all(holes)) if holes else shell
    return [part for part in flat(polygon) if part.area > 0]


def flat(shape: BaseGeometry) -> list[BaseGeometry]:
    """The polygons in a geometry of any kind."""
    return [p for p in shapely.get_parts(shape, return_index=False) for p in _polygons(p)]


def _polygons(part: BaseGeometry) -> list[BaseGeometry]:
    if part.geom_type == "Polygon":
        return [] if part.is_empty else [part]
    return flat(part) if hasattr(part, "geoms") else []


def rasterise(shape: BaseGeometry, width: int, height: int) -> Mask:
    """The pixels of a raster whose centres lie in a geometry.

    Raises:
        UserError: the box around it is larger than any object may be.
    """
    from affine import Affine
    from rasterio.features import rasterize

    if shape.is_empty:
        return EMPTY
    left, top, right, bottom = shape.bounds
    x0, y0 = max(math.floor(left), 0), max(math.floor(top), 0)
    x1, y1 = min(math.ceil(right), width), min(math.ceil(bottom), height)
    if x1 <= x0 or y1 <= y0:
        return EMPTY
    require(
        (x1 - x0) * (y1 - y0) <= BOX_LIMIT,
        f"an object of {x1 - x0} x {y1 - y0} pixels is larger than this server takes",
    )
    pixels = rasterize(
        flat(shape),
        out_shape=(y1 - y0, x1 - x0),
        transform=Affine.translation(x0, y0),
        dtype=np.uint8,
    )
    return Mask(x0, y0, pixels.view(bool)).trimmed()


def to_json(shape: BaseGeometry) -> dict[str, Any]:
    """As GeoJSON."""
    return shapely.geometry.mapping(shape)


def from_json(geometry: dict[str, Any]) -> BaseGeometry:
    """A valid Polygon or MultiPolygon from a client's GeoJSON.

    Raises:
        UserError: it is none, or covers nothing.
    """
    message = "geometry: give a GeoJSON Polygon or MultiPolygon with finite coordinates"
    require(geometry.get("type") in ("Polygon", "MultiPolygon"), message)
    try:
        shape = shapely.force_2d(shapely.geometry.shape(geometry))
        known = bool(np.isfinite(shapely.get_coordinates(shape)).all())
    except (
        shapely.errors.ShapelyError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        KeyError,
    ):
        known = False
    require(known, message)
    bounded = shape.is_empty or max(map(abs, shape.bounds)) < 1e9
    require(bounded, "geometry: coordinates lie far outside any raster")
    covered = filled(shapely.get_parts(shape).tolist())
    require(not covered.is_empty, "geometry: it covers no area")
    return covered
