"""GeoPackage, GeoJSON and Shapefile: outlines on the ground with their attributes."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.annotate.export import stream
from rsisrefiner_jax.annotate.export.job import Job
from rsisrefiner_jax.annotate.records import measure
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats import geometry, georeference
from rsisrefiner_jax.formats.crs import system
from rsisrefiner_jax.formats.georeference import WGS84

OWN = ("id", "class", "class_id", "area_px", "area_m2", "clicks")
TOGETHER = 100  # objects that are measured and placed at a time, which is quicker than singly
TAKEN = {*OWN, "fid", "geom", "geometry", "ogc_fid", "shape"}  # by us and by the formats


def write_geopackage(job: Job, folder: Path) -> list[Path]:
    """In the raster's own system; in its pixels, y downwards, where it has none."""
    file = folder / f"{job.stem}.gpkg"
    _write(job, file, "GPKG", layer="objects")
    return [file]


def write_shapefile(job: Job, folder: Path) -> list[Path]:
    """As `write_geopackage`; the names of attributes are cut to ten letters."""
    file = folder / f"{job.stem}.shp"
    _write(job, file, "ESRI Shapefile", encoding="UTF-8", short=10)
    return sorted(part for part in folder.iterdir() if part.stem == job.stem)


def write_geojson(job: Job, folder: Path) -> list[Path]:
    """RFC 7946: longitude and latitude on WGS 84. Pixels where the raster has no system."""
    info = job.image.info
    head = {"type": "FeatureCollection"}
    if info.crs is None:
        head["coordinates"] = "pixels" if info.transform is None else "of the raster"
    file = folder / f"{job.stem}.geojson"
    stream.write(file, head, "features", _features(job))
    return [file]


def _features(job: Job) -> Iterator[str]:
    info = job.image.info
    names = _columns(job, 0)
    for i, placed in enumerate(_placed(job, None if info.crs is None else WGS84)):
        shape = shapely.orient_polygons(_cut_at_antimeridian(placed, info))
        values = {name: _value(job, i, field) for name, field in names.items()}
        # Our own always, also when empty: by them the file is known again.
        properties = {k: v for k, v in values.items() if v is not None or k in OWN}
        yield (
            f'{{"type": "Feature", "id": {job.objects[i].id}, '
            f'"properties": {stream.compact(properties)}, "geometry": {shapely.to_geojson(shape)}}}'
        )


def _placed(job: Job, crs: str | None = None) -> Iterator[BaseGeometry]:
    """The outlines on the ground, in the raster's system or another; areas are found as well."""
    job.progress.begin(2 * len(job.objects))
    outlines = job.outlines
    for start in range(0, len(outlines), TOGETHER):
        some = slice(start, start + TOGETHER)
        measure(job.objects[some])
        placed = georeference.shapes_on_ground(job.image.info, outlines[some], crs)
        yield from job.progress.each(placed)


def _cut_at_antimeridian(shape: BaseGeometry, info: Any) -> BaseGeometry:
    """In parts within 180 degrees to either side, as RFC 7946 asks."""
    if info.crs is None:
        return shape
    xy = shapely.get_coordinates(shape)
    if abs(xy[:, 0]).max(initial=0) <= 180 and not (info.crs != WGS84 and _jumps(shape)):
        return shape
    if info.crs != WGS84:
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


def _columns(job: Job, short: int) -> dict[str, str]:
    """Names of columns -> of our fields (with a leading dot: of attributes)."""
    columns = {name: name for name in OWN}
    used = set(TAKEN)
    for key in dict.fromkeys(key for object in job.objects for key in object.attributes):
        base, number = (key[:short] if short else key) or "_", 1
        name = base
        while name.lower() in used:
            number += 1
            name = f"{base[: short - len(str(number)) - 1] if short else base}_{number}"
        used.add(name.lower())
        columns[name] = f".{key}"
    return columns


def _value(job: Job, index: int, field: str) -> Any:
    object = job.objects[index]
    if field.startswith("."):
        return object.attributes.get(field[1:])
    if field == "class":
        return job.class_names[object.class_id]
    return getattr(object, field)


def _write(job: Job, file: Path, driver: str, short: int = 0, **options: Any) -> None:
    from pyogrio import raw

    info = job.image.info
    several = [shapely.MultiPolygon(geometry.flat(shape)) for shape in _placed(job)]
    columns = _columns(job, short)
    data, masks = [], []
    for field in columns.values():
        values = [_value(job, i, field) for i in range(len(job.objects))]
        column, mask = _typed(values, field)
        data.append(column)
        masks.append(mask)
    try:
        if info.crs is not None:
            system(info.crs)  # it may name a file, in a project that somebody sent
        else:
            warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        raw.write(
            str(file),
            np.array(shapely.to_wkb(several), object).reshape(-1),
            data,
            np.array(list(columns), object),
            field_mask=masks,
            driver=driver,
            geometry_type="MultiPolygon",
            crs=info.crs,
            **options,
        )
    except ValueError as error:
        raise UserError(f"{file.name}: cannot be written ({error})") from error


def _typed(values: list[Any], field: str) -> tuple[np.ndarray, np.ndarray]:
    """A column of one type, and where it has no value."""
    empty = np.array([value is None for value in values], bool)
    kinds = {type(value) for value in values} - {type(None)}
    if field in ("id", "class_id", "area_px", "clicks"):
        kinds = {int}
    elif field == "area_m2":
        kinds = {float}
    for allowed, dtype, fill in (
        ({bool}, bool, False),
        ({int}, np.int64, 0),
        ({int, float}, np.float64, 0.0),
    ):
        if kinds and kinds <= allowed:
            return np.array([fill if v is None else v for v in values], dtype), empty
    texts = ["" if v is None else v if isinstance(v, str) else json.dumps(v) for v in values]
    return np.array(texts, object), empty
