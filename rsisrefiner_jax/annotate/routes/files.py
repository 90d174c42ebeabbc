"""Objects in from files."""

import json
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
from rsisrefiner_jax.annotate.schemas import ImportOut
from rsisrefiner_jax.data.project.records import Image
from rsisrefiner_jax.errors import require

router = APIRouter(prefix="/images/{id}", tags=["files"])
ImageId = Annotated[int, InPath(ge=1, lt=2**53)]


KINDS = ("ids", "classes", "binary")


FIELDS: dict[str, Any] = {
    "kind": {"type": "string", "enum": [*KINDS]},
    "class_field": {"type": "string"},
    "repeated": {"type": "string", "enum": ["add", "skip"]},
}


@router.post("/import", openapi_extra=body_with_file(**FIELDS))
async def read(id: ImageId, request: Request, here: Here) -> ImportOut:
    """Adds the objects of a file, all or none; ids and attributes are kept where they can be.

    kind: of a mask; class_field: of polygons, the attribute that names the class. Both are told
    from the file where they are left out. repeated: whether objects with exactly the pixels of
    one that is there are added (as they are by default) or skipped.
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
    repeated = _repeated(project, image, found.items)
    if sent.fields.get("repeated") == "skip":
        found.items = [item for item, same in zip(found.items, repeated, strict=True) if not same]
        found.skipped += sum(repeated)
    renamed = project.import_objects(image.id, found.items)
    if any(repeated):
        what = "left out" if sent.fields.get("repeated") == "skip" else "added once more"
        found.notes.append(
            f"{sum(repeated)} objects have the very pixels of objects that were there, and were "
            f"{what}"
        )
    if found.cut:
        found.notes.append(f"{found.cut} outlines went beyond the image and were cut to it")
    if renamed:
        found.notes.append(f"{renamed} ids were taken already; these objects have new ones")
    return ImportOut(objects=len(found.items), skipped=found.skipped, notes=found.notes)


def _repeated(project: Project, image: Image, items: list[dict[str, Any]]) -> list[bool]:
    """Of each object whether one with exactly its pixels is there already."""
    there = {
        json.dumps(object.encoded, sort_keys=True)
        for object in project.objects(image.id, measured=False)
    }
    return [json.dumps(item["mask"], sort_keys=True) in there for item in items]
