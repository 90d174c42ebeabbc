"""Polygons of a vector file in the pixels of a raster."""

import dataclasses
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.crs import system
from rsisrefiner_jax.formats.raster_info import Raster
from rsisrefiner_jax.formats.vectors import source

# Taken for the class, in this order. Not "name", which names a single place.
CLASS_FIELDS = ("class", "class_name", "category", "label")
_LAYER = "|layername="  # as QGIS writes the source of a layer


@dataclasses.dataclass(frozen=True)
class Polygon:
    """A (multi-)polygon feature in a raster's pixels.

    id: GDAL's feature id (the fid of a GeoPackage), plus 1 in layers that count from 0; a running
        number from 1 where those do not fit int32.
    parts: polygons, each an outer ring and its holes: float64 [n, 2], (x, y), where pixel (0, 0)
        covers 0..1 both ways.
    box: (left, top, right, bottom) of all parts.
    """

    id: int
    category: str
    parts: tuple[tuple[np.ndarray, ...], ...]
    box: tuple[float, float, float, float]

    def geometry(self) -> dict[str, Any]:
        """As GeoJSON."""
        return {
            "type": "MultiPolygon",
            "coordinates": [[ring.tolist() for ring in part] for part in self.parts],
        }


def read_polygons(vectors: str, raster: Raster, class_field: str | None = None) -> list[Polygon]:
    """The polygons of a vector file that lie near or on a raster, in its pixels.

    Points and lines are left out.

    Args:
        vectors: a GeoPackage, GeoJSON, Shapefile or FlatGeobuf, or FILE|layername=NAME for one of
            several layers of polygons.
        class_field: the attribute that names the class; by default the first of `CLASS_FIELDS`,
            in capitals or not, that is filled anywhere, else there is no class.

    Raises:
        UserError: pyogrio is missing; the file is missing or broken, has no layer of polygons or
            several, or lacks `class_field`; raster or vectors lack a coordinate reference system,
            or one cannot be converted to the other.
    """
    crs, ids, features = _read_features(vectors, raster, class_field)
    name = class_field or _class_field(features)
    shapes = [list(_parts(feature["geometry"])) for feature in features]
    rings = [np.array(ring)[:, :2] for shape in shapes for part in shape for ring in part]
    if not rings:
        return []
    pixels = _on_pixels(np.concatenate(rings), vectors, crs, raster)
    moved = iter(np.split(pixels, np.cumsum([len(ring) for ring in rings])[:-1]))
    polygons = []
    for id, feature, shape in zip(ids, features, shapes, strict=True):
        parts = tuple(tuple(next(moved) for _ in part) for part in shape)
        if parts:
            corners = np.concatenate([ring for part in parts for ring in part])
            box = (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
            category = _text(feature["properties"][name]) if name else ""
            polygons.append(Polygon(id, category, parts, box))
    return polygons


def _read_features(
    vectors: str, raster: Raster, class_field: str | None
) -> tuple[str | None, list[int], list[dict[str, Any]]]:
    """Coordinate reference system, ids and GeoJSON features of a file's layer of polygons."""
    try:
        from pyogrio import raw, read_info
        from pyogrio.errors import DataLayerError, DataSourceError
    except ImportError as error:
        raise UserError(
            f"{vectors}: reading vector files needs pyogrio; run pip install -e .[geo]"
        ) from error

    path, _, layer = vectors.partition(_LAYER)
    require(os.path.isfile(path), f"{path}: no such vector file")
    try:
        with source(Path(path)) as given:
            layer = layer or _polygon_layer(path, given)
            info = read_info(given, layer=layer)
            first = raw.read(
                given,
                layer=layer,
                columns=[],
                read_geometry=False,
                max_features=1,
                return_fids=True,
            )[1]
            _require_comparable(path, info["crs"], raster)
            fields = list(info["fields"])
            require(
                class_field is None or class_field in fields,
                f"{path}: class={class_field}: no such attribute; there are {', '.join(fields)}",
            )
            meta, ids, shapes, values = raw.read(
                given,
                layer=layer,
                columns=[n for n in fields if n == class_field or n.lower() in CLASS_FIELDS],
                bbox=_extent(raster, info["crs"]),
                force_2d=True,
                return_fids=True,
            )
        # GDAL makes GeoJSON of well-known binary, straight lines of curves: no parser of our own.
        text = io.BytesIO()
        raw.write(
            text,
            shapes,
            values,
            meta["fields"],
            driver="GeoJSON",
            geometry_type=meta["geometry_type"],
            crs=meta["crs"] or "EPSG:4326",  # a GeoJSON has one; coordinates stay as they are
        )
    except (DataLayerError, DataSourceError) as error:
        raise UserError(f"{path}: cannot be read as a vector file ({error})") from error
    numbers = (np.asarray(ids, np.int64) + (0 in first)).tolist()
    if min(numbers, default=1) < 1 or max(numbers, default=1) >= 2**31:
        numbers = list(range(1, len(numbers) + 1))
    return meta["crs"], numbers, json.loads(text.getvalue())["features"]


def _require_comparable(vectors: str, crs: str | None, raster: Raster) -> None:
    for path, one, other in ((raster.path, raster.crs, crs), (vectors, crs, raster.crs)):
        require(
            one is not None or other is None,
            f"{path}: states no coordinate reference system; assign one, for example in QGIS",
        )


def _extent(raster: Raster, crs: str | None) -> tuple[float, ...] | None:
    """(left, bottom, right, top) of a raster in another system; None where that has no box."""
    from rasterio.warp import transform_bounds

    matrix, offset = raster.grid()
    corners = [[x, y] for x in (0, raster.width) for y in (0, raster.height)] @ matrix.T + offset
    box = (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
    if crs != raster.crs:
        box = _converted(transform_bounds, raster.crs, crs, *box)
    across_antimeridian = box is not None and box[0] > box[2]
    return None if box is None or across_antimeridian or not np.isfinite(box).all() else box


def _on_pixels(points: np.ndarray, vectors: str, crs: str | None, raster: Raster) -> np.ndarray:
    """float64 [n, 2], (x, y): points of the vector file in pixels of the raster."""
    from rasterio.warp import transform

    matrix, offset = raster.grid()
    if crs != raster.crs:
        points = np.transpose(_converted(transform, crs, raster.crs, *points.T) or [[np.nan] * 2])
    require(
        bool(np.isfinite(points).all()),
        f"{vectors}: some polygons cannot be converted to {raster.crs}, that of {raster.path}; "
        "clip them to the raster first",
    )
    return (points - offset) @ np.linalg.inv(matrix).T


def _converted(
    function: Callable[..., Any], one: str | None, other: str | None, *numbers: Any
) -> Any:
    """What a function of rasterio.warp returns; None where GDAL cannot convert."""
    try:
        return function(system(one or ""), system(other or ""), *numbers)
    except Exception:  # rasterio has no public name for what GDAL raises
        return None


def _polygon_layer(path: str, given: str) -> str:
    from pyogrio import list_layers

    layers = [
        str(name)
        for name, kind in list_layers(given)
        if kind and any(word in kind for word in ("Polygon", "Surface", "Unknown", "Collection"))
    ]
    require(bool(layers), f"{path}: no layer of polygons in this file")
    require(
        len(layers) == 1,
        f"{path}: several layers of polygons ({', '.join(layers)}); choose one with "
        f"{path}{_LAYER}{layers[0]}",
    )
    return layers[0]


def _class_field(features: list[dict[str, Any]]) -> str | None:
    """The attribute that most likely names the class."""
    present = {key for feature in features for key in feature["properties"]}
    for name in CLASS_FIELDS:
        for key in sorted(present):
            if key.lower() == name and any(_text(f["properties"].get(key)) for f in features):
                return key
    return None


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _parts(geometry: dict[str, Any] | None) -> Iterator[list[list[list[float]]]]:
    """The polygons, as lists of rings, in a GeoJSON geometry."""
    if geometry is None:
        return
    if geometry["type"] == "Polygon":
        if geometry["coordinates"]:
            yield geometry["coordinates"]
    elif geometry["type"] == "MultiPolygon":
        yield from geometry["coordinates"]
    elif geometry["type"] == "GeometryCollection":
        for member in geometry["geometries"]:
            yield from _parts(member)
