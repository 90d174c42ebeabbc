"""A CVAT interactor as a Nuclio function; README.md says how it is deployed.

CVAT sends the picture and all points of an object with every click, positive and negative ones in
two lists, and keeps nothing: what earlier clicks came to is found again by `StatelessSegmenter`,
their order by `ClickOrder`.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from rsisrefiner_jax.annotate.pictures import picture_sent
from rsisrefiner_jax.annotate.prompts import box_in_pixels
from rsisrefiner_jax.annotate.requests import Base64, Number
from rsisrefiner_jax.annotate.segmenter import Segmentation
from rsisrefiner_jax.annotate.stateless import ClickOrder, StatelessSegmenter
from rsisrefiner_jax.errors import UserError

OBJECT = 255  # in masks that CVAT's own interactors reply

Point = tuple[Number, Number]
Points = Annotated[list[Point], Field(max_length=200)]


class Request(BaseModel):
    """obj_bbox: two corners, in newer versions [] where there is no box. What else there is
    (threshold) means nothing here."""

    image: Base64
    pos_points: Points = []
    neg_points: Points = []
    obj_bbox: Annotated[list[Point], Field(max_length=2)] | None = None


class Interactor:
    """Answers requests with masks."""

    def __init__(self, segmenter: StatelessSegmenter) -> None:
        self._segmenter = segmenter
        self._order = ClickOrder()

    def reply(self, body: Any) -> dict[str, Any]:
        """The reply to a request's body. Raises UserError."""
        try:
            asked = Request.model_validate(body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            raise UserError(f"{where}: {first['msg']}") from error
        picture = picture_sent(asked.image)
        box = None
        if asked.obj_bbox:
            xs, ys = zip(*asked.obj_bbox, strict=True)
            corners = min(xs), min(ys), max(xs), max(ys)
            box = box_in_pixels(corners, (picture.width, picture.height), None, None)
        about = picture.key, box
        clicks = self._order.restored(about, asked.pos_points, asked.neg_points)
        return mask_reply(self._segmenter.segment(picture, clicks, box))


def mask_reply(answer: Segmentation) -> dict[str, Any]:
    """`mask` holds the rows of the box `bounds`: left, top, right, bottom, the last ones in it."""
    mask = answer.mask
    if not mask.area:
        return {"mask": [[0]], "bounds": [0, 0, 0, 0], "points": []}
    left, top, right, bottom = mask.box
    return {
        "mask": np.where(mask.pixels, OBJECT, 0).tolist(),
        "bounds": [left, top, right - 1, bottom - 1],
    }


def init_context(context: Any) -> None:
    """Called by Nuclio once, before the first request."""
    context.logger.info("loading the network")
    context.user_data.interactor = Interactor(StatelessSegmenter())


def handler(context: Any, event: Any) -> Any:
    """Called by Nuclio for each request."""
    body = event.body if isinstance(event.body, Mapping) else _parsed(event.body)
    try:
        reply, status = context.user_data.interactor.reply(body), 200
    except UserError as error:
        context.logger.warn(str(error))
        reply, status = {"message": str(error)}, 400
    return context.Response(
        body=json.dumps(reply), headers={}, content_type="application/json", status_code=status
    )


def _parsed(body: Any) -> Any:
    """A body that Nuclio did not take for JSON; None where it is none."""
    try:
        return json.loads(body)
    except (TypeError, ValueError, RecursionError):
        return None
