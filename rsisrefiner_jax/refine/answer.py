"""What becomes of an object, as it is kept and counted."""

import dataclasses
from typing import Any

# What a layer may ask for -> what came of it, as the column `status` has it.
REFINED = {
    "refined": "follow what the raster shows",
    "at border": "reach the border of their raster; beyond it a polygon stays as it was drawn",
    "at no data": "reach pixels without data, under which a polygon stays as it was drawn",
    "cut off": "reach the edge of the window that the network looked at",
}
LEFT = {
    "kept": "stay as drawn: the network sees something else there",
    "empty": "the network found nothing",
    "no data": "lie where the raster has no data",
    "too small": "cover the centre of no pixel",
    "too large": "are larger than the largest window",
    "unreadable": "lie in a part of the raster that cannot be read",
    "outside": "lie on no raster",
    "unusable": "are no points, polygons or boxes, or have no positive point",
}
STATUSES = REFINED | LEFT


@dataclasses.dataclass(frozen=True)
class Answer:
    """Of one object.

    number: its place among the objects of the layer.
    mask: its pixels in its raster, as `Mask.encode` has them; None: its shape stays as it was.
    agreement: mean IoU with the answers upside down and to shaken clicks; None: nothing to compare.
    iou: with the polygon that was drawn, in its raster; None for points and boxes.
    """

    number: int
    status: str
    mask: dict[str, Any] | None = None
    agreement: float | None = None
    iou: float | None = None
    clicks: int = 0

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
