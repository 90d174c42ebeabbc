"""A sheet of training samples, to see what the network is shown."""

from collections.abc import Mapping

import cv2
import numpy as np

from rsisrefiner_jax.data.sheet import fade, grid, outline, write_picture

_OBJECT = (60, 220, 60)  # RGB
_CLICK = (255, 60, 60)
_WHITE = (255, 255, 255)


def training_sheet(
    batch: Mapping[str, np.ndarray], path: str, tiles: int = 8, columns: int = 4, gap: int = 0
) -> None:
    """Writes the first samples of a batch as a PNG: target outlined, first click, ignored grey.

    Args:
        batch: as the pipeline yields it.
        path: of the PNG; its folder is made.
        tiles: how many samples at most.
        columns: how many in a row.
        gap: pixels between them.
    """
    drawn = [
        draw_sample(*sample)
        for sample in zip(
            pictures(batch)[:tiles], batch["label"], batch["first_click"], strict=False
        )
    ]
    write_picture(path, grid(drawn, columns, gap))


def pictures(batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """uint8 [b, s, s, 3]: the picture of every target of a batch; targets in a row share one."""
    return np.repeat(batch["image"], len(batch["label"]) // len(batch["image"]), 0)


def draw_sample(image: np.ndarray, label: np.ndarray, first_click: np.ndarray) -> np.ndarray:
    """uint8 [s, s, 3]: one picture with its target outlined and its first click as a dot."""
    canvas = np.array(image, np.uint8)
    fade(canvas, label == -1)
    outline(canvas, label == 1, _OBJECT)
    y, x = (round(float(value)) for value in first_click)
    radius = max(len(canvas) // 80, 3)
    cv2.circle(canvas, (x, y), radius + 1, _WHITE, -1)
    cv2.circle(canvas, (x, y), radius, _CLICK, -1)
    return canvas
