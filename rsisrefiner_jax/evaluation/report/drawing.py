"""How an object, what a network made of it and the clicks are drawn (paper, figures 8 to 10)."""

from collections.abc import Sequence

import cv2
import numpy as np

from rsisrefiner_jax.interaction.clicks import Click

# RGB
GREEN, RED, YELLOW, WHITE = (40, 200, 80), (230, 60, 60), (250, 210, 60), (255, 255, 255)
TINT = 0.35  # of the colour over what is found and what is wrong

LEGEND = (
    "White: outline of the object. Yellow: outline of the prediction. Green areas: found. Red "
    "areas: missed or too much. Green and red dots: positive and negative clicks, the first one "
    "larger."
)

Window = tuple[slice, slice]  # rows and columns of a picture


def draw_object(
    image: np.ndarray,
    target: np.ndarray,
    mask: np.ndarray,
    clicks: Sequence[Click],
    side: int = 320,
    window: Window | None = None,
) -> np.ndarray:
    """uint8 RGB, longest side `side`, as `LEGEND` says; all that does not fit `window` is left out.

    image: uint8 [h, w, 3]. target: int8 [h, w], ignored pixels (-1) have no colour. mask: bool
    [h, w]. window: None = around target, mask and clicks.
    """
    rows, columns = window or around((target == 1) | mask, clicks)
    image, target, mask = (x[rows, columns] for x in (image, target, mask))
    tinted = image.astype(np.float32)
    found = (target == 1) & mask
    for region, color in ((found, GREEN), ((target >= 0) & (mask != (target == 1)), RED)):
        tinted[region] = (1 - TINT) * tinted[region] + TINT * np.array(color, np.float32)
    picture = resized(tinted.astype(np.uint8), side)
    for region, color in ((target == 1, WHITE), (mask, YELLOW)):
        region = cv2.resize(
            region.astype(np.uint8), picture.shape[1::-1], interpolation=cv2.INTER_NEAREST
        )
        outlines, _ = cv2.findContours(region, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, color, 1)
    moved = [Click(y - rows.start, x - columns.start, positive) for y, x, positive in clicks]
    draw_clicks(picture, moved, side / max(image.shape[:2]))
    return picture


def draw_clicks(picture: np.ndarray, clicks: Sequence[Click], scale: float) -> None:
    """Draws dots at clicks of a picture that was resized by `scale`."""
    for order, click in reversed(list(enumerate(clicks))):
        centre = round((click.x + 0.5) * scale), round((click.y + 0.5) * scale)
        radius = 6 if order == 0 else 4
        cv2.circle(picture, centre, radius + 1, WHITE, -1, cv2.LINE_AA)
        cv2.circle(picture, centre, radius, GREEN if click.positive else RED, -1, cv2.LINE_AA)


def draw_map(prob: np.ndarray, side: int) -> np.ndarray:
    """uint8 RGB: probabilities [h, w] from dark blue (0) to yellow (1)."""
    levels = np.round(255 * prob).clip(0, 255).astype(np.uint8)
    return resized(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1], side)


def around(region: np.ndarray, clicks: Sequence[Click]) -> Window:
    """The box of a region, bool [h, w], and clicks, with a margin."""
    marked = region.astype(np.uint8)
    for click in clicks:
        marked[int(click.y), int(click.x)] = 1
    x, y, columns, rows = cv2.boundingRect(marked)
    margin = 8 + max(columns, rows) // 6
    height, width = region.shape
    return (
        slice(max(y - margin, 0), min(y + rows + margin, height)),
        slice(max(x - margin, 0), min(x + columns + margin, width)),
    )


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    """uint8 [h, w, 3], its longest side `side`."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    shrinks = scale < 1
    picture = np.ascontiguousarray(picture)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)


def png(picture: np.ndarray) -> bytes:
    """A picture, uint8 RGB [h, w, 3], as the content of a PNG file."""
    return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
