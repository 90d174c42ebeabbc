"""The input of every export: the objects of an image and the options."""

import dataclasses
import functools

from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.annotate.journal import Journal
from rsisrefiner_jax.annotate.safety import safe_name
from rsisrefiner_jax.annotate.simplify_outlines import right_angled, simplified
from rsisrefiner_jax.data.project.records import Class, Image, Object, Session, find_outlines
from rsisrefiner_jax.formats.progress import Progress

TOGETHER = 2000  # objects that are dealt with at a time, which is much quicker than singly


@dataclasses.dataclass(frozen=True)
class Job:
    """The objects of an image.

    simplify: pixels by which outlines may move to lose corners. rectangles: give them right
    angles. Both are for formats of outlines; masks stay what they are. progress: what every
    writer counts its steps on.
    """

    image: Image
    objects: list[Object]
    classes: list[Class]
    sessions: list[Session]
    journal: Journal
    simplify: float = 0
    rectangles: bool = False
    progress: Progress = dataclasses.field(default_factory=Progress)

    @property
    def stem(self) -> str:
        """The name of the files, without an ending."""
        return safe_name(self.image.name).rpartition(".")[0]

    @functools.cached_property
    def class_names(self) -> dict[int | None, str]:
        """Names of classes by id; "" for objects without a class (None)."""
        return {None: "", **{item.id: item.name for item in self.classes}}

    @functools.cached_property
    def outlines(self) -> list[BaseGeometry]:
        """The outlines of the objects in pixels. Each is a step of the progress. Raises
        Cancelled."""
        shapes: list[BaseGeometry] = []
        for start in range(0, len(self.objects), TOGETHER):
            some = self.objects[start : start + TOGETHER]
            find_outlines(some)
            for object in self.progress.each(some):
                shape = object.shape
                if self.rectangles:
                    shape = right_angled(shape, max(self.simplify, 2.0))
                shapes.append(shape)
        return shapes if self.rectangles else simplified(shapes, self.simplify)
