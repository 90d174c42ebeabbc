"""YOLO segmentation: a line an object, its class and one ring in fractions of the image."""

import json
from pathlib import Path

from rsisrefiner_jax.annotate.export.job import UNCLASSIFIED, Job
from rsisrefiner_jax.formats.rings import single_ring


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
    outlines = iter(job.outlines)
    with open(labels, "w", encoding="utf-8") as out:
        for object in job.progress.each(job.objects):
            index = len(order) if object.class_id is None else order[object.class_id]
            ring = single_ring(next(outlines))[:-1]
            fractions = (ring / [info.width, info.height]).clip(0, 1).ravel().tolist()
            out.write(" ".join([str(index), *(f"{value:.10g}" for value in fractions)]) + "\n")
    about = folder / "data.yaml"
    listed = "".join(f"  {i}: {json.dumps(name)}\n" for i, name in enumerate(names))
    about.write_text(f"path: .\ntrain: images\nval: images\nnames:\n{listed}", encoding="utf-8")
    return [about, labels]
