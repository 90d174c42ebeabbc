"""What is to be segmented in a training picture, and where the first click falls.

The sampling of RITM that the paper's training inherits: one object, now and then two, and a click
well inside the first of them. Beyond it, where the configuration asks for them: regions drawn
around several objects, whose border is no edge in the picture (`Data.hull_objects`), and outlines
as people draw them in haste (`Data.loose_objects`).
"""

import cv2
import numpy as np

from rsisrefiner_jax.config import Data

_KERNEL = np.ones((3, 3), np.uint8)


def draw_target(
    labels: np.ndarray, ignore: np.ndarray, config: Data, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """Chooses a target among the objects of a picture and its first click.

    Args:
        labels: int32 [h, w, layers], object ids, 0 = background.
        ignore: bool [h, w].

    Returns:
        target int8 [h, w] (1 object, 0 background, -1 ignored) and first_click float32 [2]
        (y, x), or None when no object is large enough or the target fills the picture.
    """
    if ignore.any():
        labels = np.where(ignore[..., None], 0, labels)
    objects = large_objects(labels, config.min_object_area)
    if not objects:
        return None
    merge = len(objects) > 1 and rng.random() < config.merge_objects
    chosen = rng.choice(len(objects), size=2 if merge else 1, replace=False)
    masks = [labels[..., layer] == id for layer, id in (objects[i] for i in chosen)]
    union = np.logical_or.reduce(masks)
    if rng.random() < config.hull_objects:
        union = hull(union | neighbours(labels, objects, masks[0], rng)) & ~ignore
    if rng.random() < config.loose_objects:
        union = (loose(union, rng) | masks[0]) & ~ignore
    if union[~ignore].all():
        return None
    clicked = erode(masks[0]) if rng.random() < config.erode_objects else masks[0]
    candidates = np.flatnonzero(click_candidates(clicked, config.first_click_k))
    click = np.unravel_index(rng.choice(candidates), clicked.shape)
    target = np.where(ignore, -1, union).astype(np.int8)
    return target, np.array(click, np.float32)


def large_objects(labels: np.ndarray, min_area: int) -> list[tuple[int, int]]:
    """(layer, id) of every object of at least `min_area` pixels, in order."""
    found = []
    for layer in range(labels.shape[-1]):
        values = labels[..., layer]
        ids, areas = np.unique(values[values > 0], return_counts=True)
        found += [(layer, int(id)) for id in ids[areas >= min_area]]
    return found


def neighbours(
    labels: np.ndarray,
    objects: list[tuple[int, int]],
    mask: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """bool [h, w]: from none to five of the `objects` (layer, id) that are nearest to a mask."""
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    masks = [labels[..., layer] == id for layer, id in objects]
    masks.sort(key=lambda other: away[other].min())  # the mask itself comes first
    return np.logical_or.reduce(masks[: 1 + int(rng.integers(6))])


def hull(mask: np.ndarray) -> np.ndarray:
    """bool [h, w]: the convex hull of a non-empty mask, the mask included."""
    points = cv2.findNonZero(mask.astype(np.uint8))
    filled = cv2.fillConvexPoly(mask.astype(np.uint8), cv2.convexHull(points), 1)
    return filled.astype(bool)


def loose(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """bool [h, w]: a non-empty mask as a hasty person outlines it, with few corners and a margin.

    The margin is at most an eighth of the root of the area, and the corners keep within 1.5 % of
    each outline's length.
    """
    margin = int(rng.uniform(0, 0.125) * np.sqrt(mask.sum()))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1,) * 2)
    grown = cv2.dilate(mask.astype(np.uint8), kernel)
    outlines, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    share = rng.uniform(0.002, 0.015)
    corners = [cv2.approxPolyDP(o, share * cv2.arcLength(o, True), True) for o in outlines]
    return cv2.fillPoly(np.zeros_like(grown), corners, 1).astype(bool)


def erode(mask: np.ndarray) -> np.ndarray:
    """bool [h, w]: the mask less three pixels all round, or unchanged if 10 or fewer would remain.

    The edge of the picture is no edge of the object: nothing is taken off there.
    """
    eroded = cv2.erode(mask.astype(np.uint8), _KERNEL, iterations=3)
    return eroded.astype(bool) if eroded.sum() > 10 else mask


def click_candidates(mask: np.ndarray, k: float) -> np.ndarray:
    """bool [h, w]: pixels of a non-empty mask farther from its outside than the maximum / `k`.

    Outside begins at the edge of the picture. Distances are compared squared, as integers:
    OpenCV's roots carry noise that would decide ties.
    """
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    box = np.s_[y : y + height, x : x + width]  # nothing farther away can be nearer than its rim
    padded = np.pad(mask[box].astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    squared = np.rint(np.square(distance, dtype=np.float64))
    candidates = np.zeros(mask.shape, bool)
    # The slack covers the rounding of k**2.
    candidates[box] = squared * k**2 > squared.max() * (1 + 1e-9)
    return candidates
