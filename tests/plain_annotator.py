"""The simulated annotator on the host: clicks the deepest point of the largest error.

The rule of RITM and its followers: the next click is the pixel of the wrong region that lies
farthest from the region's border, positive where the object was missed.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from rsisrefiner_jax.interaction.clicks import Click


def next_click(target: np.ndarray, mask: np.ndarray, clicks: Sequence[Click] = ()) -> Click:
    """Where an annotator who sees `mask` clicks next.

    Args:
        target: int [h, w], 1 = object, 0 = background, -1 = ignore.
        mask: bool [h, w], the prediction.
        clicks: the clicks so far; their pixels are not clicked again.

    Returns:
        A click at integer coordinates; positive only if the missed region is strictly deeper than
        the surplus one. Without any error (left): a negative click at (0, 0).
    """
    clicked = [(int(click.y), int(click.x)) for click in clicks]
    missed, missed_at = deepest((target == 1) & ~mask, clicked)
    surplus, surplus_at = deepest((target == 0) & mask, clicked)
    return Click(*missed_at, True) if missed > surplus else Click(*surplus_at, False)


def deepest(region: np.ndarray, skip: Sequence[tuple[int, int]]) -> tuple[int, tuple[int, int]]:
    """The pixel of `region` (bool [h, w]) farthest from its outside; beyond the image is outside.

    Pixels in `skip` do not count. Returns the squared distance, an integer, and (y, x): the first
    such pixel in raster order, or 0 and (0, 0) if none is left.

    Squared distances between pixels are integers, so rounding takes off the float noise that
    OpenCV's distances carry and ties fall the same way everywhere (up to distances of 2048 px).
    """
    box = bounding_box(region)
    if box is None:
        return 0, (0, 0)
    top, bottom, left, right = box
    inside = region[top : bottom + 1, left : right + 1].view(np.uint8)
    padded = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    for y, x in skip:
        if top <= y <= bottom and left <= x <= right:
            distance[y - top, x - left] = 0
    largest = distance.max()
    if largest == 0:
        return 0, (0, 0)
    candidates = np.flatnonzero(distance >= largest * np.float32(1 - 1e-6))
    squared = np.rint(np.square(distance.take(candidates), dtype=np.float64))
    first = int(squared.argmax())
    y, x = divmod(int(candidates[first]), distance.shape[1])
    return int(squared[first]), (top + y, left + x)


def bounding_box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """(first row, last row, first column, last column) of a bool [h, w], None if it is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
