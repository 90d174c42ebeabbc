"""What a training step saw and answered, as a picture."""

from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np

from rsisrefiner_jax.atomic import atomic_file
from rsisrefiner_jax.data.preview import draw_sample, pictures

_POSITIVE, _NEGATIVE = (60, 220, 60), (255, 60, 60)  # RGB


def write_preview(
    workdir: Path, step: int, batch: dict[str, np.ndarray], shown: dict[str, Any]
) -> None:
    """The sheet of a step in a run's work directory; `shown` may be on the device."""
    path = workdir / "previews" / f"{step:07d}.png"
    prediction_sheet(batch, jax.tree.map(np.asarray, shown), path)


def prediction_sheet(
    batch: dict[str, np.ndarray], shown: dict[str, Any], path: Path, rows: int = 6
) -> None:
    """Writes a PNG, whole or not at all.

    For each sample it has the target with its first click, and the answer with all clicks.

    batch: as the pipeline yields it. shown: {"prob" [b, s, s], "clicks"} of the training step.
    """
    lines, images = [], pictures(batch)
    for i in range(min(rows, len(images))):
        target = draw_sample(images[i], batch["label"][i], batch["first_click"][i])
        answer = draw_answer(images[i], shown["prob"][i])
        draw_clicks(answer, shown["clicks"].yx[i], shown["clicks"].label[i])
        lines.append(np.hstack([target, answer]))
    columns = [np.vstack(lines[i::2]) for i in range(2) if lines[i::2]]
    height = max(len(column) for column in columns)
    columns = [np.pad(c, ((0, height - len(c)), (0, 0), (0, 0))) for c in columns]
    _, png = cv2.imencode(".png", cv2.cvtColor(np.hstack(columns), cv2.COLOR_RGB2BGR))
    with atomic_file(path) as file:
        file.write(png.tobytes())


def draw_answer(image: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """uint8 [s, s, 3]: the picture dimmed where the probability [s, s] is low."""
    weight = 0.25 + 0.75 * np.asarray(prob, np.float32)[..., None]
    return np.ascontiguousarray((image * weight).astype(np.uint8))


def draw_clicks(canvas: np.ndarray, yx: np.ndarray, label: np.ndarray) -> None:
    """Dots at clicks yx [k, 2] in pixels, green positive and red negative, label -1 unused."""
    radius = max(len(canvas) // 80, 3)
    for (y, x), sign in zip(yx, label, strict=True):
        if sign >= 0:
            colour = _POSITIVE if sign else _NEGATIVE
            cv2.circle(canvas, (round(float(x)), round(float(y))), radius, colour, -1)
