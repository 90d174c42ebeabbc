"""Finished objects."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path

from rsisrefiner_jax.annotate import geometry, ground
from rsisrefiner_jax.annotate.context import Here
from rsisrefiner_jax.annotate.schemas import Crs, Done, ObjectOut, ObjectPatch
from rsisrefiner_jax.annotate.views import object_out

router = APIRouter(tags=["objects"])
Number = Annotated[int, Path(ge=1, lt=2**53)]


@router.get("/images/{id}/objects")
def objects(
    id: Number, here: Here, crs: Crs | None = None, deleted: bool = False
) -> list[ObjectOut]:
    """Those of an image without the deleted ones; or these alone, the last one deleted first."""
    return [object_out(object, crs) for object in here.project.objects(id, deleted)]


@router.patch("/objects/{id}")
def change(id: Number, given: ObjectPatch, here: Here) -> ObjectOut:
    """Sets what is given: class, all attributes, or the outline."""
    info = here.project.object(id).image.info
    ground.require_system(info, given.crs)
    changes = given.model_dump(exclude_unset=True, exclude={"crs"})
    if "geometry" in changes and given.crs is not None:
        shape = np.array([geometry.from_json(changes["geometry"])])
        moved = ground.shapes_in_pixels(info, given.crs, shape)[0]
        changes["geometry"] = geometry.to_json(moved)
    return object_out(here.project.change_object(id, changes), given.crs)


@router.delete("/objects/{id}")
def delete(id: Number, here: Here) -> Done:
    """Deletes an object; `restore` brings it back."""
    here.project.delete_object(id)
    return Done()


@router.post("/objects/{id}/restore")
def restore(id: Number, here: Here) -> ObjectOut:
    """Brings a deleted object back."""
    return object_out(here.project.restore_object(id))
