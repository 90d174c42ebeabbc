"""Objects in from files."""

import tempfile
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, UploadFile
from fastapi import Path as InPath

from rsisrefiner_jax.annotate import importing, safety
from rsisrefiner_jax.annotate.context import Here
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
    with tempfile.TemporaryDirectory(dir=project.cache) as folder:
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
