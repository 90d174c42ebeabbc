"""Writing outlines with their attributes: GeoPackage and Shapefile; what GeoJSON asks of them."""

import dataclasses
import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats import geometry
from rsisrefiner_jax.formats.crs import system
from rsisrefiner_jax.formats.georeference import WGS84


@dataclasses.dataclass(frozen=True)
class Column:
    """values: one an outline, None where there is none. kind: their type, if it must be one.

    dtype: numpy's name of a type of dates or times, of which values are the text.
    """

    values: list[Any]
    kind: type | None = None
    dtype: str = ""


def free_name(name: str, used: Iterable[str], longest: int = 0) -> str:
    """A column's name that is not used yet, in capitals or not: `name`, else name_2, name_3 ...

    longest: characters that a name may have; 0: any number.
    """
    taken = {other.lower() for other in used}
    base = name[:longest] if longest else name
    found, number = base, 1
    while found.lower() in taken:
        number += 1
        ending = f"_{number}"
        found = (base[: longest - len(ending)] if longest else base) + ending
    return found


def write_layer(
    file: Path,
    shapes: list[BaseGeometry | None],
    columns: dict[str, Column],
    crs: str | None,
    **options: Any,
) -> None:
    """Writes multipolygons as the only layer of a file. options: of pyogrio, the driver too.

    Raises:
        UserError: the format cannot hold them.
    """
    from pyogrio import raw

    typed = [_typed(column) for column in columns.values()]
    try:
        if crs is not None:
            system(crs)  # it may name a file, in a project that somebody sent
        else:
            warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        raw.write(
            str(file),
            np.array(shapely.to_wkb(shapes), object).reshape(-1),
            [values for values, _ in typed],
            np.array(list(columns), object),
            field_mask=[empty for _, empty in typed],
            geometry_type="MultiPolygon",
            crs=crs,
            **options,
        )
    except ValueError as error:
        raise UserError(f"{file.name}: cannot be written ({error})") from error


def cut_at_antimeridian(shapes: np.ndarray, crs: str | None) -> np.ndarray:
    """Geometries [n] of longitudes and latitudes in parts within 180 degrees to either side, as
    RFC 7946 asks.

    crs: the system that they were converted from, or are in; None where they are no longitudes.
    """
    if crs is None:
        return shapes
    west, _, east, _ = np.nan_to_num(shapely.bounds(shapes)).T
    beyond = (west < -180) | (east > 180)
    found = shapes.copy()
    for i in np.flatnonzero(beyond | (east - west > 180)).tolist():
        if beyond[i] or (crs != WGS84 and _jumps(shapes[i])):
            found[i] = _cut(shapes[i], crs)
    return found


def _cut(shape: BaseGeometry, crs: str) -> BaseGeometry:
    if crs != WGS84:
        shape = shapely.transform(shape, lambda p: np.stack([p[:, 0] % 360, p[:, 1]], -1))
    parts = []
    for west in (-540, -180, 180):
        inside = shapely.intersection(shape, shapely.box(west, -90, west + 360, 90))
        moved = shapely.transform(inside, lambda p, west=west: p - [west + 180, 0])
        parts += [part for part in geometry.flat(moved) if part.area > 0]
    return geometry.united(parts)


def _jumps(shape: BaseGeometry) -> bool:
    """Whether an edge goes from one end of the longitudes to the other."""
    rings = shapely.get_rings(geometry.flat(shape))
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    return bool(((np.abs(np.diff(xy[:, 0])) > 180) & (ring[1:] == ring[:-1])).any())


def _typed(column: Column) -> tuple[np.ndarray, np.ndarray]:
    """A column as one array, and where it has no value."""
    values = column.values
    empty = np.array([value is None for value in values], bool)
    if column.dtype:
        return np.array(["NaT" if v is None else v for v in values], column.dtype), empty
    kinds = {type(value) for value in values} - {type(None)}
    kinds = {column.kind} if column.kind else kinds
    for allowed, dtype, fill in (
        ({bool}, bool, False),
        ({int}, np.int64, 0),
        ({int, float}, np.float64, 0.0),
    ):
        if kinds and kinds <= allowed:
            return np.array([fill if v is None else v for v in values], dtype), empty
    texts = ["" if v is None else v if isinstance(v, str) else json.dumps(v) for v in values]
    return np.array(texts, object), empty
