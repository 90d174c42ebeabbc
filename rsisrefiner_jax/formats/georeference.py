"""Coordinates of pixels: affine transforms, coordinate reference systems, areas."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.crs import system
from rsisrefiner_jax.formats.raster_info import Raster

WGS84 = "EPSG:4326"
TOLERANCE = 0.02  # pixels by which a straight edge may bend in another system
EDGE = 64  # pixels; longer edges are divided before an area is measured,
MOST_CORNERS = 20_000  # into about so many pieces of an outline at most
_FAR = 1e9  # pixels: outside of any raster
MOST_TRIES = 1000  # of conversions, where some points have no place in a system
WIDE = 10  # degrees from the middle of a raster to its corner


def to_crs(info: Raster, xy: np.ndarray) -> np.ndarray:
    """Pixels [n, 2] in the raster's own system; pixels themselves where it has none."""
    if info.transform is None:
        return xy
    matrix, offset = info.grid()
    return xy @ matrix.T + offset


def to_pixels(info: Raster, xy: np.ndarray) -> np.ndarray:
    """The inverse of `to_crs`."""
    if info.transform is None:
        return xy
    matrix, offset = info.grid()
    return (xy - offset) @ np.linalg.inv(matrix).T


def convert(source: str, target: str, xy: np.ndarray) -> np.ndarray:
    """Points [n, 2] from one system to another, x to the east in both; NaN where that fails.

    Raises:
        UserError: one of the systems is unknown, or defined by a file.
    """
    systems = [system(name) for name in (source, target)]
    moved = _converted(systems, xy.astype(float), [MOST_TRIES]) if len(xy) else xy
    return np.where(np.isfinite(moved), moved, np.nan)


def _converted(systems: list[Any], xy: np.ndarray, tries: list[int]) -> np.ndarray:
    """GDAL gives up on all points for one that fails: then they are tried half by half."""
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError
    from rasterio.warp import transform

    tries[0] -= 1
    try:
        return np.stack(transform(*systems, *xy.T), axis=-1)
    except (CPLE_BaseError, RasterioError):
        if len(xy) < 2 or tries[0] < 1:
            return np.full_like(xy, np.nan)
    return np.concatenate([_converted(systems, half, tries) for half in np.array_split(xy, 2)])


def pixels_of(info: Raster, crs: str, x: float, y: float) -> tuple[float, float]:
    """A point of any system in pixels.

    Raises:
        UserError: the raster or the point has no place there.
    """
    require_system(info, crs)
    assert info.crs is not None
    (px, py), *_ = to_pixels(info, convert(crs, info.crs, np.array([[x, y]]))).tolist()
    require(math.isfinite(px) and math.isfinite(py), f"({x}, {y}) has no place in {info.crs[:80]}")
    return px, py


def require_system(info: Raster, crs: str | None) -> None:
    """Raises UserError: the raster has no place in a system, or there is no such system."""
    if crs is None:
        return
    require(
        info.crs is not None, f"the raster states no coordinate reference system; leave out {crs}"
    )
    assert info.crs is not None
    convert(crs, info.crs, np.zeros((0, 2)))


def shapes_in_pixels(info: Raster, crs: str, shapes: np.ndarray) -> np.ndarray:
    """Geometries [n] of a system in pixels; what has no place there lies far outside.

    Raises:
        UserError: as `require_system`.
    """
    require_system(info, crs)
    return placed_in_pixels(info, crs, shapes)[0]


def placed_in_pixels(
    info: Raster, crs: str | None, shapes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Geometries [n] in pixels, and whether the raster's system can hold all of each, bool [n].

    What it cannot hold lies far outside. crs: None when coordinates are the raster's own.
    """
    own, lost = info.crs, [np.zeros(0, bool)]

    def move(xy: np.ndarray) -> np.ndarray:
        there = xy if crs is None or own is None or own == crs else convert(crs, own, xy)
        pixels = to_pixels(info, _near(info, there))
        lost.append(~np.isfinite(pixels).all(1))
        return np.nan_to_num(pixels, nan=-_FAR).clip(-_FAR, _FAR)

    moved = shapely.transform(shapes, move)
    _, of_shape = shapely.get_coordinates(moved, return_index=True)
    counts = np.bincount(of_shape[np.concatenate(lost)], minlength=len(shapes))
    return moved, counts == 0


def _near(info: Raster, xy: np.ndarray) -> np.ndarray:
    """Longitudes as a raster in degrees has them: it may go beyond 180, or count from 0 to 360."""
    if info.crs is None or not system(info.crs).is_geographic:
        return xy
    middle = to_crs(info, np.array([[info.width / 2, info.height / 2]]))[0, 0]
    turns = np.round((middle - xy[:, 0]) / 360)
    return xy + np.stack([360 * turns, np.zeros(len(xy))], axis=-1)


def pixels_away(one: Raster, other: Raster) -> float:
    """How far the corners of one raster lie from those of another of its size, in pixels.

    0 where that cannot be told: one states no georeference, or they have no system in common.
    """
    if one.transform is None or other.transform is None or (one.crs is None) != (other.crs is None):
        return 0.0
    corners = np.array([[x, y] for x in (0, one.width) for y in (0, one.height)], float)
    there = to_crs(one, corners)
    if one.crs != other.crs and one.crs is not None and other.crs is not None:
        there = convert(one.crs, other.crs, there)
    away = np.hypot(*(to_pixels(other, _near(other, there)) - corners).T)
    return float(np.nan_to_num(away, nan=_FAR).max())


def place(info: Raster, x: float, y: float) -> tuple[float, float] | None:
    """A pixel position in the raster's own system, where it has a georeference."""
    if info.transform is None:
        return None
    east, north = to_crs(info, np.array([[x, y]]))[0].tolist()
    return (east, north) if math.isfinite(east) and math.isfinite(north) else None


def lonlat(info: Raster, x: float, y: float) -> tuple[float, float] | None:
    """Longitude and latitude of a pixel position, where the raster has a system."""
    if info.crs is None:
        return None
    try:
        lon, lat = convert(info.crs, WGS84, to_crs(info, np.array([[x, y]])))[0].tolist()
    except UserError:
        return None
    if not (math.isfinite(lon) and math.isfinite(lat)):
        return None
    return (lon + 180) % 360 - 180 if abs(lon) > 180 else lon, lat


def shapes_in_crs(
    info: Raster, shapes: Sequence[BaseGeometry], crs: str | None = None
) -> np.ndarray:
    """Geometries [n] of pixels in the raster's system or in another.

    Edges that another system bends get more corners, so that they stay within a fiftieth of a
    pixel of where they were.

    Raises:
        UserError: a part of one has no place in that system.
    """
    given = np.array(shapes)
    if crs is None or crs == info.crs or info.crs is None or not len(given):
        return shapely.transform(given, lambda xy: to_crs(info, xy))
    own = info.crs

    def there(xy: np.ndarray) -> np.ndarray:
        return convert(own, crs, to_crs(info, xy))

    moved = shapely.transform(_bent(info, given, own, crs), there)
    require(
        bool(np.isfinite(shapely.get_coordinates(moved)).all()),
        f"an object has no place in {crs}; export it as GeoPackage instead",
    )
    return moved


def _bent(info: Raster, shapes: np.ndarray, own: str, crs: str) -> np.ndarray:
    """Geometries with corners added until `crs` bends no edge visibly."""
    shapes, pending = shapes.copy(), np.arange(len(shapes))
    for _ in range(12):
        longest = _longest_straight(info, shapes[pending], own, crs)
        some = np.isfinite(longest)
        if not some.any():
            break
        pending, longest = pending[some], longest[some]
        shapes[pending] = shapely.segmentize(shapes[pending], np.maximum(0.9 * longest, 1.0))
    return shapes


def _longest_straight(info: Raster, shapes: np.ndarray, own: str, crs: str) -> np.ndarray:
    """How long edges of geometries [n] may be, in pixels, for `crs` not to bend them visibly;
    infinite where none is bent."""
    parts, shape_of = shapely.get_parts(shapes, return_index=True)
    rings, part_of = shapely.get_rings(parts, return_index=True)
    xy, ring_of = shapely.get_coordinates(rings, return_index=True)
    starts, ends = xy[:-1], xy[1:]
    middle = (starts + ends) / 2
    moved = convert(own, crs, to_crs(info, xy))
    if system(crs).is_geographic:  # the shorter way around, also across 180
        moved[1:, 0] -= 360 * np.cumsum(np.round(np.nan_to_num(np.diff(moved[:, 0])) / 360))
    straight = convert(crs, own, (moved[:-1] + moved[1:]) / 2)
    off = np.hypot(*(to_pixels(info, straight) - middle).T)
    length = np.hypot(*(ends - starts).T)
    bent = np.isfinite(off) & (length > 1) & (ring_of[1:] == ring_of[:-1]) & (off > TOLERANCE)
    # The bend grows with the square of the length.
    straight_enough = length[bent] * np.sqrt(TOLERANCE / off[bent])
    longest = np.full(len(shapes), np.inf)
    np.minimum.at(longest, shape_of[part_of[ring_of[1:][bent]]], straight_enough)
    return longest


def areas_m2(info: Raster, shapes: Sequence[BaseGeometry]) -> list[float | None]:
    """The areas on the ellipsoid of geometries of pixels; None without a system.

    Measured in an equal-area projection, whatever the raster's own does. It is centred on the
    raster, or on each object where the raster spans much of the earth.
    """
    if info.crs is None or not len(shapes):
        return [None] * len(shapes)
    corner, middle = (lonlat(info, *xy) for xy in ((0, 0), (info.width / 2, info.height / 2)))
    if corner is None or middle is None or _degrees(corner, middle) > WIDE:
        return [_area(info, np.array([shape]), _middle(info, shape))[0] for shape in shapes]
    return _area(info, np.array(shapes), middle)


def _area(
    info: Raster, shapes: np.ndarray, centre: tuple[float, float] | None
) -> list[float | None]:
    if centre is None:
        return [None] * len(shapes)
    own = info.crs
    assert own is not None
    local = f"+proj=laea +lon_0={centre[0]:.6f} +lat_0={centre[1]:.6f} +datum=WGS84 +units=m"
    # An edge of a hundred million pixels is divided no finer than the earth's curve needs.
    dense = shapely.segmentize(shapes, np.maximum(EDGE, shapely.length(shapes) / MOST_CORNERS))
    try:
        moved = shapely.transform(dense, lambda xy: convert(own, local, to_crs(info, xy)))
    except UserError:
        return [None] * len(shapes)
    areas = shapely.area(moved).tolist()
    return [area if math.isfinite(area) else None for area in areas]


def _middle(info: Raster, shape: BaseGeometry) -> tuple[float, float] | None:
    left, top, right, bottom = shape.bounds
    return lonlat(info, (left + right) / 2, (top + bottom) / 2)


def _degrees(a: tuple[float, float], b: tuple[float, float]) -> float:
    """The angle between two places as seen from the middle of the earth."""
    (lon, lat), (other, low) = np.radians(a), np.radians(b)
    cosine = np.sin(lat) * np.sin(low) + np.cos(lat) * np.cos(low) * np.cos(lon - other)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def pixel_area_m2(info: Raster) -> float | None:
    """The area of the pixel in the middle of the raster."""
    x, y = info.width // 2, info.height // 2
    return areas_m2(info, [shapely.box(x, y, x + 1, y + 1)])[0]
