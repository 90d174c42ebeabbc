"""Class ids as pixels."""

from pathlib import Path

from rsisrefiner_jax.annotate.export.job import Job
from rsisrefiner_jax.formats.label_writing import paint, profile
from rsisrefiner_jax.formats.region import UNCLASSIFIED


def write_tif(job: Job, folder: Path) -> list[Path]:
    """A GeoTIFF on the raster's grid: 0 where there is no object, the highest value where one has
    no class. Later objects lie on top. Colours and names of the classes are in it."""
    import rasterio

    ids = [item.id for item in job.classes]
    dtype, none = ("uint8", 255) if max(ids, default=0) < 255 else ("uint16", 65535)
    info = job.image.info
    job.progress.begin(2 * len(job.objects))
    file = folder / f"{job.stem}_classes.tif"
    with rasterio.open(file, "w", **profile(info, dtype, 1)) as out:
        names = {f"class_{item.id}": item.name for item in job.classes}
        out.update_tags(RSISREFINER="classes", **names, **{f"class_{none}": UNCLASSIFIED})
        if dtype == "uint8":
            colours = {item.id: _rgba(item.colour) for item in job.classes}
            out.write_colormap(1, {0: (0, 0, 0, 0), none: (128, 128, 128, 255), **colours})
        items = [
            (object.mask, 1, none if object.class_id is None else object.class_id)
            for object in job.progress.each(job.objects)
        ]
        paint(out, items, info.width, info.height, dtype, job.progress)
    return [file]


def _rgba(colour: str) -> tuple[int, int, int, int]:
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue, 255
