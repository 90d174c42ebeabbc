"""GeoPackage, GeoJSON and Shapefile."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from rsisrefiner_jax.annotate.importing.found import OBJECT_LIMIT, Reading, Target
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats import georeference
from rsisrefiner_jax.formats.vectors import source

CATEGORY_FIELDS = ("class", "category", "label", "name")
OURS = {"id", "class", "class_id", "area_px", "area_m2", "clicks"}


def is_geojson(file: Path) -> bool:
    """Whether a JSON file says that it is a feature collection."""
    with open(file, "rb") as content:
        return b'"FeatureCollection"' in content.read(4096)


def read(file: Path, target: Target) -> Reading:
    """The polygons of a file, in the raster's pixels, with their attributes.

    A column called class, category, label or name is the class. Ids are those of a column "id",
    else of the file.

    Raises:
        UserError: the file is broken, has several layers of polygons, or no place on the raster.
    """
    from pyogrio import raw
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        with source(file) as given:
            layer = _layer(file.name, given)
            meta, fids, shapes, columns = raw.read(
                given, layer=layer, force_2d=True, return_fids=True, max_features=OBJECT_LIMIT + 1
            )
    except (DataLayerError, DataSourceError, ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{file.name}: cannot be read as a vector file ({error})") from error
    require(
        len(shapes) <= OBJECT_LIMIT, f"{file.name}: more than {OBJECT_LIMIT} objects in one file"
    )
    fields = [str(name) for name in meta["fields"]]
    table = [dict(zip(fields, row, strict=True)) for row in zip(*map(_plain, columns), strict=True)]
    table = table or [{} for _ in shapes]
    return _objects(file, target, meta["crs"], shapes, table, fids.tolist())


def _objects(
    file: Path, target: Target, crs: str | None, wkb: Any, table: list[dict], fids: list[int]
) -> Reading:
    reading = Reading()
    shapes = shapely.from_wkb(wkb, on_invalid="ignore")
    polygons = {"Polygon", "MultiPolygon", "GeometryCollection"}
    usable = [shape is not None and shape.geom_type in polygons for shape in shapes]
    moved = _in_pixels(file, target, crs, shapes[usable])
    names = {name for row in table for name in row}
    ours = names >= {"class_id", "clicks", "area_px"}
    category = _category_field(table, names)
    id_field = next((name for name in names if name.lower() == "id"), None)
    ids = _ids([row.get(id_field) for row in table] if id_field else [], fids)
    found = iter(moved)
    for row, id, is_usable in zip(table, ids, usable, strict=True):
        if not is_usable:
            reading.skipped += 1
            continue
        left_out = OURS if ours else {category, id_field}
        reading.add_shape(
            next(found),
            target,
            id=id,
            category=_text(row.get(category)) if category else "",
            attributes={key: value for key, value in row.items() if key not in left_out},
            clicks=row.get("clicks") if ours else 0,
        )
    if reading.skipped:
        reading.notes.append(
            f"{reading.skipped} features are no polygons or cover no pixel of the image"
        )
    return reading


def _layer(shown: str, given: str) -> str:
    from pyogrio import list_layers

    layers = [
        str(name)
        for name, kind in list_layers(given)
        if kind and any(word in kind for word in ("Polygon", "Surface", "Unknown", "Collection"))
    ]
    require(bool(layers), f"{shown}: no layer of polygons in this file")
    require(
        len(layers) == 1,
        f"{shown}: several layers of polygons ({', '.join(layers)[:200]}); keep one of them",
    )
    return layers[0]


def _in_pixels(file: Path, target: Target, crs: str | None, shapes: np.ndarray) -> np.ndarray:
    info = target.image.info
    if crs is not None and "Undefined" in crs:
        crs = None
    geojson = file.suffix.lower() in (".json", ".geojson")
    if crs is None or info.crs is None:
        # A GeoJSON always claims to be WGS 84; on a raster without a system it is as we write it.
        require(
            (crs is None or geojson) and info.crs is None,
            f"{file.name if crs is None else target.image.name}: states no coordinate reference "
            "system; assign one, for example in QGIS",
        )
        return shapely.transform(shapes, lambda xy: georeference.to_pixels(info, xy))
    return georeference.shapes_in_pixels(info, crs, shapes)


def _ids(given: list[Any], fids: list[int]) -> list[int]:
    whole = [
        int(v) for v in given if isinstance(v, int | float) and v == v and float(v).is_integer()
    ]
    if whole and len(whole) == len(fids) == len(set(whole)) and min(whole) > 0:
        return whole
    shift = 1 if fids and min(fids) == 0 else 0
    return [fid + shift for fid in fids]


def _category_field(table: list[dict], names: set[str]) -> str | None:
    for wanted in CATEGORY_FIELDS:
        for name in sorted(names):
            if name.lower() == wanted and any(_text(row.get(name)) for row in table):
                return name
    return None


def _plain(column: np.ndarray) -> list[Any]:
    """A column as plain values; None where there is nothing."""
    values = column.astype(str).tolist() if column.dtype.kind == "M" else column.tolist()
    return [None if v is None or v != v or v == "NaT" else v for v in values]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value, default=str)
