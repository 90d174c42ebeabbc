"""Importing objects from files."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi.concurrency import run_in_threadpool

from rsisrefiner_jax.annotate import importing, safety
from rsisrefiner_jax.annotate.context import Context, Here
from rsisrefiner_jax.annotate.disk import room_for
from rsisrefiner_jax.annotate.importing.reading import Reading, Target
from rsisrefiner_jax.annotate.importing.repeats import repeats
from rsisrefiner_jax.annotate.imports import digest
from rsisrefiner_jax.annotate.project import Project, copy_limited
from rsisrefiner_jax.annotate.receiving import Sent, body_with_file
from rsisrefiner_jax.annotate.refusals import Conflict
from rsisrefiner_jax.annotate.replies import Done, ImportOut, ImportPreviewOut, ImportProgressOut
from rsisrefiner_jax.data.project.records import Image, Object
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.left_out import counted
from rsisrefiner_jax.formats.progress import Cancelled

router = APIRouter(tags=["files"])
ImageId = Annotated[int, InPath(ge=1, lt=2**53)]
ImportKey = Annotated[str, InPath(min_length=1, max_length=200)]

KINDS = ("ids", "classes", "binary")
REPEATED = ("skip", "replace", "add")
TOLD = {
    "skip": "left out",
    "replace": "put in their place, which undo takes back",
    "add": "added beside them",
}
READING: dict[str, Any] = {
    "kind": {"type": "string", "enum": [*KINDS]},
    "class_field": {"type": "string"},
    "key": {"type": "string"},
}
REPEATING: dict[str, Any] = {"repeated": {"type": "string", "enum": [*REPEATED]}}


@router.post("/images/{id}/import/preview", openapi_extra=body_with_file(**READING))
async def preview(id: ImageId, request: Request, here: Here) -> ImportPreviewOut:
    """What an import of a file would bring, and whether the file belongs to this image; nothing
    is changed. kind, class_field and key: as for the import. An import of the same file that
    follows does not read it again."""
    image = here.project.image(id)

    def look(sent: Sent) -> ImportPreviewOut:
        about = _about(here.project, image, sent)
        found = _read(here, image, sent)
        on = _repeats(here.project, image, found)
        here.imports.keep(about, found)
        return ImportPreviewOut(
            objects=len(found.items),
            skipped=found.skipped,
            box=found.box,
            repeated=len(on),
            identical=sum(iou == 1 for _, iou in on.values()),
            doubts=found.doubts,
            notes=found.notes,
        )

    async with here.receiver.receive(request) as sent:
        return await run_in_threadpool(look, sent)


@router.post("/images/{id}/import", openapi_extra=body_with_file(**READING, **REPEATING))
async def read(id: ImageId, request: Request, here: Here) -> ImportOut:
    """Adds the objects of a file, all or none; ids and attributes are kept where they can be.

    kind: of a mask; class_field: of polygons, the attribute that names the class. Both are told
    from the file where they are left out. repeated: what becomes of objects that lie on one that
    is there (intersection over union of half or more): they are left out ("skip", as they are by
    default), give it their outline, class and attributes ("replace"), or come all the same
    ("add"). key: chosen by the client, for `GET /api/imports/KEY` meanwhile.
    """
    image = here.project.image(id)
    async with here.receiver.receive(request) as sent:
        repeated = sent.fields.get("repeated", "skip")
        require(repeated in REPEATED, f"repeated: one of {', '.join(REPEATED)}")
        return await run_in_threadpool(_add, here, image, sent, repeated)


@router.get("/imports/{key}")
def watch(key: ImportKey, here: Here) -> ImportProgressOut:
    """How far the import or preview with this key is."""
    progress = here.imports.progress(key)
    return ImportProgressOut(
        done=progress.done, total=progress.total, seconds_left=progress.seconds_left
    )


@router.delete("/imports/{key}")
def cancel(key: ImportKey, here: Here) -> Done:
    """Stops the import or preview with this key, sent or read still; nothing comes of it."""
    here.imports.progress(key).cancel()
    return Done()


def _about(project: Project, image: Image, sent: Sent) -> Any:
    """Everything that decides which objects are found in a file: for `Imports.keep`."""
    options = sent.fields.get("kind"), sent.fields.get("class_field")
    classes = tuple(item.name for item in project.classes())
    return image.id, image.info, sent.name, digest(sent.content), options, classes


def _read(here: Context, image: Image, sent: Sent) -> Reading:
    """The objects in a client's file."""
    project, kind = here.project, sent.fields.get("kind")
    require(kind in (None, *KINDS), f"kind: one of {', '.join(KINDS)}")
    with (
        room_for(safety.printable(sent.name)),
        tempfile.TemporaryDirectory(prefix="import-", dir=project.cache) as folder,
    ):
        kept = Path(folder) / safety.safe_name(sent.name)
        with open(kept, "xb") as out:
            copy_limited(sent.content, out, safety.IMPORT_LIMIT, sent.name)
        unpacked = Path(folder) / "unpacked"
        unpacked.mkdir()
        progress = here.imports.begin(sent.fields.get("key"))
        target = Target(image, [item.name for item in project.classes()], progress)
        try:
            found = importing.read(kept, target, unpacked, kind, sent.fields.get("class_field"))
        except Cancelled:
            raise Conflict("the import was cancelled; nothing was added") from None
    if found.cut:
        found.notes.append(f"{found.cut} outlines went beyond the image and were cut to it")
    return found


def _repeats(project: Project, image: Image, found: Reading) -> dict[int, tuple[Object, float]]:
    """The objects of a file, by their places in `found.items`, that lie on one of the image: that
    one, and their IoU."""
    there = project.objects(image.id, measured=False)
    on = repeats([item["mask"] for item in found.items], [object.encoded for object in there])
    return {place: (there[other], iou) for place, (other, iou) in on.items()}


def _add(here: Context, image: Image, sent: Sent, repeated: str) -> ImportOut:
    project = here.project
    found = here.imports.take(_about(project, image, sent)) or _read(here, image, sent)
    on = _repeats(project, image, found)
    replaced = {}
    if repeated == "skip":
        found.items = [item for place, item in enumerate(found.items) if place not in on]
        found.skipped += len(on)
    elif repeated == "replace":
        replaced = {place: object for place, (object, _) in on.items()}
    renamed = project.import_objects(image.id, found.items, replaced)
    if on:
        found.notes.append(
            f"{counted(len(on), 'object')} of the file lie on objects that were there and were "
            f"{TOLD[repeated]}"
        )
    if renamed:
        found.notes.append(f"{renamed} ids were taken already; these objects have new ones")
    return ImportOut(
        objects=len(found.items),
        replaced=len(replaced),
        skipped=found.skipped,
        notes=found.doubts + found.notes,
    )
