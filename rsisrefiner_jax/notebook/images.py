"""What the page gets to draw: parts of the picture and the mask, as PNG."""

from typing import Any

import cv2
import numpy as np

from rsisrefiner_jax.annotate.pictures import png
from rsisrefiner_jax.data.windows import Window

COLOUR = (255, 160, 58)  # BGR, of the object
INSIDE, BORDER = 96, 255  # opacity
MOST = 4096  # pixels of a view, each way


def view_of(asked: dict[str, Any], height: int, width: int) -> tuple[Window, int]:
    """The window of a picture that a page asks for, and the step at which it is fine enough.

    Args:
        asked: left, top, right and bottom in pixels of the picture, which may go beyond it, and
            across, how many pixels of the screen show that.

    Returns:
        The window, which begins at a multiple of the step, a power of two; without a pixel where
        the page is beside the picture.
    """
    across = min(max(int(asked["across"]), 1), MOST)
    step = 1
    while (asked["right"] - asked["left"]) / (2 * step) >= across:
        step *= 2
    left, top = (max(int(asked[side]) // step * step, 0) for side in ("left", "top"))
    right, bottom = min(int(asked["right"]) + 1, width), min(int(asked["bottom"]) + 1, height)
    return Window(top, left, max(bottom - top, 0), max(right - left, 0)), step


def picture_png(rgb: np.ndarray) -> bytes:
    """uint8 [h, w, 3] as PNG."""
    return png(rgb[..., ::-1])


def mask_png(mask: np.ndarray) -> bytes:
    """bool [h, w] as a transparent PNG in colour, its border opaque; nothing of no pixel."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    framed = np.pad(mask, 1).astype(np.uint8)
    inner = cv2.erode(framed, cross)[1:-1, 1:-1] > 0
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[mask] = (*COLOUR, BORDER)
    pixels[inner] = (*COLOUR, INSIDE)
    return png(pixels)
