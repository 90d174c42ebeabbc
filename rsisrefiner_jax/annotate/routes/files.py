"""Objects in from files."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi.concurrency import run_in_threadpool

from rsisrefiner_jax.annotate import importing, safety
from rsisrefiner_jax.annotate.context import Here
from rsisrefiner_jax.annotate.disk import room_for
from rsisrefiner_jax.annotate.importing.found import Target
from rsisrefiner_jax.annotate.project import Project, copy_limited
from rsisrefiner_jax.annotate.receiving import Sent, body_with_file
from rsisrefiner_jax.annotate.records import Image
from rsisrefiner_jax.annotate.schemas import ImportOut
from rsisrefiner_jax.errors import require

router = APIRouter(prefix="/images/{id}", tags=["files"])
ImageId = Annotated[int, InPath(ge=1, lt=2**53)]


KINDS = ("ids", "classes", "binary")


FIELDS: dict[str, Any] = {
    "kind": {"type": "string", "enum": [*KINDS]},
    "class_field": {"type": "string"},
}


@router.post("/import", openapi_extra=body_with_file(**FIELDS))
async def read(id: ImageId, request: Request, here: Here) -> ImportOut:
    """Adds the objects of a file, all or none; ids and attributes are kept where they can be.

    kind: of a mask; class_field: of polygons, the attribute that names the class. Both are told
    from the file where they are left out.
    """
    image = here.project.image(id)
    async with here.receiver.receive(request) as sent:
        kind = sent.fields.get("kind")
        require(kind in (None, *KINDS), f"kind: one of {', '.join(KINDS)}")
        return await run_in_threadpool(_add, here.project, image, sent)


def _add(project: Project, image: Image, sent: Sent) -> ImportOut:
    with (
        room_for(safety.printable(sent.name)),
        tempfile.TemporaryDirectory(prefix="import-", dir=project.cache) as folder,
    ):
        kept = Path(folder) / safety.safe_name(sent.name)
        with open(kept, "xb") as out:
            copy_limited(sent.content, out, safety.IMPORT_LIMIT, sent.name)
        unpacked = Path(folder) / "unpacked"
        unpacked.mkdir()
        target = Target(image, [item.name for item in project.classes()])
        found = importing.read(
            kept, target, unpacked, sent.fields.get("kind"), sent.fields.get("class_field")
        )
    renamed = project.import_objects(image.id, found.items)
    if found.cut:
        found.notes.append(f"{found.cut} outlines went beyond the image and were cut to it")
    if renamed:
        found.notes.append(f"{renamed} ids were taken already; these objects have new ones")
    return ImportOut(objects=len(found.items), skipped=found.skipped, notes=found.notes)
