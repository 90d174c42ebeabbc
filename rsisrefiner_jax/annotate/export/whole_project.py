"""A whole project as one COCO file over the folder that its images lie in."""

import os
from pathlib import Path

from tqdm import tqdm

from rsisrefiner_jax.annotate.export import coco
from rsisrefiner_jax.annotate.exports import Exports
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.safety import Roots
from rsisrefiner_jax.errors import require

NAME = "instances.json"


def export_project(folder: Path, to: Path) -> str:
    """Writes `to`/instances.json and returns the data SPEC that opens it.

    Images without an object are left out. Pictures stay where they are.

    Raises:
        UserError: no project, one that a server is at work on, or nothing in it.
    """
    require((folder / "project.sqlite").is_file(), f"{folder}: no project of the annotator")
    project = Project(folder, Roots([]))
    try:
        exports = Exports(project)
        found = [exports.job(image.id) for image in tqdm(project.images(), unit="image", delay=2)]
        jobs = [job for job in found if job.objects]
        require(bool(jobs), f"{folder}: there is no object in this project")
        paths = [job.image.path.resolve() for job in jobs]
        pictures = Path(os.path.commonpath([path.parent for path in paths]))
        named = {
            path.relative_to(pictures).as_posix(): job
            for path, job in zip(paths, jobs, strict=True)
        }
        to.mkdir(parents=True, exist_ok=True)
        draft = coco.write_images(to / f".{NAME}", named)
        draft.replace(to / NAME)
        exports.close()
    finally:
        project.close()
    return f"coco:{pictures},{to / NAME}"
