"""A CVAT interactor as an auto-annotation function, which `cvat-cli function run-agent` runs.

README.md has the commands.
"""

import functools
from typing import Any

import cvat_sdk.auto_annotation as cvataa
import numpy as np
import PIL.Image
from cvat_sdk.masks import encode_mask

from rsisrefiner_jax.annotate.pictures import ArrayPicture
from rsisrefiner_jax.annotate.prompts import box_in_pixels
from rsisrefiner_jax.annotate.stateless import ClickOrder, StatelessSegmenter


class Interactor:
    """`cvat_sdk.auto_annotation.InteractionFunction`."""

    spec = cvataa.InteractionFunctionSpec(min_pos_points=0, min_neg_points=0, min_bounding_boxes=0)

    def __init__(self, checkpoint: str | None, make: Any = None) -> None:
        self._checkpoint = checkpoint
        self._make = make
        self._order = ClickOrder()

    @functools.cached_property
    def _segmenter(self) -> StatelessSegmenter:
        # Not before it is asked: what starts the process that asks makes one of these, too.
        return StatelessSegmenter(self._checkpoint, self._make)

    def preprocess_image(
        self, context: cvataa.InteractionFunctionContext, image: PIL.Image.Image
    ) -> ArrayPicture:
        """The picture as the network takes it; kept by the agent between clicks."""
        return ArrayPicture(np.asarray(image.convert("RGB")))

    def detect(
        self,
        context: cvataa.InteractionFunctionContext,
        pp_image: ArrayPicture,
        prompts: cvataa.InteractionPrompts,
    ) -> list[cvataa.InteractionResultShape]:
        """The mask that the points mean, if there is one. Raises UserError."""
        size = pp_image.width, pp_image.height
        corners = prompts.bounding_box
        box = corners and box_in_pixels((*corners[0], *corners[1]), size, None, None)
        about = pp_image.key, box
        clicks = self._order.restored(about, prompts.pos_points, prompts.neg_points)
        mask = self._segmenter.segment(pp_image, clicks, box).mask
        if not mask.area:
            return []
        points = encode_mask(mask.within(0, 0, *size), mask.box)
        return [cvataa.InteractionResultShape(type="mask", points=points)]


def create(checkpoint: str | None = None) -> Interactor:
    """What cvat-cli asks for: `-p checkpoint=str:box`."""
    return Interactor(checkpoint)
