"""Instance ids as pixels, 0 where there is no object."""

import warnings
from pathlib import Path

from rsisrefiner_jax.annotate.disk import require_whole
from rsisrefiner_jax.annotate.export.job import Job
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.label_writing import paint, profile
from rsisrefiner_jax.formats.layers import layers_of
from rsisrefiner_jax.formats.masks import Mask


def write_tif(job: Job, folder: Path) -> list[Path]:
    """A GeoTIFF of 32 bits on the raster's grid. Objects that overlap lie in different bands."""
    import rasterio

    file = folder / f"{job.stem}_ids.tif"
    masks, layers = _layered(job)
    info = job.image.info
    count = max(layers, default=0) + 1
    with rasterio.open(file, "w", **profile(info, "uint32", count)) as out:
        out.update_tags(RSISREFINER="ids")
        items = [
            (mask, layer + 1, object.id)
            for mask, layer, object in zip(masks, layers, job.objects, strict=True)
        ]
        paint(out, items, info.width, info.height, "uint32", job.progress)
    return [file]


def write_png(job: Job, folder: Path) -> list[Path]:
    """PNG of 16 bits; where objects overlap, as many as it takes.

    Raises:
        UserError: ids beyond 65535, or a raster too large for a PNG.
    """
    import rasterio.shutil
    from rasterio.errors import NotGeoreferencedWarning

    info = job.image.info
    highest = max((object.id for object in job.objects), default=0)
    require(highest < 2**16, f"id {highest} does not fit a PNG of 16 bits; export ids-tif")
    require(
        info.width * info.height <= 2**31,
        "the raster is too large for a PNG; export ids-tif",
    )
    masks, layers = _layered(job)
    files = []
    for layer in range(max(layers, default=0) + 1):
        suffix = f"_{layer + 1}" if layer else ""
        file = folder / f"{job.stem}_ids{suffix}.png"
        draft = folder / "draft.tif"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            shape = profile(info, "uint16", 1) | {"crs": None}
            del shape["transform"]
            with rasterio.open(draft, "w", **shape) as out:
                items = [
                    (mask, 1, object.id)
                    for mask, own, object in zip(masks, layers, job.objects, strict=True)
                    if own == layer
                ]
                paint(out, items, info.width, info.height, "uint16", job.progress)
            require_whole(draft)
            rasterio.shutil.copy(str(draft), str(file), driver="PNG", zlevel="6")
        draft.unlink()
        files.append(file)
    for rest in folder.glob("*.aux.xml"):
        rest.unlink()
    return files


def _layered(job: Job) -> tuple[list[Mask], list[int]]:
    """The objects' masks and their layers. Two steps an object, the third is painting it."""
    job.progress.begin(3 * len(job.objects))
    masks = [object.mask for object in job.progress.each(job.objects)]
    return masks, layers_of(masks, job.progress.each)
