"""The project as a whole."""

from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Body

from rsisrefiner_jax.annotate.context import Here
from rsisrefiner_jax.annotate.schemas import (
    ClassIn,
    ClassOut,
    ImageName,
    Listing,
    ModelOut,
    ProjectOut,
)

router = APIRouter(tags=["project"])


@router.get("/project")
def project(here: Here) -> ProjectOut:
    """The project's images and classes, and whether the model is ready."""
    model = here.worker.segmenter
    return ProjectOut(
        id=here.project.id,
        name=here.project.folder.resolve().name,
        images=[ImageName(id=image.id, name=image.name) for image in here.project.images()],
        classes=[ClassOut(**vars(item)) for item in here.project.classes()],
        model=ModelOut(
            name=here.model_name,
            image_size=model.image_size if model else None,
            ready=here.worker.ready,
            error=here.worker.error,
        ),
        version=version("rsisrefiner-jax"),
    )


@router.put("/project/classes")
def classes(items: Annotated[list[ClassIn], Body(max_length=1000)], here: Here) -> list[ClassOut]:
    """Replaces the list of classes; one that objects have cannot be left out."""
    found = here.project.set_classes([item.model_dump() for item in items])
    return [ClassOut(**vars(item)) for item in found]


@router.get("/roots")
def roots(here: Here, under: str = "") -> Listing:
    """Folders and rasters that can be opened, directly under a path."""
    folders, files = here.project.roots.listing(under)
    return Listing(folders=folders, files=files)
