"""A whole project as one COCO file over the folder that its images lie in."""

import os
from pathlib import Path

from tqdm import tqdm

from rsisrefiner_jax.annotate.export import coco
from rsisrefiner_jax.annotate.exports import Exports
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.safety import Roots
from rsisrefiner_jax.data.project.events import NAME
from rsisrefiner_jax.data.project.raster_paths import in_common_folder
from rsisrefiner_jax.data.project.source import EXPORTED
from rsisrefiner_jax.errors import require


def export_project(folder: Path, to: Path) -> str:
    """Writes `to`/instances.json and returns the data SPEC that opens it, `project:TO`.

    Images without an object are left out. Pictures stay where they are; the file says where.

    Raises:
        UserError: no project, one that a server is at work on, or nothing in it.
    """
    require((folder / NAME).is_file(), f"{folder}: no project of the annotator")
    project = Project(folder, Roots([]))
    try:
        exports = Exports(project)
        found = [exports.job(image.id) for image in tqdm(project.images(), unit="image", delay=2)]
        jobs = [job for job in found if job.objects]
        require(bool(jobs), f"{folder}: there is no object in this project")
        pictures, names = in_common_folder([job.image.path for job in jobs])
        to.mkdir(parents=True, exist_ok=True)
        draft = coco.write_images(
            to / f".{EXPORTED}",
            dict(zip(names, jobs, strict=True)),
            images_dir=os.path.relpath(pictures, to.resolve()),
        )
        draft.replace(to / EXPORTED)
        exports.close()
    finally:
        project.close()
    return f"project:{to}"
