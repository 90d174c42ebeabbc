"""The objects of a file, cut to the image that they are imported for."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.data.project.records import Image
from rsisrefiner_jax.formats import geometry
from rsisrefiner_jax.formats.masks import EMPTY, Mask, encoded_box, union_box
from rsisrefiner_jax.formats.outlines import along_pixels, cut_to_image
from rsisrefiner_jax.formats.progress import Progress
from rsisrefiner_jax.formats.raster_info import Raster
from rsisrefiner_jax.formats.region import Region

OBJECT_LIMIT = 200_000
TOGETHER = 2000  # regions that are looked at at a time, which is quicker than singly


@dataclasses.dataclass(frozen=True)
class Target:
    """The image that objects are imported for. classes: names of the project's, in order.
    progress: counts the objects as they are read."""

    image: Image
    classes: list[str]
    progress: Progress = dataclasses.field(default_factory=Progress)


@dataclasses.dataclass
class Reading:
    """items: "id" (or None), "class" (name or ""), "attributes", "clicks", "mask", "drawn".

    cut: how many of them went beyond the image. doubts: why the file may belong to another image.
    """

    items: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    skipped: int = 0
    cut: int = 0
    doubts: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """(left, top, right, bottom) around all of them, in pixels."""
        boxes = [encoded_box(item["mask"]) for item in self.items]
        return union_box(boxes) if boxes else None

    def add(self, regions: Sequence[Region], target: Target) -> None:
        """Objects, their outlines cut to the image; those without a pixel there are skipped.

        An outline without a mask covers the pixels whose centres lie in it. Raises Cancelled.
        """
        target.progress.begin(len(regions))
        for start in range(0, len(regions), TOGETHER):
            target.progress.check()
            some = regions[start : start + TOGETHER]
            self._add(some, target.image.info)
            target.progress.done += len(some)

    def _add(self, regions: Sequence[Region], info: Raster) -> None:
        shapes, cut = cut_to_image(_array([region.outline for region in regions]), info)
        masks = [
            EMPTY if region.mask is None else Mask.decode(region.mask).trimmed()
            for region in regions
        ]
        bare = np.flatnonzero([region.mask is None for region in regions])
        filled = geometry.rasterised(shapes[bare], info.width, info.height)
        for i, mask in zip(bare.tolist(), filled, strict=True):
            masks[i] = mask
        plain = shapely.is_missing(shapes) | shapely.is_empty(shapes) | along_pixels(shapes, masks)
        drawn_at = np.flatnonzero(~plain)
        drawn = dict(zip(drawn_at.tolist(), geometry.to_json_all(shapes[drawn_at]), strict=True))
        for i, (region, mask) in enumerate(zip(regions, masks, strict=True)):
            if not mask.area:
                self.skipped += 1
                continue
            self.cut += bool(cut[i])
            self.items.append(
                {
                    "id": region.id,
                    "class": region.category,
                    "attributes": region.attributes,
                    "clicks": region.clicks,
                    "mask": mask.encode(),
                    "drawn": drawn.get(i),
                }
            )


def _array(shapes: Sequence[BaseGeometry | None]) -> np.ndarray:
    """Geometries [n], None where there is none."""
    found = np.empty(len(shapes), object)
    found[:] = shapes
    return found
