"""Zoom-in as plain numpy: what `evaluation.zoom_in` and `ops.window` must equal."""

from collections.abc import Sequence

import numpy as np

from rsisrefiner_jax.interaction.clicks import Click
from rsisrefiner_jax.protocol import Protocol
from tests.plain_annotator import bounding_box

# (first row, last row, first column, last column), all inclusive, in pixels of the image.
Roi = tuple[int, int, int, int]


def next_roi(
    roi: Roi | None, probs: np.ndarray, clicks: Sequence[Click], protocol: Protocol
) -> Roi | None:
    """The crop for the next network call.

    Args:
        roi: the crop in force, None if there is none yet.
        probs: float32 [h, w], probabilities after the clicks before the last one.
        clicks: all clicks, the new one included.

    Returns:
        The crop, or None to look at the whole image without cropping. The crop in force stays
        unless a positive click leaves it or the predicted object has moved away from it.
    """
    if len(clicks) <= protocol.zoom_skip_clicks:
        return None
    candidate = object_roi(
        probs > protocol.zoom_prob_thr, clicks, protocol.zoom_expansion, protocol.zoom_min_crop
    )
    if candidate is None:
        if protocol.zoom_skip_clicks >= 0:
            return None
        candidate = whole(probs.shape)
    if (
        roi is None
        or protocol.zoom_refresh == "always"
        or not holds_positive_clicks(roi, clicks)
        or box_iou(candidate, roi) < protocol.zoom_recompute_iou
        or (protocol.zoom_refresh == "cut_off" and cut_off(probs > protocol.zoom_prob_thr, roi))
    ):
        return candidate
    return roi


def whole(shape: tuple[int, ...]) -> Roi:
    """The crop that is all of an image of this shape (h, w, ...)."""
    return 0, shape[0] - 1, 0, shape[1] - 1


def object_roi(
    mask: np.ndarray, clicks: Sequence[Click], expansion: float, min_crop: int
) -> Roi | None:
    """The expanded box of a mask (bool [h, w]) and the positive clicks; None for an empty mask."""
    box = bounding_box(mask)
    if box is None:
        return None
    rows = [box[0], box[1], *(int(click.y) for click in clicks if click.positive)]
    columns = [box[2], box[3], *(int(click.x) for click in clicks if click.positive)]
    return expand_box(
        (min(rows), max(rows), min(columns), max(columns)), mask.shape, expansion, min_crop
    )


def expand_box(box: Roi, shape: tuple[int, ...], expansion: float, min_crop: int) -> Roi:
    """`box` enlarged about its centre, at least `min_crop` pixels a side, cut to the image."""
    top, bottom = _expand_side(box[0], box[1], shape[0], expansion, min_crop)
    left, right = _expand_side(box[2], box[3], shape[1], expansion, min_crop)
    return top, bottom, left, right


def _expand_side(
    low: int, high: int, length: int, expansion: float, min_crop: int
) -> tuple[int, int]:
    centre = 0.5 * (low + high)
    size = max(expansion * (high - low + 1), min_crop)
    # Python's round goes to even at halves, as the reference's does.
    return max(round(centre - 0.5 * size), 0), min(round(centre + 0.5 * size), length - 1)


def holds_positive_clicks(roi: Roi, clicks: Sequence[Click]) -> bool:
    """Whether every positive click lies in `roi`, whose last row and column count as outside."""
    top, bottom, left, right = roi
    return all(
        top <= click.y < bottom and left <= click.x < right for click in clicks if click.positive
    )


def cut_off(mask: np.ndarray, roi: Roi) -> bool:
    """Whether the box of a mask reaches an edge of `roi` that is none of the image."""
    box = bounding_box(mask)
    height, width = mask.shape
    return box is not None and (
        (roi[0] > 0 and box[0] <= roi[0])
        or (roi[1] < height - 1 and box[1] >= roi[1])
        or (roi[2] > 0 and box[2] <= roi[2])
        or (roi[3] < width - 1 and box[3] >= roi[3])
    )


def box_iou(a: Roi, b: Roi) -> float:
    """RITM's IoU of two boxes: the product of the IoUs of their sides, hulls taken as unions."""
    return _interval_iou(a[:2], b[:2]) * _interval_iou(a[2:], b[2:])


def _interval_iou(a: tuple[int, int], b: tuple[int, int]) -> float:
    intersection = max(0, min(a[1], b[1]) - max(a[0], b[0]) + 1)
    return intersection / (max(a[1], b[1]) - min(a[0], b[0]) + 1)


def crop_size(roi: Roi, zoom_size: int, keep_aspect: bool) -> tuple[int, int]:
    """(height, width) in pixels to which the crop is resized."""
    height, width = roi[1] - roi[0] + 1, roi[3] - roi[2] + 1
    if not keep_aspect:
        return zoom_size, zoom_size
    scale = zoom_size / max(height, width)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def to_crop(points: np.ndarray, roi: Roi, size: tuple[int, int]) -> np.ndarray:
    """Image coordinates (y, x), float [..., 2], in a crop `roi` resized to `size`."""
    return (points - _origin(roi)) * _scale(roi, size)


def to_image(points: np.ndarray, roi: Roi, size: tuple[int, int]) -> np.ndarray:
    """The inverse of `to_crop`."""
    return points / _scale(roi, size) + _origin(roi)


def _origin(roi: Roi) -> np.ndarray:
    return np.array([roi[0], roi[2]], np.float64)


def _scale(roi: Roi, size: tuple[int, int]) -> np.ndarray:
    return np.array([size[0] / (roi[1] - roi[0] + 1), size[1] / (roi[3] - roi[2] + 1)])


def cut(array: np.ndarray, roi: Roi) -> np.ndarray:
    """The pixels of `roi`: a view of an [h, w, ...]."""
    return array[roi[0] : roi[1] + 1, roi[2] : roi[3] + 1]


def paste(probs: np.ndarray, crop: np.ndarray, roi: Roi, outside: str) -> np.ndarray:
    """A new full map (float32 [h, w]): `crop` inside `roi`, around it `probs` or zeros."""
    full = probs.copy() if outside == "keep" else np.zeros_like(probs)
    cut(full, roi)[...] = crop
    return full


def resize(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, the corner pixels' centres staying corners (PyTorch's align_corners=True).

    Takes any numeric [h, w, ...], returns float32 [height, width, ...]. Positions are computed in
    float32, as PyTorch does, and columns before rows.
    """
    above, below, down = _taps(array.shape[0], height)
    left, right, across = _taps(array.shape[1], width)
    down = down.reshape(-1, *[1] * (array.ndim - 1))
    across = across.reshape(-1, *[1] * (array.ndim - 2))

    def columns(rows: np.ndarray) -> np.ndarray:
        return _blend(np.take(rows, left, 1), np.take(rows, right, 1), across)

    shrinks = height < array.shape[0]  # then only some of the rows are needed
    source = array if shrinks else columns(array)
    resized = np.empty((height, width, *array.shape[2:]), np.float32)
    for start in range(0, height, 64):  # blocks of rows that stay in the processor's cache
        rows = slice(start, start + 64)
        upper, lower = np.take(source, above[rows], 0), np.take(source, below[rows], 0)
        if shrinks:
            upper, lower = columns(upper), columns(lower)
        resized[rows] = _blend(upper, lower, down[rows])
    return resized


def _blend(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """a * (1 - weight) + b * weight in float32; float32 arguments are overwritten."""
    a, b = a.astype(np.float32, copy=False), b.astype(np.float32, copy=False)
    a *= np.float32(1) - weight
    b *= weight
    a += b
    return a


def _taps(length: int, resized: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every output position its two neighbours in the input and the weight of the second."""
    step = np.float32((length - 1) / (resized - 1)) if resized > 1 else np.float32(0)
    position = step * np.arange(resized, dtype=np.float32)
    first = np.minimum(position.astype(np.int64), length - 1)
    return first, np.minimum(first + 1, length - 1), position - first.astype(np.float32)
