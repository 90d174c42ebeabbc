"""COCO instances: exact run lengths, or polygons whose holes any COCO reader leaves open."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rsisrefiner_jax.annotate.export.job import Job
from rsisrefiner_jax.annotate.records import Object
from rsisrefiner_jax.formats import json_stream
from rsisrefiner_jax.formats.geometry import flat
from rsisrefiner_jax.formats.masks import coco_rle
from rsisrefiner_jax.formats.region import UNCLASSIFIED
from rsisrefiner_jax.formats.rings import single_ring


def write_rle(job: Job, folder: Path) -> list[Path]:
    """Masks as compressed run lengths."""
    info = job.image.info
    job.progress.begin(len(job.objects))
    rles = (coco_rle(object.mask, info.height, info.width) for object in job.objects)
    return [_write(job, folder, rles)]


def write_polygons(job: Job, folder: Path) -> list[Path]:
    """Outlines, a ring a part; a hole is reached by a way of no width."""
    job.progress.begin(2 * len(job.objects))
    rings = (
        [single_ring(part)[:-1].ravel().tolist() for part in flat(outline)]
        for outline in job.outlines
    )
    return [_write(job, folder, rings)]


def _write(job: Job, folder: Path, segmentations: Iterator[Any]) -> Path:
    info = job.image.info
    names = {item.id: item.name for item in job.classes}
    categories = [{"id": id, "name": name, "supercategory": ""} for id, name in names.items()]
    unclassified = max(names, default=0) + 1
    if any(object.class_id is None for object in job.objects):
        categories.append({"id": unclassified, "name": UNCLASSIFIED, "supercategory": ""})
    image = {
        "id": job.image.id,
        "file_name": job.image.name,
        "width": info.width,
        "height": info.height,
    }
    annotations = (
        json_stream.compact(
            _annotation(object, unclassified) | {"segmentation": next(segmentations)}
        )
        for object in job.progress.each(job.objects)
    )
    file = folder / f"{job.stem}_coco.json"
    head = {"images": [image], "categories": categories}
    json_stream.write(file, head, "annotations", annotations)
    return file


def _annotation(object: Object, unclassified: int) -> dict[str, Any]:
    """All but the segmentation."""
    left, top, right, bottom = object.mask.box
    return {
        "id": object.id,
        "image_id": object.image.id,
        "category_id": unclassified if object.class_id is None else object.class_id,
        "area": object.area_px,
        "bbox": [left, top, right - left, bottom - top],
        "iscrowd": 0,
        "attributes": object.attributes,
        "clicks": object.clicks,
    }
