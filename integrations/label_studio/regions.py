"""Regions of Label Studio as clicks, and masks as its brush regions; nothing of its packages."""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from rsisrefiner_jax.annotate.segmenter import Segmentation
from rsisrefiner_jax.annotate.windows import Box, Click
from rsisrefiner_jax.errors import UserError, require

Percent = Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=1_000_000)]
Labels = Annotated[list[str], Field(min_length=1)]


class Region(BaseModel):
    """What all regions have. Sizes are the picture's, in pixels."""

    original_width: Side
    original_height: Side
    image_rotation: float = 0

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Percents of the picture in pixels."""
        return x * self.original_width / 100, y * self.original_height / 100


class PointValue(BaseModel):
    x: Percent
    y: Percent
    keypointlabels: Labels


class BoxValue(BaseModel):
    x: Percent
    y: Percent
    width: Percent
    height: Percent
    rotation: float = 0
    rectanglelabels: Labels


class KeyPoint(Region):
    """is_positive: left out where the point was not made by the smart tool."""

    type: Literal["keypointlabels"]
    value: PointValue
    is_positive: bool = True


class Rectangle(Region):
    type: Literal["rectanglelabels"]
    value: BoxValue


Prompt = Annotated[KeyPoint | Rectangle, Field(discriminator="type")]
_PROMPTS: TypeAdapter[list[KeyPoint | Rectangle]] = TypeAdapter(
    Annotated[list[Prompt], Field(max_length=200)]
)


def prompts_in(context: Mapping[str, Any]) -> list[KeyPoint | Rectangle]:
    """The points and boxes of a request's context, in the order in which they were drawn.

    Raises:
        UserError: there are other regions, or the picture was turned in Label Studio.
    """
    try:
        found = _PROMPTS.validate_python(context.get("result") or [])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("context.result", *first["loc"]))
        raise UserError(f"{where}: {first['msg']}") from error
    for region in found:
        turned = region.image_rotation % 360
        turned = turned or (isinstance(region, Rectangle) and region.value.rotation % 360)
        require(not turned, "turned pictures and boxes are not understood; turn them back")
    return found


def clicks_of(found: Sequence[KeyPoint | Rectangle]) -> tuple[Click, ...]:
    """The points as clicks, in pixels."""
    points = [region for region in found if isinstance(region, KeyPoint)]
    return tuple(Click(*p.at(p.value.x, p.value.y), p.is_positive) for p in points)


def box_of(found: Sequence[KeyPoint | Rectangle]) -> Box | None:
    """The box drawn last, (x0, y0, x1, y1) in pixels."""
    for region in reversed(found):
        if isinstance(region, Rectangle):
            value = region.value
            corner = value.x + value.width, value.y + value.height
            return *region.at(value.x, value.y), *region.at(*corner)
    return None


def label_of(found: Sequence[KeyPoint | Rectangle], known: Collection[str]) -> str:
    """The label of what was drawn last. Raises UserError: the brush has no such label."""
    value = found[-1].value
    label = (value.keypointlabels if isinstance(value, PointValue) else value.rectanglelabels)[0]
    require(
        label in known,
        f"{label!r} is none of the labels of BrushLabels ({', '.join(known)}); give them the same",
    )
    return label


def require_size(found: Sequence[KeyPoint | Rectangle], width: int, height: int) -> None:
    """Raises UserError: Label Studio shows the picture in another size than it has."""
    region = found[-1]
    shown = region.original_width, region.original_height
    require(
        shown == (width, height),
        f"the picture has {width} x {height} pixels, but Label Studio says {shown[0]} x "
        f"{shown[1]}; was it replaced?",
    )


def prediction(
    answer: Segmentation,
    size: tuple[int, int],
    names: tuple[str, str],
    label: str,
    mask2rle: Callable[[np.ndarray], list[int]],
) -> dict[str, Any]:
    """A prediction of one brush region, of none where nothing was found.

    Args:
        size: (width, height) of the picture.
        names: of the brush and of the picture in the labelling configuration.
        mask2rle: the converter of Label Studio's SDK.
    """
    width, height = size
    from_name, to_name = names
    result = []
    if answer.mask.area:
        whole = answer.mask.within(0, 0, width, height)
        rle = mask2rle(np.where(whole, np.uint8(255), np.uint8(0)))
        result.append(
            {
                "id": uuid.uuid4().hex[:10],
                "type": "brushlabels",
                "value": {"format": "rle", "rle": rle, "brushlabels": [label]},
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "from_name": from_name,
                "to_name": to_name,
                "score": answer.score,
                "readonly": False,
            }
        )
    return {"result": result, "score": answer.score}
