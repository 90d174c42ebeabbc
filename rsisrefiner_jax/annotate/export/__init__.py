"""Objects as files of the formats that other programs read, a file a format."""

import zipfile
from collections.abc import Callable
from pathlib import Path

from rsisrefiner_jax.annotate.export import checking, classes, clicks, coco, ids, vectors, yolo
from rsisrefiner_jax.annotate.export.job import Job
from rsisrefiner_jax.annotate.safety import MEBIBYTE
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


def require_format(name: str) -> None:
    """Raises UserError: there is no such format."""
    require(name in FORMATS, f"format {name[:40]!r}: choose one of {', '.join(FORMATS)}")


def export(job: Job, name: str, folder: Path) -> Path:
    """Writes a format into an empty folder; a zip where that takes several files.

    Raises:
        UserError: no such format, or one that cannot hold the objects.
        NoSpace: the disk is full.
        Cancelled: the job's progress was cancelled.
    """
    require_format(name)
    with checking.writing(folder, f"{job.stem} as {name}"):
        files = FORMATS[name](job, folder)
        for file in files:
            checking.require_whole(file, len(job.objects))
        if len(files) == 1:
            return files[0]
        packed = folder / f"{job.stem}_{name}.zip"
        _pack(job, packed, files)
        checking.require_whole(packed, 0)
    return packed


def _pack(job: Job, packed: Path, files: list[Path]) -> None:
    """Moves files into a zip beside them."""
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            entry = zipfile.ZipInfo.from_file(file, file.relative_to(packed.parent))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with open(file, "rb") as content, archive.open(entry, "w") as out:
                while part := content.read(MEBIBYTE):
                    job.progress.check()
                    out.write(part)
            file.unlink()
