"""Objects in and out as files."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from rsisrefiner_jax.annotate import importing, safety
from rsisrefiner_jax.annotate.context import Here
from rsisrefiner_jax.annotate.export import export
from rsisrefiner_jax.annotate.export.job import Job
from rsisrefiner_jax.annotate.importing.found import Target
from rsisrefiner_jax.annotate.project import Project, copy_limited
from rsisrefiner_jax.annotate.receiving import Sent, body_with_file
from rsisrefiner_jax.annotate.records import Image
from rsisrefiner_jax.annotate.schemas import ImportOut
from rsisrefiner_jax.errors import require

router = APIRouter(prefix="/images/{id}", tags=["files"])
ImageId = Annotated[int, InPath(ge=1, lt=2**53)]


KINDS = ("ids", "classes", "binary")


@router.post("/import", openapi_extra=body_with_file(kind={"type": "string", "enum": [*KINDS]}))
async def read(id: ImageId, request: Request, here: Here) -> ImportOut:
    """Adds the objects of a file, all or none; ids and attributes are kept where they can be.

    kind: of a mask; told from the file where it is left out.
    """
    image = here.project.image(id)
    async with here.receiver.receive(request) as sent:
        kind = sent.fields.get("kind")
        require(kind in (None, *KINDS), f"kind: one of {', '.join(KINDS)}")
        return await run_in_threadpool(_add, here.project, image, sent, kind)


def _add(project: Project, image: Image, sent: Sent, kind: str | None) -> ImportOut:
    with tempfile.TemporaryDirectory(dir=project.cache) as folder:
        kept = Path(folder) / safety.safe_name(sent.name)
        with open(kept, "xb") as out:
            copy_limited(sent.content, out, safety.IMPORT_LIMIT, sent.name)
        unpacked = Path(folder) / "unpacked"
        unpacked.mkdir()
        target = Target(image, [item.name for item in project.classes()])
        found = importing.read(kept, target, unpacked, kind)
    renamed = project.import_objects(image.id, found.items)
    if renamed:
        found.notes.append(f"{renamed} ids were taken already; these objects have new ones")
    return ImportOut(objects=len(found.items), skipped=found.skipped, notes=found.notes)


@router.get(
    "/export",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
def write(
    id: ImageId,
    here: Here,
    format: Annotated[str, Query(max_length=40)],
    simplify: Annotated[float, Query(ge=0, le=1000, allow_inf_nan=False)] = 0,
    rectangles: bool = False,
) -> FileResponse:
    """The objects of an image as a file; a zip where the format is several."""
    project = here.project
    job = Job(
        image=project.image(id),
        objects=project.objects(id),
        classes=project.classes(),
        drawings=project.drawings.all(id, only_open=False),
        journal=project.journal,
        simplify=simplify,
        rectangles=rectangles,
    )
    folder = tempfile.mkdtemp(dir=project.cache)
    cleaning = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    try:
        file = export(job, format, Path(folder))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return FileResponse(file, filename=file.name, background=cleaning)
