"""Objects as files of the formats that other programs read, a file a format."""

import zipfile
from collections.abc import Callable
from pathlib import Path

from rsisrefiner_jax.annotate.export import classes, clicks, coco, ids, vectors, yolo
from rsisrefiner_jax.annotate.export.job import Job
from rsisrefiner_jax.errors import require

FORMATS: dict[str, Callable[[Job, Path], list[Path]]] = {
    "coco": coco.write_rle,
    "coco-polygons": coco.write_polygons,
    "gpkg": vectors.write_geopackage,
    "geojson": vectors.write_geojson,
    "shp": vectors.write_shapefile,
    "ids-png": ids.write_png,
    "ids-tif": ids.write_tif,
    "classes-tif": classes.write_tif,
    "yolo": yolo.write,
    "clicks": clicks.write,
}


def export(job: Job, name: str, folder: Path) -> Path:
    """Writes a format into an empty folder; a zip where that takes several files.

    Raises:
        UserError: no such format, or one that cannot hold the objects.
    """
    require(name in FORMATS, f"format {name[:40]!r}: choose one of {', '.join(FORMATS)}")
    files = FORMATS[name](job, folder)
    if len(files) == 1:
        return files[0]
    packed = folder / f"{job.stem}_{name}.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(folder))
    return packed
