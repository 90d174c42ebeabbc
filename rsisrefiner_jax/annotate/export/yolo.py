"""YOLO segmentation: a line an object, its class and one ring in fractions of the image."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import shapely

from rsisrefiner_jax.annotate.export.job import TOGETHER, Job
from rsisrefiner_jax.formats.outlines import cut_to_image
from rsisrefiner_jax.formats.region import UNCLASSIFIED
from rsisrefiner_jax.formats.rings import single_rings
from rsisrefiner_jax.formats.yolo import about_lines, line_of


def write(job: Job, folder: Path) -> list[Path]:
    """labels/NAME.txt and data.yaml. Holes and parts are reached by ways of no width."""
    info = job.image.info
    order = {item.id: index for index, item in enumerate(job.classes)}
    names = [item.name for item in job.classes]
    if any(object.class_id is None for object in job.objects):
        names.append(UNCLASSIFIED)
    labels = folder / "labels" / f"{job.stem}.txt"
    labels.parent.mkdir()
    job.progress.begin(2 * len(job.objects))
    with open(labels, "w", encoding="utf-8") as out:
        for object, ring in zip(job.progress.each(job.objects), _rings(job), strict=True):
            index = len(order) if object.class_id is None else order[object.class_id]
            if len(ring):
                out.write(line_of(index, ring[:-1], (info.height, info.width)))
    about = folder / "data.yaml"
    about.write_text("".join(about_lines(names)), encoding="utf-8")
    return [about, labels]


def _rings(job: Job) -> Iterator[np.ndarray]:
    """Of each object a closed ring within the image; empty where nothing of it lies there."""
    outlines = job.outlines
    for start in range(0, len(outlines), TOGETHER):
        shapes, _ = cut_to_image(np.array(outlines[start : start + TOGETHER]), job.image.info)
        some = ~shapely.is_empty(shapes)
        rings = iter(single_rings(shapes[some]))
        yield from (next(rings) if there else np.zeros((0, 2)) for there in some)
