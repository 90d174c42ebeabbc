"""The click loop of one object with the host in it, as the field's harnesses run it.

The batched loop (`evaluation.click_loop`) gives the same traces; this one is what it is compared
with, click by click, and what any session that can be clicked may be tried with.
"""

import dataclasses

import numpy as np

from rsisrefiner_jax.evaluation import metrics
from rsisrefiner_jax.evaluation.clicker import Click, next_click
from rsisrefiner_jax.evaluation.session import ClickSession
from rsisrefiner_jax.protocol import Protocol


@dataclasses.dataclass(frozen=True)
class Trace:
    """What happened to one object.

    ious: float32 [n], after each click. rois: the crop of each click, None without one. probs:
    float32 [h, w], the last probabilities.
    """

    clicks: tuple[Click, ...]
    ious: np.ndarray
    rois: tuple[tuple[int, ...] | None, ...]
    probs: np.ndarray


def simulate(session: ClickSession, target: np.ndarray, protocol: Protocol) -> Trace:
    """Clicks one object at its centre until the protocol says stop.

    target: int [h, w], 1 = object (at least one pixel), 0 = background, -1 = ignore.
    """
    session.reset()
    ious: list[float] = []
    rois: list[tuple[int, ...] | None] = []
    mask = session.mask
    while len(ious) < protocol.max_clicks:
        session.click(*next_click(target, mask, session.clicks))
        mask = session.mask
        ious.append(metrics.iou(target, mask))
        rois.append(session.roi)
        if (
            protocol.early_stop is not None
            and len(ious) >= protocol.min_clicks
            and metrics.reaches(ious[-1], protocol.early_stop)
        ):
            break
    return Trace(session.clicks, np.asarray(ious, np.float32), tuple(rois), session.probs)
