"""Reading the polygons of a vector file in the pixels of a raster: GeoPackage, GeoJSON, Shapefile.

One set of rules for training and for the annotator: what a polygon covers (`geometry.filled`), in
which system its coordinates are, which attribute is the class, and which id an object has.
"""

import dataclasses
import mmap
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.features import PLAIN_GEOJSON, Box, Features, read_features
from rsisrefiner_jax.formats.raster_info import Raster
from rsisrefiner_jax.formats.region import (
    Region,
    class_name,
    plain_attributes,
)

# Taken for the class, in this order. Not "name", which names a single place.
CLASS_FIELDS = ("class", "class_name", "category", "label")
OURS = ("id", "class", "class_id", "area_px", "area_m2", "clicks")  # columns that we write
_OURS_ALWAYS = {"class", "area_px", "clicks"}
_GEOJSON = re.compile(
    rb'"type"\s*:\s*"(FeatureCollection|Feature|(Multi)?Polygon|GeometryCollection)"'
)
_POLYGONAL = ("POLYGON", "MULTIPOLYGON", "GEOMETRYCOLLECTION")
_MARGIN = 0.01  # of a raster's extent: its box in another system is not exact


@dataclasses.dataclass(frozen=True)
class Polygons:
    """regions: with outlines in the raster's pixels, of which some may lie beyond it.

    unplaced: features that the raster's system cannot hold. others: features that are no polygons,
    or lie far from the raster. in_pixels: coordinates were taken as they are because the raster
    states no system.
    """

    regions: list[Region]
    unplaced: int
    others: int
    in_pixels: bool


def is_geojson(file: Path) -> bool:
    """Whether a JSON file says anywhere that it is GeoJSON."""
    with open(file, "rb") as content:
        if not file.stat().st_size:
            return False
        with mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as text:
            return _GEOJSON.search(text) is not None


def read_polygons(
    file: Path,
    raster: Raster,
    layer: str = "",
    class_field: str | None = None,
    attributes: bool = False,
    most: int | None = None,
    shown: str | None = None,
) -> Polygons:
    """The polygons of a vector file near a raster.

    Args:
        layer: one of several layers of polygons.
        class_field: the attribute that names the class; by default the first of `CLASS_FIELDS`,
            in capitals or not, that is filled anywhere, else there is no class.
        attributes: whether the others are read, too.
        most: more polygons are refused.
        shown: what to call the file in messages, if that is not its path.

    Raises:
        UserError: as `features.read_features`; or the file lacks `class_field`, or raster or
            vectors lack a coordinate reference system.
    """
    shown = shown or str(file)

    def wanted(fields: list[str]) -> list[str]:
        require(
            class_field is None or class_field in fields,
            f"{shown}: class={class_field}: no such attribute; there are {', '.join(fields)}",
        )
        return fields if attributes else [n for n in fields if _is_needed(n, class_field)]

    def place(stated: str | None) -> tuple[str | None, Box | None]:
        crs = stated_system(file, shown, stated, raster)
        return crs, extent_in(raster, crs)

    return _found(raster, read_features(file, shown, layer, wanted, place, most), class_field)


def _found(raster: Raster, features: Features, class_field: str | None) -> Polygons:
    import shapely

    from rsisrefiner_jax.formats.georeference import placed_in_pixels

    crs, shapes, table, ids = features.crs, features.shapes, features.table, features.ids
    kinds = [shapely.GeometryType[name] for name in _POLYGONAL]
    polygonal = np.isin(shapely.get_type_id(shapes), kinds) & ~shapely.is_empty(shapes)
    outlines, placed = placed_in_pixels(raster, crs, shapes)
    names = {name for row in table for name in row}
    ours = names >= _OURS_ALWAYS
    category = class_field or _class_field(table, names)
    left_out = set(OURS) if ours else {category, *(n for n in names if n.lower() == "id")}
    covered = covered_by(outlines, polygonal & placed)
    regions = [
        Region(
            id=None if ids is None else ids[i],
            category=class_name(row.get(category)) if category else "",
            attributes=plain_attributes({k: v for k, v in row.items() if k not in left_out}),
            clicks=_clicks(row) if ours else 0,
            outline=covered[i],
        )
        for i, row in enumerate(table)
        if covered[i] is not None
    ]
    unplaced = int((polygonal & ~placed).sum())
    in_pixels = crs is None and raster.crs is None
    return Polygons(regions, unplaced, features.total - len(regions) - unplaced, in_pixels)


def covered_by(outlines: np.ndarray, usable: np.ndarray) -> list[Any]:
    """The area that each geometry covers; None where it covers nothing."""
    import shapely

    from rsisrefiner_jax.formats.geometry import filled

    kinds = shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON
    plain = np.isin(shapely.get_type_id(outlines), kinds) & shapely.is_valid(outlines)
    found: list[Any] = [None] * len(outlines)
    for i in np.flatnonzero(usable).tolist():
        shape = outlines[i] if plain[i] else filled(shapely.get_parts(outlines[i]).tolist())
        found[i] = None if shape.is_empty else shape
    return found


def stated_system(file: Path, shown: str, stated: str | None, raster: Raster) -> str | None:
    """The system of the vectors; None where their coordinates are the raster's own.

    A GeoJSON that states none is in degrees, but in pixels on a raster that has no system either:
    so it is written for one.

    Raises:
        UserError: only one of raster and vectors has a system.
    """
    crs = None if stated is None or "Undefined" in stated else stated
    if raster.crs is None and crs == PLAIN_GEOJSON and file.suffix.lower().endswith("json"):
        return None
    way_out = "states no coordinate reference system; assign one, for example in QGIS"
    own = (raster.transform is None and raster.hint) or way_out
    require(crs is None or raster.crs is not None, f"{os.path.basename(raster.path)}: {own}")
    require(raster.crs is None or crs is not None, f"{shown}: {way_out}")
    return crs


def extent_in(raster: Raster, crs: str | None) -> Box | None:
    """(left, bottom, right, top) of a raster in another system; None where that has no box."""
    from rasterio.warp import transform_bounds

    from rsisrefiner_jax.formats.crs import system
    from rsisrefiner_jax.formats.georeference import to_crs

    corners = np.array([[x, y] for x in (0, raster.width) for y in (0, raster.height)], float)
    placed = to_crs(raster, corners)
    box = (*placed.min(axis=0).tolist(), *placed.max(axis=0).tolist())
    if raster.crs is not None and crs is not None:
        if system(raster.crs).is_geographic and max(abs(box[0]), abs(box[2])) > 180:
            return None
        if crs != raster.crs:
            try:
                box = transform_bounds(system(raster.crs), system(crs), *box)
            except Exception:  # rasterio has no public name for what GDAL raises
                return None
    left, bottom, right, top = box
    if left > right or not np.isfinite(box).all():  # across the antimeridian, or nowhere
        return None
    wide, high = _MARGIN * (right - left), _MARGIN * (top - bottom)
    return left - wide, bottom - high, right + wide, top + high


def _is_needed(field: str, class_field: str | None) -> bool:
    """Whether an attribute says something about the object itself."""
    return field == class_field or field.lower() in CLASS_FIELDS or field in _OURS_ALWAYS


def _class_field(table: list[dict[str, Any]], names: set[str]) -> str | None:
    """The attribute that most likely names the class."""
    for wanted in CLASS_FIELDS:
        for name in sorted(names):
            if name.lower() == wanted and any(row.get(name) not in (None, "") for row in table):
                return name
    return None


def _clicks(row: dict[str, Any]) -> int:
    clicks = row.get("clicks")
    return clicks if type(clicks) is int and 0 <= clicks < 2**31 else 0
