"""YOLO segmentation: a line an object, its class and one ring in fractions of the image."""

from pathlib import Path

from rsisrefiner_jax.annotate.export.job import Job
from rsisrefiner_jax.formats.outlines import cut_to_image
from rsisrefiner_jax.formats.region import UNCLASSIFIED
from rsisrefiner_jax.formats.rings import single_ring
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
    outlines = iter(job.outlines)
    with open(labels, "w", encoding="utf-8") as out:
        for object in job.progress.each(job.objects):
            index = len(order) if object.class_id is None else order[object.class_id]
            outline, _ = cut_to_image(next(outlines), info)
            if not outline.is_empty:
                ring = single_ring(outline)[:-1]
                out.write(line_of(index, ring, (info.height, info.width)))
    about = folder / "data.yaml"
    about.write_text("".join(about_lines(names)), encoding="utf-8")
    return [about, labels]
