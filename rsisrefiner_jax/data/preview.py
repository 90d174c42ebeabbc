"""A sheet of training samples, to see what the network is shown."""

import os
from collections.abc import Mapping

import cv2
import numpy as np

_OBJECT = (60, 220, 60)  # RGB
_CLICK = (255, 60, 60)
_WHITE = (255, 255, 255)


def training_sheet(
    batch: Mapping[str, np.ndarray], path: str, tiles: int = 8, columns: int = 4
) -> None:
    """Writes the first samples of a batch as a PNG: target outlined, first click, ignored grey.

    Args:
        batch: image uint8 [b, s, s, 3], label int8 [b, s, s], first_click float32 [b, 2] (y, x).
        path: of the PNG; its folder is made.
        tiles: how many samples at most.
        columns: how many in a row.
    """
    drawn = [
        draw_sample(*sample)
        for sample in zip(
            batch["image"][:tiles], batch["label"], batch["first_click"], strict=False
        )
    ]
    columns = min(columns, len(drawn))
    drawn += [np.zeros_like(drawn[0])] * (-len(drawn) % columns)
    rows = [np.hstack(drawn[i : i + columns]) for i in range(0, len(drawn), columns)]
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    cv2.imwrite(path, cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def draw_sample(image: np.ndarray, label: np.ndarray, first_click: np.ndarray) -> np.ndarray:
    """uint8 [s, s, 3]: one picture with its target outlined and its first click as a dot."""
    canvas = np.array(image, np.uint8)
    canvas[label == -1] = canvas[label == -1] // 2 + 64
    outlines, _ = cv2.findContours(
        (label == 1).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(canvas, outlines, -1, _OBJECT, 2)
    y, x = (round(float(value)) for value in first_click)
    radius = max(len(canvas) // 80, 3)
    cv2.circle(canvas, (x, y), radius + 1, _WHITE, -1)
    cv2.circle(canvas, (x, y), radius, _CLICK, -1)
    return canvas
