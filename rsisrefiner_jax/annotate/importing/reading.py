"""What is found in a file."""

import dataclasses
from typing import Any

from rsisrefiner_jax.data.project.records import Image
from rsisrefiner_jax.formats import geometry
from rsisrefiner_jax.formats.masks import Mask, encoded_box, union_box
from rsisrefiner_jax.formats.outlines import along_pixels, cut_to_image
from rsisrefiner_jax.formats.region import Region

OBJECT_LIMIT = 200_000


@dataclasses.dataclass(frozen=True)
class Target:
    """Where objects go. classes: names in order."""

    image: Image
    classes: list[str]


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

    def add(self, region: Region, target: Target) -> None:
        """An object, its outline cut to the image; without a pixel there it is skipped.

        An outline without a mask covers the pixels whose centres lie in it.
        """
        info, shape, cut = target.image.info, region.outline, False
        if shape is not None:
            shape, cut = cut_to_image(shape, info)
        if region.mask is not None:
            mask = Mask.decode(region.mask).trimmed()
        else:
            mask = geometry.rasterise(shape, info.width, info.height)
        if not mask.area:
            self.skipped += 1
            return
        self.cut += cut
        plain = shape is None or shape.is_empty or along_pixels(shape, mask)
        self.items.append(
            {
                "id": region.id,
                "class": region.category,
                "attributes": region.attributes,
                "clicks": region.clicks,
                "mask": mask.encode(),
                "drawn": None if plain else geometry.to_json(shape),
            }
        )
