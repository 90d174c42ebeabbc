"""Undo and redo of what was done to the objects of an image, by whomever."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from fastapi.concurrency import run_in_threadpool

from rsisrefiner_jax.annotate.context import Context, Here
from rsisrefiner_jax.annotate.deeds import Outcome
from rsisrefiner_jax.annotate.routes.sessions import reply_of
from rsisrefiner_jax.annotate.schemas import Deed, DeedIn, DeedOut, HistoryOut
from rsisrefiner_jax.annotate.views import object_out
from rsisrefiner_jax.data.project.undo_history import Deed as Record
from rsisrefiner_jax.formats import georeference

router = APIRouter(prefix="/images/{id}", tags=["history"])
ImageId = Annotated[int, Path(ge=1, lt=2**53)]


@router.get("/history")
def history(id: ImageId, here: Here) -> HistoryOut:
    """What undo and redo would do next."""

    def view(deed: Record | None) -> Deed | None:
        return Deed(deed=deed.event, label=deed.label) if deed else None

    undo, redo = here.project.deeds.ends(id)
    return HistoryOut(undo=view(undo), redo=view(redo))


@router.post("/undo")
async def undo(id: ImageId, here: Here, given: DeedIn = DeedIn()) -> DeedOut:
    """Takes the last thing back that was done: objects finished, added, imported, changed,
    deleted, restored, or discarded while they were drawn."""
    return await _moved(here, "undo", id, given)


@router.post("/redo")
async def redo(id: ImageId, here: Here, given: DeedIn = DeedIn()) -> DeedOut:
    """Does again what was undone last."""
    return await _moved(here, "redo", id, given)


async def _moved(here: Context, kind: Literal["undo", "redo"], id: int, given: DeedIn) -> DeedOut:
    def move() -> Outcome:
        georeference.require_system(here.project.image(id).info, given.crs)
        return here.project.deeds.move(kind, id, given.deed, given.key)

    outcome = await run_in_threadpool(move)
    drawing = outcome.session
    session = await reply_of(here, drawing, given.crs) if drawing else None

    def reply() -> DeedOut:
        return DeedOut(
            deed=outcome.deed.event,
            label=outcome.deed.label,
            changed=[object_out(object, given.crs) for object in outcome.changed],
            removed=outcome.removed,
            session=session,
        )

    return await run_in_threadpool(reply)
