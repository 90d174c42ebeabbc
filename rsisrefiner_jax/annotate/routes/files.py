"""Objects in and out as files."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, Query, UploadFile
from fastapi import Path as InPath
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from rsisrefiner_jax.annotate import importing, safety
from rsisrefiner_jax.annotate.context import Here
from rsisrefiner_jax.annotate.disk import room_for
from rsisrefiner_jax.annotate.export import export
from rsisrefiner_jax.annotate.export.job import Job
from rsisrefiner_jax.annotate.importing.found import Target
from rsisrefiner_jax.annotate.project import copy_limited
from rsisrefiner_jax.annotate.schemas import ImportOut

router = APIRouter(prefix="/images/{id}", tags=["files"])
ImageId = Annotated[int, InPath(ge=1, lt=2**53)]


@router.post("/import")
def read(
    id: ImageId,
    file: Annotated[UploadFile, File()],
    here: Here,
    kind: Annotated[Literal["ids", "classes", "binary"] | None, Form()] = None,
) -> ImportOut:
    """Adds the objects of a file, all or none; ids and attributes are kept where they can be."""
    project = here.project
    image = project.image(id)
    name = file.filename or "file"
    with (
        room_for(safety.printable(name)),
        tempfile.TemporaryDirectory(prefix="import-", dir=project.cache) as folder,
    ):
        kept = Path(folder) / safety.safe_name(name)
        with open(kept, "xb") as out:
            copy_limited(file.file, out, safety.IMPORT_LIMIT, name)
        unpacked = Path(folder) / "unpacked"
        unpacked.mkdir()
        target = Target(image, [item.name for item in project.classes()])
        found = importing.read(kept, target, unpacked, kind)
    renamed = project.import_objects(id, found.items)
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
