"""Where to click when nobody is there: what a drawn shape says of the object in it.

The rule is that of the simulated annotator (`interaction.annotator`): the error that reaches
deepest is clicked, at its deepest point. An error is what contradicts the drawing beyond doubt.
A rough outline is taken at its word away from its line only, a box outside of it only.
"""

import dataclasses
import math
from collections.abc import Sequence

import cv2
import jax
import numpy as np

from rsisrefiner_jax.annotate.windows import Click, holds
from rsisrefiner_jax.data.raster import Window
from rsisrefiner_jax.formats.masks import EMPTY, Mask
from rsisrefiner_jax.interaction import annotator
from rsisrefiner_jax.interaction.clicks import Click as PixelClick
from rsisrefiner_jax.interaction.clicks import Clicks
from rsisrefiner_jax.interaction.padding import pad, padded_shape
from rsisrefiner_jax.interaction.session import in_slots

SLACK = 0.15  # how far a line may lie from where it should, in roots of the area drawn
LEAST = 2.0  # pixels; the same for the smallest objects, and how deep an error is that is clicked


@dataclasses.dataclass(frozen=True)
class Drawing:
    """What was drawn, and what it says for sure.

    surely: pixels of the object. possibly: pixels that may be of it; no other is.
    """

    pixels: Mask
    surely: Mask
    possibly: Mask


def drawing(pixels: Mask, is_box: bool) -> Drawing:
    """A drawing of at least one pixel. is_box: it goes round the object and says no more."""
    slack = max(LEAST, SLACK * math.sqrt(pixels.area))
    margin = math.ceil(slack) + 1
    left, top = pixels.x - margin, pixels.y - margin
    frame = left, top, pixels.width + 2 * margin, pixels.height + 2 * margin
    drawn = pixels.within(*frame)
    possibly = Mask(left, top, _away(~drawn) <= slack)
    return Drawing(pixels, EMPTY if is_box else Mask(left, top, _away(drawn) > slack), possibly)


def _away(region: np.ndarray) -> np.ndarray:
    """float32 [h, w]: how far a pixel of `region` lies from the nearest one outside of it."""
    kind, size = cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    return np.asarray(cv2.distanceTransform(region.astype(np.uint8), kind, size))


def innermost(pixels: Mask) -> Click | None:
    """A positive click on the deepest pixel of a mask; None where it has none."""
    nothing = np.zeros_like(pixels.pixels)
    return _click(pixels.pixels, nothing, (), Window(pixels.y, pixels.x, *nothing.shape), 0.0)


def correction(
    drawing: Drawing,
    answer: Mask,
    window: Window,
    visible: np.ndarray,
    clicks: Sequence[Click],
) -> Click | None:
    """The next click after an answer; None where it contradicts the drawing nowhere.

    Args:
        window: where the network has looked.
        visible: bool [h, w], where it shows something.
        clicks: those so far.
    """
    frame = window.x, window.y, window.width, window.height
    found = answer.within(*frame)
    missed = drawing.surely.within(*frame) & ~found & visible
    surplus = found & ~drawing.possibly.within(*frame)
    return _click(missed, surplus, clicks, window, LEAST)


def _click(
    missed: np.ndarray,
    surplus: np.ndarray,
    clicks: Sequence[Click],
    window: Window,
    least: float,
) -> Click | None:
    if not (missed.any() or surplus.any()):
        return None
    inside = [
        PixelClick(int(c.y) - window.y, int(c.x) - window.x, c.positive)
        for c in clicks
        if holds(window, c)
    ]
    shape = (max(padded_shape(*missed.shape)),) * 2  # few of them, so that little is compiled
    given = pad(missed, shape)[None], pad(surplus, shape)[None], in_slots(inside)
    yx, positive, depth = jax.device_get(_deepest_error(*given))
    if not depth > least**2:
        return None
    y, x = yx.tolist()
    return Click(window.x + x, window.y + y, bool(positive))


@jax.jit
def _deepest_error(
    missed: jax.Array, surplus: jax.Array, clicks: Clicks
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(y, x), label and squared depth of the click on one pair of errors, bool [1, h, w]."""
    depth, label = annotator.error_to_click(missed, surplus, clicks)
    return annotator.deepest(depth[0]), label[0], depth.max()
