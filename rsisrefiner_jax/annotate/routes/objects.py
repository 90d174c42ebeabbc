"""Finished objects."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from rsisrefiner_jax.annotate.context import Here
from rsisrefiner_jax.annotate.listing import listed, listed_flat
from rsisrefiner_jax.annotate.replies import Done, DrawnOut, FlatObjectOut, ObjectOut
from rsisrefiner_jax.annotate.requests import Crs, ObjectIn, ObjectPatch
from rsisrefiner_jax.annotate.views import drawn_out, object_out
from rsisrefiner_jax.formats import georeference
from rsisrefiner_jax.formats.outlines import outline_sent

router = APIRouter(tags=["objects"])
Number = Annotated[int, Path(ge=1, lt=2**53)]


@router.get("/images/{id}/objects", response_model=list[ObjectOut])
def objects(id: Number, here: Here, crs: Crs | None = None, deleted: bool = False) -> Response:
    """The objects of an image without the deleted ones; or the deleted ones, the last one first."""
    found = here.project.objects(id, deleted)
    return Response(listed(found, crs), media_type="application/json")


@router.get("/images/{id}/objects/flat", response_model=list[FlatObjectOut])
def flat_objects(id: Number, here: Here, deleted: bool = False) -> Response:
    """The same, in pixels, with every outline as one list of numbers in place of GeoJSON."""
    found = here.project.objects(id, deleted)
    return Response(listed_flat(found), media_type="application/json")


@router.post("/images/{id}/objects")
def draw(id: Number, given: ObjectIn, here: Here) -> DrawnOut:
    """Makes an object of an outline, which is cut to the image; undo of the image takes it back."""
    image = here.project.image(id)
    here.project.files.require_unchanged(image)
    outline = outline_sent(given.geometry, image.info, given.crs)
    made = here.project.add_object(id, outline, given.class_id, given.attributes, given.key)
    return drawn_out(made, outline, given.crs)


@router.patch("/objects/{id}")
def change(id: Number, given: ObjectPatch, here: Here) -> DrawnOut:
    """Sets what is given: class, all attributes, or the outline, which is cut to the image and has
    come of no click."""
    info = here.project.object(id).image.info
    georeference.require_system(info, given.crs)
    changes = given.model_dump(exclude_unset=True, include={"class_id", "attributes"})
    outline = None
    if "geometry" in given.model_fields_set:
        outline = outline_sent(given.geometry, info, given.crs)
    return drawn_out(here.project.change_object(id, changes, outline), outline, given.crs)


@router.delete("/objects/{id}")
def delete(id: Number, here: Here) -> Done:
    """Deletes an object; `restore` brings it back."""
    here.project.delete_object(id)
    return Done()


@router.post("/objects/{id}/restore")
def restore(id: Number, here: Here) -> ObjectOut:
    """Brings a deleted object back."""
    return object_out(here.project.restore_object(id))
