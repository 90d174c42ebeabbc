"""What a project knows of: images, classes, objects, and objects being drawn. All immutable."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.formats import geometry, georeference
from rsisrefiner_jax.formats.masks import Mask, areas_of
from rsisrefiner_jax.formats.raster_info import Raster


class SizeAndTime(NamedTuple):
    """Size of a file in bytes, and when it was modified, in nanoseconds since 1970."""

    size: int
    modified: int


@dataclasses.dataclass(frozen=True)
class Image:
    """A raster of the project. recipe: how it is shown and what the model sees.

    info, size_and_time, digest (SHA-256 of its content): of the file that was annotated, which need
    not be the one there now; the last two are None where they are not known.
    """

    id: int
    name: str
    path: Path
    info: Raster
    recipe: Recipe
    size_and_time: SizeAndTime | None = None
    digest: str | None = None


@dataclasses.dataclass(frozen=True)
class Class:
    """colour: "#rrggbb"; shortcut: a key, or ""."""

    id: int
    name: str
    colour: str
    shortcut: str = ""


FIELDS = {"mask": "encoded"}  # of objects, where the journal's name for one is another


@dataclasses.dataclass(frozen=True, eq=False)
class Object:
    """A finished object.

    encoded: its pixels (`Mask.encode`). drawn: its outline as GeoJSON, in pixels, where that is
    not along the edges of pixels: edited by hand, or imported. version: number of the journal's
    event that gave it these pixels. deletion: of the one that deleted it; 0 while it is there.
    """

    id: int
    image: Image
    class_id: int | None
    attributes: dict[str, Any]
    encoded: dict[str, Any]
    drawn: dict[str, Any] | None
    clicks: int
    version: int = 0
    deletion: int = 0

    @property
    def deleted(self) -> bool:
        return self.deletion > 0

    @property
    def mask(self) -> Mask:
        return Mask.decode(self.encoded)

    def field(self, name: str) -> Any:
        """A field by the name that the journal has for it."""
        return getattr(self, FIELDS.get(name, name))

    @functools.cached_property
    def shape(self) -> BaseGeometry:
        """Its outline in pixels."""
        if self.drawn is not None:
            return geometry.from_json(self.drawn)
        return geometry.polygons(self.mask)

    @functools.cached_property
    def area_px(self) -> int:
        return self.mask.area

    @functools.cached_property
    def area_m2(self) -> float | None:
        return georeference.areas_m2(self.image.info, [self.shape])[0]


def altered(object: Object, **changes: Any) -> Object:
    """A copy with other fields. Outline and areas are kept where the pixels stay."""
    new = dataclasses.replace(object, **changes)
    if not changes.keys() & {"encoded", "drawn", "image"}:
        found = vars(object).keys() & {"shape", "area_px", "area_m2"}
        vars(new).update({name: vars(object)[name] for name in found})
    return new


def find_outlines(objects: Sequence[Object]) -> None:
    """Finds the outlines of many objects at once, which is much quicker."""
    new = [object for object in objects if "shape" not in vars(object)]
    drawn = [object for object in new if object.drawn is not None]
    others = [object for object in new if object.drawn is None]
    outlines = geometry.from_json_all([object.drawn for object in drawn if object.drawn])
    traced = geometry.outlines_of([object.encoded for object in others])
    for found, shapes in ((drawn, outlines), (others, traced)):
        for object, shape in zip(found, shapes, strict=True):
            vars(object)["shape"] = shape


def measure(objects: Sequence[Object]) -> None:
    """Finds the areas of many objects of one image at once, which is much quicker."""
    new = [object for object in objects if "area_m2" not in vars(object)]
    if not new:
        return
    find_outlines(new)
    areas = georeference.areas_m2(new[0].image.info, [object.shape for object in new])
    pixels = areas_of([object.encoded for object in new])
    for object, area, count in zip(new, areas, pixels, strict=True):
        vars(object).update(area_m2=area, area_px=count)


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """A click, or a mask to go on from, in an object being drawn.

    event: its journal number. mask: all that there is after it. mode: how it came of what there
    was before, "replace", "add" or "subtract".
    """

    event: int
    time: float
    x: float = 0
    y: float = 0
    positive: bool = True
    mask: dict[str, Any] | None = None
    mode: str = "replace"


@dataclasses.dataclass(frozen=True, eq=False)
class Session:
    """An object being drawn (a session).

    object_id: the one being refined, later the one made. refined: that one as it was when this
    began. box: where to look first, (left, top, right, bottom). start: the mask to begin with.
    undone: steps taken back, the last one last.
    """

    id: int
    image_id: int
    recipe: Recipe
    object_id: int | None = None
    refined: Object | None = None
    box: tuple[float, float, float, float] | None = None
    start: dict[str, Any] | None = None
    steps: tuple[Step, ...] = ()
    undone: tuple[Step, ...] = ()
    open: bool = True
    made: Object | None = None  # what it was finished as; None when it was discarded
    everything: tuple[Step, ...] = ()  # also what was taken back for good

    def since_mask(self) -> tuple[dict[str, Any] | None, tuple[Step, ...]]:
        """The mask that counts, and the clicks after it."""
        for i in range(len(self.steps) - 1, -1, -1):
            if self.steps[i].mask is not None:
                return self.steps[i].mask, self.steps[i + 1 :]
        return self.start, self.steps

    @property
    def clicks_behind(self) -> int:
        """How many clicks have led to the present mask, since it was last replaced."""
        count = self.refined.clicks if self.refined else 0
        for step in self.steps:
            if step.mask is None:
                count += 1
            elif step.mode == "replace":
                count = 0
        return count
