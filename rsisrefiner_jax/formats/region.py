"""An object as a file holds it, whatever the format."""

import dataclasses
import json
import re
from typing import Any

MOST_ATTRIBUTES = 64
UNCLASSIFIED = "unclassified"  # the class of objects without one, in files that need a class


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """An object in a picture's pixels.

    id: positive and below 2^31; None where the file's ids cannot be kept.
    category: name of its class, "" when it has none.
    attributes: as `plain_attributes` leaves them.
    clicks: how many it took to draw, where the file says so.
    mask: its pixels, as `Mask.encode` has them; None where the format holds outlines alone.
    outline: a shapely geometry, (x, y) in pixels; None where the format holds masks alone.
    """

    id: int | None = None
    category: str = ""
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)
    clicks: int = 0
    mask: dict[str, Any] | None = None
    outline: Any = None


def plain_id(id: Any) -> Any:
    """An id as it is, but a whole number that is written as text or with a point as a number."""
    if isinstance(id, float) and id.is_integer():
        return int(id)
    if isinstance(id, str) and re.fullmatch(r"0|[1-9][0-9]{0,18}", id):
        return int(id)
    return id


def usable_ids(ids: list[Any]) -> bool:
    """Whether the ids of all objects of a file can be kept: distinct whole numbers, 1 to 2^31-1."""
    numbers = all(type(id) is int and 0 < id < 2**31 for id in ids)
    return numbers and len(set(ids)) == len(ids)


def class_name(value: Any) -> str:
    """What a file calls a class, as a name: "" for none and for `UNCLASSIFIED`."""
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return "" if text == UNCLASSIFIED else text[:200]


def plain_attributes(given: dict[Any, Any]) -> dict[str, Any]:
    """Attributes as this program keeps them: short names, plain values, none that are empty."""
    kept: dict[str, Any] = {}
    for key, value in list(given.items())[:MOST_ATTRIBUTES]:
        if isinstance(value, float) and not abs(value) < float("inf"):
            continue
        if not isinstance(value, str | int | float | bool | None):
            value = json.dumps(value, default=str)
        if isinstance(value, int) and abs(value) > 2**53:
            value = str(value)
        if isinstance(value, str):
            value = value.encode("utf-8", "replace").decode()[:4000]
        name = str(key).encode("utf-8", "replace").decode()[:64]
        if name and value is not None:
            kept[name] = value
    return kept
