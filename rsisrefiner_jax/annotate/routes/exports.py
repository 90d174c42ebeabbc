"""Exporting objects to files."""

import shutil
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from rsisrefiner_jax.annotate.context import Here
from rsisrefiner_jax.annotate.exports import Export
from rsisrefiner_jax.annotate.refusals import Conflict
from rsisrefiner_jax.annotate.replies import Done, ExportOut
from rsisrefiner_jax.annotate.requests import ExportIn

router = APIRouter(tags=["exports"])
ImageId = Annotated[int, Path(ge=1, lt=2**53)]
ExportId = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
FILE: dict[int | str, dict[str, Any]] = {200: {"content": {"application/octet-stream": {}}}}


@router.get("/images/{id}/export", response_class=FileResponse, responses=FILE)
def write(
    id: ImageId,
    here: Here,
    format: Annotated[str, Query(max_length=40)],
    simplify: Annotated[float, Query(ge=0, le=1000, allow_inf_nan=False)] = 0,
    rectangles: bool = False,
) -> FileResponse:
    """The objects of an image as a file; a zip where the format is several.

    For thousands of them `POST /images/{id}/exports` is better: it can be watched and cancelled.
    """
    file = here.exports.write(here.exports.job(id, simplify, rectangles), format)
    cleaning = BackgroundTask(shutil.rmtree, file.parent, ignore_errors=True)
    return FileResponse(file, filename=file.name, background=cleaning)


@router.post("/images/{id}/exports", status_code=202)
def start(id: ImageId, given: ExportIn, here: Here) -> ExportOut:
    """Begins to write the objects of an image, as they are now, to a file."""
    job = here.exports.job(id, given.simplify, given.rectangles)
    return _out(here.exports.start(job, given.format))


@router.get("/exports/{id}")
def watch(id: ExportId, here: Here) -> ExportOut:
    """How far an export is. Finished ones are kept for an hour, ten at most."""
    return _out(here.exports.get(id))


@router.delete("/exports/{id}")
def cancel(id: ExportId, here: Here) -> Done:
    """Stops it, or removes it and its file once it is finished."""
    here.exports.cancel(id)
    return Done()


@router.get("/exports/{id}/file", response_class=FileResponse, responses=FILE)
def fetch(id: ExportId, here: Here) -> FileResponse:
    """The file of one that is done."""
    one = here.exports.get(id)
    file = one.file
    if one.state != "done" or file is None:
        raise Conflict(f"export {id} is {one.state}; there is no file")
    return FileResponse(file, filename=file.name)


def _out(one: Export) -> ExportOut:
    progress, file = one.progress, one.file
    running = one.state == "running"
    return ExportOut(
        id=one.id,
        state=one.state,
        done=progress.done,
        total=progress.total,
        seconds_left=progress.seconds_left if running else None,
        error=one.error,
        name=file.name if file else None,
        size=one.size if file else None,
    )
