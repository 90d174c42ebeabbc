"""Objects being drawn: clicks, undo, redo, masks, finish."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query, Response
from fastapi.concurrency import run_in_threadpool

from rsisrefiner_jax.annotate import pictures, prompts
from rsisrefiner_jax.annotate.context import Context, Here
from rsisrefiner_jax.annotate.refusals import Missing
from rsisrefiner_jax.annotate.replies import Changed, Discarded, ObjectOut, SessionOut, SteppedOut
from rsisrefiner_jax.annotate.requests import ClickIn, Crs, FinishIn, MaskIn, SessionIn, StepIn
from rsisrefiner_jax.annotate.session_results import Result, changed, clicks_of
from rsisrefiner_jax.annotate.views import object_out, session_out
from rsisrefiner_jax.annotate.windows import Click, require_inside, require_reach
from rsisrefiner_jax.data.project.records import Image, Session
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats import georeference
from rsisrefiner_jax.formats.masks import EMPTY, Mask, encoded_box
from rsisrefiner_jax.formats.outlines import outline_sent

router = APIRouter(prefix="/sessions", tags=["sessions"])
SessionId = Annotated[int, Path(ge=1, lt=2**53)]


@router.post("")
async def start(given: SessionIn, here: Here) -> SessionOut:
    """Starts an object, or the refinement of one. A box is no limit: it says where to look first,
    and gets a positive click in its middle."""
    session = await run_in_threadpool(_open, here, given)
    return await reply_of(here, session, given.crs)


def _open(here: Context, given: SessionIn) -> Session:
    image = here.project.image(given.image_id)
    georeference.require_system(image.info, given.crs)
    here.project.files.require_unchanged(image)
    if given.box is None:
        return here.project.sessions.start(given.image_id, given.object_id, key=given.key)
    info = image.info
    box = prompts.box_in_pixels(given.box, (info.width, info.height), info, given.crs)
    require(given.object_id is None, "give either box or object_id")
    here.worker.check()
    return here.project.sessions.start(
        given.image_id,
        box=box,
        click=prompts.centre(box),
        key=given.key,
    )


@router.get("")
async def open_ones(
    here: Here,
    image_id: Annotated[int | None, Query(ge=1, lt=2**53)] = None,
    crs: Crs | None = None,
) -> list[SessionOut]:
    """The open sessions: neither finished nor discarded."""
    return [await reply_of(here, session, crs) for session in here.project.sessions.all(image_id)]


@router.get("/{id}")
async def one(id: SessionId, here: Here, crs: Crs | None = None) -> SessionOut:
    """A session as it is after its last step."""
    return await reply_of(here, here.project.sessions.get(id, must_be_open=False), crs)


@router.post("/{id}/clicks")
async def click(id: SessionId, given: ClickIn, here: Here) -> SteppedOut:
    """Adds a click. It is written down before it is computed."""
    return await _step(
        here, id, "click", given, lambda image, session: _clicked(image, session, given)
    )


def _clicked(image: Image, session: Session, given: ClickIn) -> dict[str, Any]:
    info = image.info
    x, y = prompts.in_pixels(info, given.x, given.y, given.crs)
    size = info.width, info.height
    require_inside(x, y, size)
    start, steps = session.since_mask()
    clicks = [*clicks_of(steps), Click(x, y, given.positive)]
    require_reach(clicks, size, encoded_box(start) if start else None)
    return {"x": x, "y": y, "positive": given.positive}


@router.post("/{id}/undo")
async def undo(id: SessionId, here: Here, given: StepIn = StepIn()) -> SteppedOut:
    """Takes the last step back."""
    return await _step(here, id, "undo", given)


@router.post("/{id}/redo")
async def redo(id: SessionId, here: Here, given: StepIn = StepIn()) -> SteppedOut:
    """Does again what was taken back last."""
    return await _step(here, id, "redo", given)


@router.put("/{id}/mask")
async def mask(id: SessionId, given: MaskIn, here: Here) -> SteppedOut:
    """Goes on from a mask or an outline that replaces what was there, is added to it or taken away
    from it; a step that undo takes back. Outlines are cut to the image."""
    if given.mode == "replace":
        return await _step(here, id, "mask", given, lambda image, _: _masked(image, given, EMPTY))
    seen = here.project.sessions.get(id)
    before = (await here.results.result(seen)).mask
    return await _step(
        here, id, "mask", given, lambda image, _: _masked(image, given, before), seen
    )


def _masked(image: Image, given: MaskIn, before: Mask) -> dict[str, Any]:
    sent = _mask_sent(image, given)
    whole = before.without(sent) if given.mode == "subtract" else before.joined(sent)
    return {"mask": whole.encode(), "mode": given.mode}


def _mask_sent(image: Image, given: MaskIn) -> Mask:
    info = image.info
    require((given.png is None) != (given.geometry is None), "give one of png and geometry")
    if given.geometry is not None:
        placed = {"x", "y"} & given.model_fields_set
        require(not placed, "x and y: a geometry has its own place; leave them out")
        return outline_sent(given.geometry, info, given.crs).mask
    assert given.png is not None
    sent = pictures.mask_sent(given.png, "png", given.x, given.y)
    require(
        sent.x + sent.width <= info.width and sent.y + sent.height <= info.height,
        f"png: {sent.width} x {sent.height} pixels at ({sent.x}, {sent.y}) go beyond the image "
        f"of {info.width} x {info.height}",
    )
    return sent.trimmed()


@router.get(
    "/{id}/probability.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
)
async def probability(id: SessionId, here: Here) -> Response:
    """The model's probabilities in the session's window, 8-bit grey."""
    session = here.project.sessions.get(id, must_be_open=False)
    answer = await here.results.segmentation(session)
    if answer is None:
        raise Missing(f"session {id} has no click yet")
    grey = np.rint(answer.probabilities * 255).astype(np.uint8)
    return Response(pictures.png(grey), media_type="image/png")


@router.post("/{id}/finish")
async def finish(id: SessionId, here: Here, given: FinishIn = FinishIn()) -> ObjectOut:
    """Makes an object of it. Asked for twice, it is made once; refused when the second time asks
    for another class or other attributes."""
    session = here.project.sessions.get(id, must_be_open=False)
    georeference.require_system(here.project.image(session.image_id).info, given.crs)
    if session.made:
        return await run_in_threadpool(_made, here, session, given)
    here.project.sessions.get(id)
    await run_in_threadpool(
        here.project.files.require_unchanged, here.project.image(session.image_id)
    )
    result = await here.results.result(session)
    return await run_in_threadpool(_finish, here, session, result, given)


def _made(here: Context, session: Session, given: FinishIn) -> ObjectOut:
    assert session.object_id is not None
    asked = given.model_dump(include={"class_id", "attributes"} & given.model_fields_set)
    if given.attributes is None:
        asked.pop("attributes", None)
    here.project.sessions.require_same(session, asked)
    return object_out(here.project.object(session.object_id), given.crs)


def _finish(here: Context, session: Session, result: Result, given: FinishIn) -> ObjectOut:
    class_id, attributes = given.class_id, given.attributes
    if session.refined is not None:  # what is not given stays
        old = here.project.object(session.refined.id, may_be_deleted=True)
        class_id = class_id if "class_id" in given.model_fields_set else old.class_id
        attributes = old.attributes if attributes is None else attributes
    made = here.project.sessions.finish(
        session, result.mask, class_id, attributes or {}, given.overwrite
    )
    return object_out(made, given.crs)


@router.delete("/{id}")
def discard(id: SessionId, here: Here) -> Discarded:
    """Drops it; undo of the image brings it back, with its clicks."""
    return Discarded(edit=here.project.sessions.discard(id))


async def reply_of(here: Context, session: Session, crs: str | None) -> SessionOut:
    """A session as it is after its last step."""
    result = await here.results.known_or_before(session)
    return await run_in_threadpool(_view, here, session, result, crs)


def _view(here: Context, session: Session, result: Result, crs: str | None) -> SessionOut:
    sessions, image = here.project.sessions, here.project.image(session.image_id)
    outdated, others = sessions.outdated(session), sessions.also_refining(session)
    return session_out(session, image, result, crs, outdated, others)


async def _step(
    here: Context,
    id: int,
    kind: str,
    given: StepIn,
    fields: Any = None,
    seen: Session | None = None,
) -> SteppedOut:
    def write_down() -> tuple[Session, Session]:
        before = here.project.sessions.get(id)
        image = here.project.image(before.image_id)
        georeference.require_system(image.info, given.crs)
        if kind in ("click", "mask"):
            here.project.files.require_unchanged(image)
        if kind == "click":
            here.worker.check()
        given_fields = fields(image, before) if fields else {}
        return before, here.project.sessions.step(id, kind, given_fields, given.key, seen)

    before, after = await run_in_threadpool(write_down)
    result = await here.results.result(after)
    earlier = await here.results.known_or_before(before)

    def reply() -> SteppedOut:
        view = _view(here, after, result, given.crs)
        difference = changed(earlier.mask, result.mask)
        return SteppedOut(**view.model_dump(), changed=Changed(**difference))

    return await run_in_threadpool(reply)
