"""YOLO segmentation: a line an object, its class and one ring in fractions of the image."""

import json
from pathlib import Path

from rsisrefiner_jax.annotate.export.job import UNCLASSIFIED, Job
from rsisrefiner_jax.annotate.rings import single_ring


def write(job: Job, folder: Path) -> list[Path]:
    """labels/NAME.txt and data.yaml. Holes and parts are reached by ways of no width."""
    info = job.image.info
    order = [item.id for item in job.classes]
    names = [item.name for item in job.classes]
    if any(object.class_id is None for object in job.objects):
        names.append(UNCLASSIFIED)
    lines = []
    for object, outline in zip(job.objects, job.outlines, strict=True):
        index = len(order) if object.class_id is None else order.index(object.class_id)
        fractions = (single_ring(outline)[:-1] / [info.width, info.height]).clip(0, 1).ravel()
        lines.append(" ".join([str(index), *(f"{value:.10g}" for value in fractions)]))
    labels = folder / "labels" / f"{job.stem}.txt"
    labels.parent.mkdir()
    labels.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    about = folder / "data.yaml"
    listed = "".join(f"  {i}: {json.dumps(name)}\n" for i, name in enumerate(names))
    about.write_text(f"path: .\ntrain: images\nval: images\nnames:\n{listed}", encoding="utf-8")
    return [about, labels]
