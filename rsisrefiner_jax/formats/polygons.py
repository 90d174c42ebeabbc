"""Reading the polygons of a vector file in the pixels of a raster: GeoPackage, GeoJSON, Shapefile.

One set of rules for training and for the annotator: what a polygon covers (`geometry.filled`), in
which system its coordinates are, which attribute is the class, and which id an object has.
"""

import dataclasses
import io
import json
import mmap
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.raster_info import Raster
from rsisrefiner_jax.formats.region import (
    Region,
    class_name,
    plain_attributes,
    plain_id,
    usable_ids,
)
from rsisrefiner_jax.formats.vectors import source

# Taken for the class, in this order. Not "name", which names a single place.
CLASS_FIELDS = ("class", "class_name", "category", "label")
OURS = {"id", "class", "class_id", "area_px", "area_m2", "clicks"}  # columns that we write
_OURS_ALWAYS = {"class", "area_px", "clicks"}
_PLAIN_GEOJSON = "EPSG:4326"  # what GDAL says of a GeoJSON that states no system
_CURVED = (8, 9, 10, 11, 12, 15, 16, 17)  # types of well-known binary that shapely does not read
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

    Ids are those of a column "id" if all can be kept (`region.usable_ids`), else those of the
    file, plus 1 in layers that count from 0.

    Args:
        layer: one of several layers of polygons.
        class_field: the attribute that names the class; by default the first of `CLASS_FIELDS`,
            in capitals or not, that is filled anywhere, else there is no class.
        attributes: whether the others are read, too.
        most: more polygons are refused.
        shown: what to call the file in messages, if that is not its path.

    Raises:
        UserError: pyogrio or shapely is missing; the file is missing or broken, has no layer of
            polygons or several, or lacks `class_field`; raster or vectors lack a coordinate
            reference system.
    """
    shown = shown or str(file)
    try:
        import shapely
        from pyogrio import raw, read_info
        from pyogrio.errors import DataLayerError, DataSourceError
    except ImportError as error:
        raise UserError(
            f"{shown}: reading vector files needs pyogrio and shapely; run pip install -e .[geo]"
        ) from error
    require(file.is_file(), f"{shown}: no such vector file")
    try:
        with source(file) as given:
            layer = layer or _polygon_layer(shown, given)
            about = read_info(given, layer=layer, force_feature_count=True)
            crs = _system(file, shown, about["crs"], raster)
            fields = [str(name) for name in about["fields"]]
            require(
                class_field is None or class_field in fields,
                f"{shown}: class={class_field}: no such attribute; there are {', '.join(fields)}",
            )
            kept_ids, shift = _ids(raw, given, layer, fields)
            wanted = fields if attributes else [n for n in fields if _is_needed(n, class_field)]
            meta, fids, wkb, columns = raw.read(
                given,
                layer=layer,
                columns=wanted,
                bbox=_extent(raster, crs),
                force_2d=True,
                return_fids=True,
                max_features=None if most is None else most + 1,
            )
    except (DataLayerError, DataSourceError, ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{shown}: cannot be read as a vector file ({error})") from error
    require(most is None or len(wkb) <= most, f"{shown}: more than {most} objects in one file")
    shapes = shapely.from_wkb(_straight(raw, wkb), on_invalid="fix")
    table = _rows([str(name) for name in meta["fields"]], columns, len(wkb))
    ids = [kept_ids.get(fid, fid + shift) for fid in fids.tolist()]
    kept = ids if usable_ids(ids) else None
    return _found(raster, crs, shapes, table, kept, class_field, int(about["features"]))


def _found(
    raster: Raster,
    crs: str | None,
    shapes: np.ndarray,
    table: list[dict[str, Any]],
    ids: list[int] | None,
    class_field: str | None,
    total: int,
) -> Polygons:
    import shapely

    from rsisrefiner_jax.formats.georeference import placed_in_pixels

    kinds = [shapely.GeometryType[name] for name in _POLYGONAL]
    polygonal = np.isin(shapely.get_type_id(shapes), kinds) & ~shapely.is_empty(shapes)
    outlines, placed = placed_in_pixels(raster, crs, shapes)
    names = {name for row in table for name in row}
    ours = names >= _OURS_ALWAYS
    category = class_field or _class_field(table, names)
    left_out = OURS if ours else {category, *(n for n in names if n.lower() == "id")}
    covered = _covered(outlines, polygonal & placed)
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
    return Polygons(regions, unplaced, total - len(regions) - unplaced, in_pixels)


def _covered(outlines: np.ndarray, usable: np.ndarray) -> list[Any]:
    """What each geometry covers; None where that is nothing."""
    import shapely

    from rsisrefiner_jax.formats.geometry import filled

    kinds = shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON
    plain = np.isin(shapely.get_type_id(outlines), kinds) & shapely.is_valid(outlines)
    found: list[Any] = [None] * len(outlines)
    for i in np.flatnonzero(usable).tolist():
        shape = outlines[i] if plain[i] else filled(shapely.get_parts(outlines[i]).tolist())
        found[i] = None if shape.is_empty else shape
    return found


def _system(file: Path, shown: str, stated: str | None, raster: Raster) -> str | None:
    """The system of the vectors; None where their coordinates are the raster's own.

    A GeoJSON that states none is in degrees, but in pixels on a raster that has no system either:
    so it is written for one.
    """
    crs = None if stated is None or "Undefined" in stated else stated
    if raster.crs is None and crs == _PLAIN_GEOJSON and file.suffix.lower().endswith("json"):
        return None
    for name, one, other in (
        (os.path.basename(raster.path), raster.crs, crs),
        (shown, crs, raster.crs),
    ):
        require(
            one is not None or other is None,
            f"{name}: states no coordinate reference system; assign one, for example in QGIS",
        )
    return crs


def _extent(raster: Raster, crs: str | None) -> tuple[float, ...] | None:
    """(left, bottom, right, top) of a raster in another system; None where that has no box."""
    from rasterio.warp import transform_bounds

    from rsisrefiner_jax.formats.crs import system
    from rsisrefiner_jax.formats.georeference import to_ground

    corners = np.array([[x, y] for x in (0, raster.width) for y in (0, raster.height)], float)
    placed = to_ground(raster, corners)
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


def _ids(raw: Any, given: str, layer: str, fields: list[str]) -> tuple[dict[int, int], int]:
    """Ids by those of the file, of a column "id" that can be kept; and what to add to the file's
    own ids where there is none."""
    field = next((name for name in fields if name.lower() == "id"), None)
    _, fids, _, columns = raw.read(
        given,
        layer=layer,
        columns=[field] if field else [],
        read_geometry=False,
        return_fids=True,
        max_features=None if field else 1,
    )
    own = fids.tolist()
    values = [plain_id(value) for value in columns[0].tolist()] if field else []
    kept = dict(zip(own, values, strict=True)) if field and usable_ids(values) else {}
    return kept, int(0 in own)


def _is_needed(field: str, class_field: str | None) -> bool:
    """Whether an attribute says something about the object itself."""
    return field == class_field or field.lower() in CLASS_FIELDS or field in _OURS_ALWAYS


def _straight(raw: Any, wkb: np.ndarray) -> np.ndarray:
    """Well-known binary with straight lines in the place of curves, as GDAL makes them."""
    types = np.array([_type_of(shape) for shape in wkb], int)
    bent = np.flatnonzero(np.isin(types, _CURVED))
    if not len(bent):
        return wkb
    import shapely

    text = io.BytesIO()
    raw.write(
        text,
        wkb[bent],
        [],
        [],
        driver="GeoJSON",
        geometry_type="Unknown",
        crs=_PLAIN_GEOJSON,  # a GeoJSON has one; coordinates stay as they are
    )
    features = json.loads(text.getvalue())["features"]
    straight = wkb.copy()
    for i, feature in zip(bent, features, strict=True):
        shape = feature["geometry"]
        straight[i] = None if shape is None else shapely.to_wkb(shapely.geometry.shape(shape))
    return straight


def _type_of(wkb: bytes | None) -> int:
    """The kind of geometry, whatever number of coordinates its points have."""
    if not wkb or len(wkb) < 5:
        return 0
    return int.from_bytes(wkb[1:5], "little" if wkb[0] else "big") % 0x20000000 % 1000


def _polygon_layer(shown: str, given: str) -> str:
    from pyogrio import list_layers

    layers = [
        str(name)
        for name, kind in list_layers(given)
        if kind and any(word in kind for word in ("Polygon", "Surface", "Unknown", "Collection"))
    ]
    require(bool(layers), f"{shown}: no layer of polygons in this file")
    require(
        len(layers) == 1,
        f"{shown}: several layers of polygons ({', '.join(layers)[:200]}); choose one with "
        f"{shown}|layername={layers[0]}, or keep one of them",
    )
    return layers[0]


def _rows(fields: list[str], columns: list[np.ndarray], count: int) -> list[dict[str, Any]]:
    if not fields:
        return [{} for _ in range(count)]
    values = zip(*map(_plain, columns), strict=True)
    return [dict(zip(fields, row, strict=True)) for row in values]


def _plain(column: np.ndarray) -> list[Any]:
    """A column as plain values; None where there is nothing."""
    values = column.astype(str).tolist() if column.dtype.kind == "M" else column.tolist()
    return [None if v is None or v != v or v == "NaT" else v for v in values]


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
