"""Undo and redo of what was done to the objects of an image, by whomever."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from fastapi.concurrency import run_in_threadpool

from rsisrefiner_jax.annotate.context import Context, Here
from rsisrefiner_jax.annotate.edits import Outcome
from rsisrefiner_jax.annotate.replies import Edit, EditOut, HistoryOut
from rsisrefiner_jax.annotate.requests import EditIn
from rsisrefiner_jax.annotate.routes.sessions import reply_of
from rsisrefiner_jax.annotate.views import object_out
from rsisrefiner_jax.data.project.undo_history import Edit as Record
from rsisrefiner_jax.formats import georeference

router = APIRouter(prefix="/images/{id}", tags=["history"])
ImageId = Annotated[int, Path(ge=1, lt=2**53)]


@router.get("/history")
def history(id: ImageId, here: Here) -> HistoryOut:
    """The edits that undo and redo would move next."""

    def view(edit: Record | None) -> Edit | None:
        return Edit(edit=edit.event, label=edit.label) if edit else None

    undo, redo = here.project.edits.ends(id)
    return HistoryOut(undo=view(undo), redo=view(redo))


@router.post("/undo")
async def undo(id: ImageId, here: Here, given: EditIn = EditIn()) -> EditOut:
    """Takes the last thing back that was done: objects finished, added, imported, changed,
    deleted, restored, or discarded while they were drawn."""
    return await _moved(here, "undo", id, given)


@router.post("/redo")
async def redo(id: ImageId, here: Here, given: EditIn = EditIn()) -> EditOut:
    """Does again what was undone last."""
    return await _moved(here, "redo", id, given)


async def _moved(here: Context, kind: Literal["undo", "redo"], id: int, given: EditIn) -> EditOut:
    def move() -> Outcome:
        georeference.require_system(here.project.image(id).info, given.crs)
        return here.project.edits.move(kind, id, given.edit, given.key)

    outcome = await run_in_threadpool(move)
    brought = outcome.session
    session = await reply_of(here, brought, given.crs) if brought else None

    def reply() -> EditOut:
        return EditOut(
            edit=outcome.edit.event,
            label=outcome.edit.label,
            changed=[object_out(object, given.crs) for object in outcome.changed],
            removed=outcome.removed,
            session=session,
        )

    return await run_in_threadpool(reply)
