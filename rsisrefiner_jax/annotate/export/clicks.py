"""All clicks of an image with their times and the masks that they led to, as JSON."""

from pathlib import Path
from typing import Any

from rsisrefiner_jax.annotate.export.job import Job
from rsisrefiner_jax.data.project.records import Session, Step
from rsisrefiner_jax.formats import json_stream


def write(job: Job, folder: Path) -> list[Path]:
    """JSON: every session of the image with all its steps, also those taken back.

    Times are seconds since 1970; masks are COCO run lengths within their box (x, y, w, h).
    """
    info = job.image.info
    image = {"name": job.image.name, "width": info.width, "height": info.height}
    file = folder / f"{job.stem}_clicks.json"
    job.progress.begin(len(job.sessions))
    sessions = (
        json_stream.compact(_session(job, session)) for session in job.progress.each(job.sessions)
    )
    json_stream.write(file, {"image": image}, "sessions", sessions)
    return [file]


def _session(job: Job, session: Session) -> dict[str, Any]:
    kept = {step.event for step in session.steps}
    return {
        "id": session.id,
        "object_id": session.object_id,
        "state": "open" if session.open else "finished" if session.made else "discarded",
        "start": session.start,
        "steps": [_step(job, step, step.event in kept) for step in session.everything],
    }


def _step(job: Job, step: Step, kept: bool) -> dict[str, Any]:
    about: dict[str, Any] = {"time": step.time, "kept": kept}
    if step.mask is not None:
        return about | {"kind": "mask", "mode": step.mode, "mask": step.mask}
    found = job.journal.result(step.event) or {}
    return about | {
        "kind": "click",
        "x": step.x,
        "y": step.y,
        "positive": step.positive,
        "seconds": found.get("seconds"),
        "mask": found.get("mask"),
    }
