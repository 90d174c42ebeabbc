"""The click loop as plain numpy, one object at a time: what the loop on the device must equal.

With the package it shares the types of clicks, traces and protocols only. The model is a callable.
"""

import dataclasses
from typing import Protocol as CallableProtocol

import numpy as np

from rsisrefiner_jax.interaction.clicks import Click
from rsisrefiner_jax.interaction.simulate import Trace
from rsisrefiner_jax.protocol import Protocol
from tests import plain_zoom_in as zoom_in
from tests.plain_annotator import next_click
from tests.plain_zoom_in import Roi

# Click slots of a network call come in multiples of this, so that shapes rarely change.
SLOTS = 24


class Predict(CallableProtocol):
    """The network. B = 2 with flip averaging (image, mirror image), else 1.

    Args:
        x: float32 [B, S, S, 4], the crop in [0, 1] and its previous probabilities.
        yx: float32 [B, K, 2], clicks in pixels of the crop, -1 in unused slots. A click may lie
            outside the crop.
        label: int32 [B, K], 1 = positive, 0 = negative, -1 = unused; slots are in click order.

    Returns:
        float32 [B, S, S], logits.
    """

    def __call__(self, x: np.ndarray, yx: np.ndarray, label: np.ndarray) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class _State:
    """What one click changes. probs: float32 [h, w]."""

    clicks: tuple[Click, ...]
    probs: np.ndarray
    roi: Roi | None


class ClickSession:
    """Segments one object by clicks. Coordinates are (y, x) pixels of the image.

    image: uint8 [h, w, 3], RGB. image_size: S, the side of the network's square input.
    """

    def __init__(
        self, predict: Predict, image: np.ndarray, protocol: Protocol, image_size: int
    ) -> None:
        protocol.check(image_size)
        self._predict = predict
        self._image = image
        self._protocol = protocol
        self._image_size = image_size
        self._viewed: tuple[Roi, np.ndarray] | None = None  # the last crop and its pixels
        self.reset()

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks so far."""
        return self._state.clicks

    @property
    def probs(self) -> np.ndarray:
        """float32 [h, w]: probability of object at image size; not to be written to."""
        return self._state.probs

    @property
    def mask(self) -> np.ndarray:
        """bool [h, w]: the predicted object."""
        return self._state.probs > self._protocol.pred_thr

    @property
    def roi(self) -> Roi | None:
        """The crop in force; None before the first click or without zoom-in."""
        return self._state.roi

    def click(self, y: float, x: float, positive: bool) -> np.ndarray:
        """Adds a click and returns the new probabilities, float32 [h, w]."""
        clicks = (*self.clicks, Click(y, x, positive))
        roi = zoom_in.next_roi(self.roi, self.probs, clicks, self._protocol)
        view = roi if roi is not None else zoom_in.whole(self.probs.shape)
        crop = self._look(view, clicks)
        probs = zoom_in.paste(self.probs, crop, view, self._protocol.zoom_outside)
        self._state = _State(clicks, probs, roi)
        return probs

    def reset(self) -> None:
        """Starts again from an empty map, without clicks."""
        self._state = _State((), np.zeros(self._image.shape[:2], np.float32), None)

    def _look(self, view: Roi, clicks: tuple[Click, ...]) -> np.ndarray:
        """One network call on a crop: probabilities, float32, at the size of `view`."""
        zoom_size = self._protocol.zoom_size or self._image_size
        height, width = zoom_in.crop_size(view, zoom_size, self._protocol.zoom_keep_aspect)
        x = np.zeros((1, self._image_size, self._image_size, 4), np.float32)
        x[0, :height, :width, :3] = self._pixels(view, height, width)
        x[0, :height, :width, 3] = zoom_in.resize(zoom_in.cut(self.probs, view), height, width)
        yx, label = _slots(clicks, view, (height, width), self._protocol.max_clicks)
        if self._protocol.flip:
            x, yx, label = _with_mirror(x, yx, label)
        logits = np.asarray(self._predict(x, yx.astype(np.float32), label), np.float32)
        if self._protocol.flip:
            logits = (logits[:1] + logits[1:, :, ::-1]) * np.float32(0.5)
        probs = _sigmoid(logits[0, :height, :width])
        return zoom_in.resize(probs, view[1] - view[0] + 1, view[3] - view[2] + 1)

    def _pixels(self, view: Roi, height: int, width: int) -> np.ndarray:
        """float32 [height, width, 3] in [0, 1]; kept, as the crop mostly stays where it is."""
        if self._viewed is None or self._viewed[0] != view:
            pixels = zoom_in.resize(zoom_in.cut(self._image, view), height, width)
            self._viewed = (view, pixels / np.float32(255))
        return self._viewed[1]


def simulate(
    predict: Predict, image: np.ndarray, target: np.ndarray, protocol: Protocol, image_size: int
) -> Trace:
    """Clicks one object of uint8 [h, w, 3] until the protocol says stop.

    target: int [h, w], 1 = object (at least one pixel), 0 = background, -1 = ignore.
    """
    session = ClickSession(predict, image, protocol, image_size)
    ious: list[float] = []
    rois: list[Roi | None] = []
    while len(ious) < protocol.max_clicks:
        session.click(*next_click(target, session.mask, session.clicks))
        ious.append(iou(target, session.mask))
        rois.append(session.roi)
        stop = protocol.early_stop is not None and len(ious) >= protocol.min_clicks
        if stop and np.float32(ious[-1]) >= np.float32(protocol.early_stop):
            break
    return Trace(session.clicks, np.asarray(ious, np.float32), tuple(rois), session.probs)


def iou(target: np.ndarray, mask: np.ndarray) -> float:
    """Intersection over union; NaN where both are empty."""
    union = np.count_nonzero((target == 1) | (mask & (target == 0)))
    return np.count_nonzero((target == 1) & mask) / union if union else float("nan")


def _slots(
    clicks: tuple[Click, ...], view: Roi, size: tuple[int, int], max_clicks: int
) -> tuple[np.ndarray, np.ndarray]:
    """Clicks as the network takes them: yx float64 [1, K, 2] in the crop, label int32 [1, K]."""
    slots = max(max_clicks, SLOTS)
    slots = slots * -(-len(clicks) // slots)
    yx = np.full((1, slots, 2), -1, np.float64)
    label = np.full((1, slots), -1, np.int32)
    points = np.array([(click.y, click.x) for click in clicks], np.float64)
    yx[0, : len(clicks)] = zoom_in.to_crop(points, view, size)
    label[0, : len(clicks)] = [click.positive for click in clicks]
    return yx, label


def _with_mirror(
    x: np.ndarray, yx: np.ndarray, label: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The batch followed by its mirror image: column c becomes S - c - 1."""
    mirrored = yx.copy()
    mirrored[..., 1] = np.where(label >= 0, x.shape[2] - 1 - yx[..., 1], -1)
    both = np.empty((2, *x.shape[1:]), x.dtype)
    both[0], both[1] = x[0], x[0, :, ::-1]
    return both, np.concatenate([yx, mirrored]), np.concatenate([label, label])


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # exp overflows to inf, and 1 / inf is the 0 that is meant
        return np.float32(1) / (np.float32(1) + np.exp(-logits))
