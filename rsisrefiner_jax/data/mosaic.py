"""Several pictures side by side as one: small objects in a wide picture, of small pictures."""

from collections.abc import Sequence

import numpy as np

from rsisrefiner_jax.data.scene import Scene, SceneObject


def mosaic(scenes: Sequence[Scene], columns: int) -> Scene:
    """One scene of the given ones in rows of `columns`, objects numbered anew from 1.

    Every cell has the first scene's size: of larger scenes the upper left part is taken, and what
    smaller ones leave free is black and ignored. Objects of which no pixel is left are gone.
    """
    height, width = scenes[0].image.shape[:2]
    layers = max(scene.labels.shape[-1] for scene in scenes)
    rows = -(-len(scenes) // columns)
    image = np.zeros((rows * height, columns * width, 3), np.uint8)
    labels = np.zeros((*image.shape[:2], layers), np.int32)
    ignore = np.ones(image.shape[:2], bool)
    objects: list[SceneObject] = []
    for i, scene in enumerate(scenes):
        top, left = i // columns * height, i % columns * width
        h, w = (min(a, b) for a, b in zip(scene.image.shape, (height, width), strict=False))
        cell = np.s_[top : top + h, left : left + w]
        image[cell], ignore[cell] = scene.image[:h, :w], scene.ignore[:h, :w]
        for item in scene.objects:
            mask = scene.mask(item)[:h, :w]
            if mask.any():
                objects.append(SceneObject(len(objects) + 1, item.layer, item.category))
                labels[(*cell, item.layer)][mask] = len(objects)
    name = "+".join(scene.name for scene in scenes)
    return Scene(name, image, labels, tuple(objects), ignore)
