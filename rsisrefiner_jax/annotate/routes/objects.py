"""Finished objects."""

from typing import Annotated

from fastapi import APIRouter, Path

from rsisrefiner_jax.annotate.context import Here
from rsisrefiner_jax.annotate.schemas import Done, ObjectOut, ObjectPatch
from rsisrefiner_jax.annotate.views import object_out

router = APIRouter(tags=["objects"])
Number = Annotated[int, Path(ge=1, lt=2**53)]


@router.get("/images/{id}/objects")
def objects(id: Number, here: Here) -> list[ObjectOut]:
    """Those of an image, without the deleted ones."""
    return [object_out(object) for object in here.project.objects(id)]


@router.patch("/objects/{id}")
def change(id: Number, given: ObjectPatch, here: Here) -> ObjectOut:
    """Sets what is given: class, all attributes, or the outline in pixels."""
    return object_out(here.project.change_object(id, given.model_dump(exclude_unset=True)))


@router.delete("/objects/{id}")
def delete(id: Number, here: Here) -> Done:
    """Deletes an object; `restore` brings it back."""
    here.project.delete_object(id)
    return Done()


@router.post("/objects/{id}/restore")
def restore(id: Number, here: Here) -> ObjectOut:
    """Brings a deleted object back."""
    return object_out(here.project.restore_object(id))
