"""The mask of a session after its last step, computed by the model where it is not stored."""

import asyncio
import base64
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from rsisrefiner_jax.annotate.pictures import RasterPicture, png
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.segmenter import Segmentation, SegmentationTask, Segmenter
from rsisrefiner_jax.annotate.windows import Click
from rsisrefiner_jax.annotate.worker import Worker
from rsisrefiner_jax.data.project.records import Session
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.masks import EMPTY, Mask, union_box


@dataclasses.dataclass(frozen=True)
class Result:
    """The mask of a session. window: (x, y, w, h) that the model looked at last."""

    mask: Mask
    window: tuple[int, int, int, int] | None = None
    seconds: float | None = None


class SessionResults:
    """Answers for the sessions of a project. Masks of clicks are kept in its journal."""

    def __init__(self, project: Project, worker: Worker) -> None:
        self._project = project
        self._worker = worker

    def task(self, session: Session) -> tuple[SegmentationTask, tuple[Click, ...]]:
        """The task of a session for the model. Raises UserError: its raster cannot be read."""
        image = self._project.image(session.image_id)
        self._project.files.require_unchanged(image)
        source = self._project.source(image)
        start, steps = session.since_mask()
        return (
            SegmentationTask(
                RasterPicture(source, session.recipe),
                session.box,
                Mask.decode(start) if start else None,
                repr(start) if start else "",
            ),
            clicks_of(steps),
        )

    def known(self, session: Session) -> Result | None:
        """The result of a session if it is stored; None if it has to be computed."""
        if not session.steps:
            return Result(Mask.decode(session.start) if session.start else EMPTY)
        last = session.steps[-1]
        if last.mask is not None:
            return Result(Mask.decode(last.mask))
        found = self._project.journal.result(last.event)
        if found is None:
            return None
        return Result(Mask.decode(found["mask"]), tuple(found["window"]), found["seconds"])

    async def result(self, session: Session) -> Result:
        """The result of a session; computed, if need be, when the model is free.

        Raises:
            UserError: the raster cannot be read, or there is no model.
        """
        found = await asyncio.to_thread(self.known, session)
        return found or await self._asked(lambda model: self._computed(session, model))

    async def known_or_before(self, session: Session) -> Result:
        """The result of a session; where it cannot be computed, that of its last step that can."""
        try:
            return await self.result(session)
        except UserError:
            for count in range(len(session.steps) - 1, -1, -1):
                before = dataclasses.replace(session, steps=session.steps[:count])
                if found := self.known(before):
                    return found
        return Result(EMPTY)

    async def segmentation(self, session: Session) -> Segmentation | None:
        """The model's answer, with probabilities; None when the last step is no click."""
        if not session.since_mask()[1]:
            return None
        return await self._asked(lambda model: model.segment(*self.task(session)))

    async def segment(self, task: SegmentationTask, clicks: tuple[Click, ...]) -> Segmentation:
        """The model's answer to a task of one's own."""
        return await self._asked(lambda model: model.segment(task, clicks))

    async def _asked(self, job: Callable[[Segmenter], Any]) -> Any:
        return await asyncio.wrap_future(self._worker.submit(job))

    def _computed(self, session: Session, model: Segmenter) -> Result:
        if found := self.known(session):  # somebody else asked before
            return found
        answer = model.segment(*self.task(session))
        y, x, height, width = answer.window
        result = Result(answer.mask, (x, y, width, height), answer.seconds)
        self._project.journal.keep_result(
            session.steps[-1].event,
            {"mask": result.mask.encode(), "window": result.window, "seconds": result.seconds},
        )
        return result


def clicks_of(steps: Any) -> tuple[Click, ...]:
    """The clicks among a session's steps."""
    return tuple(Click(s.x, s.y, s.positive) for s in steps if s.mask is None)


def changed(before: Mask, after: Mask) -> dict[str, Any]:
    """The window in which two masks differ, and the later one there as 8-bit grey PNG."""
    boxes = [mask.box for mask in (before, after) if mask.area]
    if not boxes:
        return {"x": 0, "y": 0, "w": 0, "h": 0, "png": ""}
    left, top, right, bottom = union_box(boxes)
    window = left, top, right - left, bottom - top
    differing = Mask(left, top, before.within(*window) ^ after.within(*window)).trimmed()
    part = differing.x, differing.y, differing.width, differing.height
    pixels = np.where(after.within(*part), np.uint8(255), np.uint8(0))
    text = base64.b64encode(png(pixels)).decode("ascii")
    return dict(zip("xywh", part, strict=True)) | {"png": text}
