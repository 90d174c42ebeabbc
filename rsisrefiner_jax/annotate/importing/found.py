"""What is found in a file."""

import dataclasses
import json
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.annotate.records import Image
from rsisrefiner_jax.formats import geometry
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.formats.outlines import SAME, outlined

OBJECT_LIMIT = 200_000


@dataclasses.dataclass(frozen=True)
class Target:
    """Where objects go. classes: names in order."""

    image: Image
    classes: list[str]


@dataclasses.dataclass
class Reading:
    """items: "id" (or None), "class" (name or ""), "attributes", "clicks", "mask", "drawn".

    cut: how many of them went beyond the image.
    """

    items: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    skipped: int = 0
    cut: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)

    def add_mask(self, mask: Mask, **about: Any) -> None:
        """An object by its pixels; without any it is skipped."""
        if not mask.area:
            self.skipped += 1
            return
        self.items.append(_item(mask, None, about))

    def add_shape(self, shape: BaseGeometry, target: Target, **about: Any) -> None:
        """An object by its outline in pixels, cut to the image; skipped when it covers the centre
        of none."""
        if not shape.is_valid:
            shape = shapely.make_valid(shape)
        parts = [part for part in geometry.flat(shape) if part.area > 0]
        shape = geometry.united(parts) if parts else shapely.Polygon()
        outline = outlined(shape, target.image.info)
        shape, mask = outline.shape, outline.mask
        if not mask.area:
            self.skipped += 1
            return
        self.cut += outline.cut
        along = shapely.normalize(shapely.simplify(geometry.polygons(mask), 0))
        same = shapely.equals_exact(along, shapely.normalize(_rounded(shape)), tolerance=SAME)
        self.items.append(_item(mask, None if same else shape, about))


def _rounded(shape: BaseGeometry) -> BaseGeometry:
    """Without corners that add nothing, where all are near corners of pixels."""
    near = shapely.transform(shape, lambda xy: xy.round())
    close = abs(shapely.get_coordinates(near) - shapely.get_coordinates(shape)).max() < SAME
    return shapely.simplify(near, 0) if close else shape


def _item(mask: Mask, drawn: BaseGeometry | None, about: dict[str, Any]) -> dict[str, Any]:
    id = about.get("id")
    known = isinstance(id, int) and not isinstance(id, bool) and 0 < id < 2**31
    clicks = about.get("clicks")
    return {
        "id": id if known else None,
        "class": str(about.get("category") or "")[:200],
        "attributes": attributes(about.get("attributes") or {}),
        "clicks": clicks if isinstance(clicks, int) and 0 <= clicks < 2**31 else 0,
        "mask": mask.encode(),
        "drawn": None if drawn is None else geometry.to_json(drawn),
    }


def attributes(given: dict[Any, Any]) -> dict[str, Any]:
    """Attributes as this program keeps them: short names, plain values."""
    kept: dict[str, Any] = {}
    for key, value in list(given.items())[:64]:
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
