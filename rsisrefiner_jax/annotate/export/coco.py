"""COCO instances: exact run lengths, or polygons whose holes any COCO reader leaves open."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.annotate.export.job import UNCLASSIFIED, Job
from rsisrefiner_jax.annotate.geometry import flat
from rsisrefiner_jax.annotate.masks import coco_rle
from rsisrefiner_jax.annotate.records import Object
from rsisrefiner_jax.annotate.rings import single_ring


def write_rle(job: Job, folder: Path) -> list[Path]:
    """Masks as compressed run lengths."""
    info = job.image.info

    def segmentation(object: Object, _: BaseGeometry) -> Any:
        return coco_rle(object.mask, info.height, info.width)

    return [_write(job, folder / f"{job.stem}_coco.json", segmentation)]


def write_polygons(job: Job, folder: Path) -> list[Path]:
    """Outlines, a ring a part; a hole is reached by a way of no width."""

    def segmentation(_: Object, outline: BaseGeometry) -> Any:
        return [single_ring(part)[:-1].ravel().tolist() for part in flat(outline)]

    return [_write(job, folder / f"{job.stem}_coco.json", segmentation)]


def _write(job: Job, file: Path, segmentation: Callable[[Object, BaseGeometry], Any]) -> Path:
    info = job.image.info
    names = {item.id: item.name for item in job.classes}
    categories = [{"id": id, "name": name, "supercategory": ""} for id, name in names.items()]
    unclassified = max(names, default=0) + 1
    if any(object.class_id is None for object in job.objects):
        categories.append({"id": unclassified, "name": UNCLASSIFIED, "supercategory": ""})
    annotations = []
    for object, outline in zip(job.objects, job.outlines, strict=True):
        left, top, right, bottom = object.mask.box
        annotations.append(
            {
                "id": object.id,
                "image_id": job.image.id,
                "category_id": unclassified if object.class_id is None else object.class_id,
                "segmentation": segmentation(object, outline),
                "area": object.area_px,
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": 0,
                "attributes": object.attributes,
                "clicks": object.clicks,
            }
        )
    image = {
        "id": job.image.id,
        "file_name": job.image.name,
        "width": info.width,
        "height": info.height,
    }
    content = {"images": [image], "annotations": annotations, "categories": categories}
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return file
