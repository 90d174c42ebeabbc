"""COCO instances: exact run lengths, or polygons whose holes any COCO reader leaves open."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from rsisrefiner_jax.annotate.export.job import TOGETHER, Job
from rsisrefiner_jax.data.project.records import Object
from rsisrefiner_jax.formats import json_stream
from rsisrefiner_jax.formats.masks import coco_rle, encoded_box
from rsisrefiner_jax.formats.region import UNCLASSIFIED
from rsisrefiner_jax.formats.rings import single_rings


def write_rle(job: Job, folder: Path) -> list[Path]:
    """Masks as compressed run lengths."""
    job.progress.begin(len(job.objects))
    return [write_images(folder / f"{job.stem}_coco.json", {job.image.name: job}, _run_lengths)]


def write_polygons(job: Job, folder: Path) -> list[Path]:
    """Outlines, a ring a part; a hole is reached by a way of no width."""
    job.progress.begin(2 * len(job.objects))
    return [write_images(folder / f"{job.stem}_coco.json", {job.image.name: job}, _polygons)]


def write_images(
    file: Path,
    jobs: Mapping[str, Job],
    shapes: Callable[[Job], Iterator[Any]] | None = None,
    images_dir: str | None = None,
) -> Path:
    """The objects of images of one project, by the names that the images go by.

    Args:
        shapes: of each object its `segmentation`; by default run lengths.
        images_dir: where the images lie, from the file's folder; None where it does not say.
    """
    classes = next(iter(jobs.values())).classes
    categories = [{"id": item.id, "name": item.name, "supercategory": ""} for item in classes]
    unclassified = max((item.id for item in classes), default=0) + 1
    if any(object.class_id is None for job in jobs.values() for object in job.objects):
        categories.append({"id": unclassified, "name": UNCLASSIFIED, "supercategory": ""})
    images = [
        {
            "id": job.image.id,
            "file_name": name,
            "width": job.image.info.width,
            "height": job.image.info.height,
        }
        for name, job in jobs.items()
    ]
    annotations = (
        json_stream.compact(_annotation(object, unclassified) | {"segmentation": shape})
        for job in jobs.values()
        for object, shape in zip(
            job.progress.each(job.objects), (shapes or _run_lengths)(job), strict=True
        )
    )
    head: dict[str, Any] = {} if images_dir is None else {"info": {"images_dir": images_dir}}
    head |= {"images": images, "categories": categories}
    json_stream.write(file, head, "annotations", annotations)
    return file


def _run_lengths(job: Job) -> Iterator[dict[str, Any]]:
    info = job.image.info
    return (coco_rle(object.mask, info.height, info.width) for object in job.objects)


def _polygons(job: Job) -> Iterator[list[list[float]]]:
    outlines = job.outlines
    for start in range(0, len(outlines), TOGETHER):
        parts, number = shapely.get_parts(outlines[start : start + TOGETHER], return_index=True)
        rings = [ring[:-1].ravel().tolist() for ring in single_rings(parts)]
        first = np.searchsorted(number, np.arange(number.max() + 2)).tolist()
        yield from (rings[a:b] for a, b in pairwise(first))


def _annotation(object: Object, unclassified: int) -> dict[str, Any]:
    """All but the segmentation."""
    left, top, right, bottom = encoded_box(object.encoded)
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
