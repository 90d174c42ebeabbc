"""The data set `synthetic`: scene i of a split depends on nothing but the split and i."""

from typing import Literal

import cv2
import numpy as np

from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.data.synthetic.camera import photograph
from rsisrefiner_jax.data.synthetic.canvas import Canvas
from rsisrefiner_jax.data.synthetic.layouts import draw_layout
from rsisrefiner_jax.data.synthetic.terrain import render
from rsisrefiner_jax.errors import require

SPLITS = {"train": 0, "val": 1, "test": 2}
LENGTHS = {"train": 100_000, "val": 200, "test": 200}
MIN_AREA = 40  # pixels; smaller objects are background
MAX_AREA = 0.4  # of the picture; larger regions are background
MAX_OBJECTS = 40
ATTEMPTS = 4  # at a scene with MIN_OBJECTS of USEFUL_AREA pixels (training drops smaller ones)
MIN_OBJECTS, USEFUL_AREA = 3, 256
# Ground that a road or a bridge divides: every piece is an object of its own.
DIVISIBLE = ("field", "water", "road")


class SyntheticSource:
    """Random-access sequence of procedural scenes (data/scene.py `Source`).

    Scenes of different splits differ, and so do scenes of different sizes.

    Raises:
        UserError: unknown split, or a size below 64.
        IndexError: index outside the data set.
    """

    licence = "none: drawn by this package"

    def __init__(
        self,
        split: Literal["train", "val", "test"] | str = "train",
        size: int = 384,
        length: int | None = None,
    ):
        require(
            split in SPLITS, f"synthetic:{split}: no such split; it is one of {', '.join(SPLITS)}"
        )
        require(size >= 64, f"synthetic: size={size} is too small; take 64 pixels or more")
        self.split, self.size = split, size
        self.length = LENGTHS[split] if length is None else length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Scene:
        if not 0 <= index < self.length:
            raise IndexError(f"synthetic:{self.split} has scenes 0..{self.length - 1}, not {index}")
        rng = np.random.default_rng([SPLITS[self.split], index])
        for _ in range(ATTEMPTS):
            canvas, palette = draw_layout(rng, self.size)
            rgb, surface = render(canvas, palette)
            labels, objects, ignore = _annotate(canvas, surface)
            if (np.bincount(labels.ravel())[1:] >= USEFUL_AREA).sum() >= MIN_OBJECTS:
                break
        image = photograph(rgb, rng)
        name = f"synthetic_{self.split}_{index:06d}"
        return Scene(name, image, labels[..., None], objects, ignore)


def _annotate(
    canvas: Canvas, surface: np.ndarray
) -> tuple[np.ndarray, tuple[SceneObject, ...], np.ndarray]:
    """What remains visible of each object.

    Returns:
        int32 [h, w] ids, the objects, largest first, and bool [h, w]: splinters that an occluder
        cut off an object, which count as nothing.
    """
    regions: list[tuple[int, str, np.ndarray, tuple[slice, slice]]] = []
    ignore = np.zeros(surface.shape, bool)
    visible = np.bincount(surface.ravel(), minlength=len(canvas.surfaces))
    surface = surface.astype(np.uint16)  # compares faster
    for index in np.argsort(-visible, kind="stable"):
        category = canvas.surfaces[index].category
        if visible[index] < MIN_AREA or len(regions) >= MAX_OBJECTS:
            break
        if not category:
            continue
        mask = (surface == index).view(np.uint8)
        x, y, w, h = cv2.boundingRect(mask)
        window = (slice(y, y + h), slice(x, x + w))
        _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask[window], connectivity=4)
        areas = stats[1:, cv2.CC_STAT_AREA]
        whole = np.flatnonzero(areas >= MIN_AREA) if category in DIVISIBLE else [areas.argmax()]
        splinter = mask[window].astype(bool)
        for piece in whole:
            part = pieces == piece + 1
            splinter &= ~part
            if MIN_AREA <= areas[piece] <= MAX_AREA * surface.size:
                regions.append((int(areas[piece]), category, part, window))
        ignore[window] |= splinter
    regions.sort(key=lambda region: -region[0])
    labels = np.zeros(surface.shape, np.int32)
    objects = []
    for number, (_, category, mask, window) in enumerate(regions[:MAX_OBJECTS], start=1):
        labels[window][mask] = number
        objects.append(SceneObject(number, 0, category))
    return labels, tuple(objects), ignore
