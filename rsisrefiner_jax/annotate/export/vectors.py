"""GeoPackage, GeoJSON and Shapefile: outlines in the raster's coordinates, with attributes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from rsisrefiner_jax.annotate.export.job import TOGETHER, Job
from rsisrefiner_jax.data.project.records import measure
from rsisrefiner_jax.formats import geometry, georeference, json_stream
from rsisrefiner_jax.formats.georeference import WGS84
from rsisrefiner_jax.formats.polygons import OURS
from rsisrefiner_jax.formats.vector_writing import (
    Column,
    cut_at_antimeridian,
    free_name,
    write_layer,
)

TYPES = {"id": int, "class_id": int, "area_px": int, "clicks": int, "area_m2": float}
TAKEN = {*OURS, "fid", "geom", "geometry", "ogc_fid", "shape"}  # by us and by the formats


def write_geopackage(job: Job, folder: Path) -> list[Path]:
    """Coordinates are in the raster's own system; in pixels, y downwards, where it has none."""
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
    json_stream.write(file, head, "features", _features(job))
    return [file]


def _features(job: Job) -> Iterator[str]:
    info = job.image.info
    names = _columns(job, 0)
    for start, placed in _placed(job, None if info.crs is None else WGS84):
        shapes = shapely.orient_polygons(cut_at_antimeridian(placed, info.crs))
        texts = job.progress.each(shapely.to_geojson(shapes).tolist())
        for i, text in enumerate(texts, start):
            values = {name: _value(job, i, field) for name, field in names.items()}
            # Our own always, also when empty: by them the file is known again.
            properties = {k: v for k, v in values.items() if v is not None or k in OURS}
            head = {"type": "Feature", "id": job.objects[i].id, "properties": properties}
            yield f'{json_stream.compact(head)[:-1]}, "geometry": {text}}}'


def _placed(job: Job, crs: str | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """The outlines on the ground, in the raster's system or another, many at a time: the number of
    the first and geometries [n]. Areas are found as well; each object is yet to be counted."""
    job.progress.begin(2 * len(job.objects))
    outlines = job.outlines
    for start in range(0, len(outlines), TOGETHER):
        some = slice(start, start + TOGETHER)
        measure(job.objects[some])
        yield start, georeference.shapes_in_crs(job.image.info, outlines[some], crs)


def _columns(job: Job, short: int) -> dict[str, str]:
    """Names of columns -> of our fields (with a leading dot: of attributes)."""
    columns = {name: name for name in OURS}
    used = set(TAKEN)
    for key in dict.fromkeys(key for object in job.objects for key in object.attributes):
        name = free_name(key or "_", used, short)
        used.add(name)
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
    several = [
        shape for _, placed in _placed(job) for shape in job.progress.each(geometry.several(placed))
    ]
    columns = {
        name: Column([_value(job, i, field) for i in range(len(job.objects))], TYPES.get(field))
        for name, field in _columns(job, short).items()
    }
    write_layer(file, several, columns, job.image.info.crs, driver=driver, **options)
