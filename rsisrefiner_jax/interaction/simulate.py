"""The click loop of one object with the host in it, as the field's harnesses run it.

The batched loop (`interaction.loop`) gives the same traces; this one is what it is compared with,
click by click, and what any session that can be clicked may be tried with.
"""

import dataclasses
import functools

import jax
import numpy as np

from rsisrefiner_jax.interaction import annotator, metrics
from rsisrefiner_jax.interaction.annotator import ClickRule
from rsisrefiner_jax.interaction.clicks import Click, Clicks, count
from rsisrefiner_jax.interaction.padding import pad, padded_shape
from rsisrefiner_jax.interaction.session import ClickSession, in_slots
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
    while not ious or not metrics.is_done(ious[-1], len(ious), protocol):
        session.click(*next_click(target, session.mask, session.clicks))
        ious.append(iou(target, session.mask))
        rois.append(session.roi)
    return Trace(session.clicks, np.asarray(ious, np.float32), tuple(rois), session.probs)


def next_click(
    target: np.ndarray,
    mask: np.ndarray,
    clicks: tuple[Click, ...],
    rule: ClickRule = ClickRule(),
    seed: int = 0,
) -> Click:
    """Where the annotator clicks next: `annotator.next_click` for one object.

    target: int [h, w], as in `simulate`. mask: bool [h, w]. seed: of the object's random draws.
    """
    shape = padded_shape(*target.shape)
    padded = pad(target.astype(np.int8), shape, -1)[None], pad(mask, shape)[None]
    yx, label = _next_click(rule, *padded, in_slots(clicks), np.array([seed], np.uint32))
    y, x = yx[0].tolist()
    return Click(int(y), int(x), bool(label[0]))


@functools.partial(jax.jit, static_argnums=0)
def _next_click(
    rule: ClickRule, target: jax.Array, mask: jax.Array, clicks: Clicks, seed: jax.Array
) -> tuple[jax.Array, jax.Array]:
    missed, surplus = annotator.errors(target, mask)
    keys = jax.vmap(jax.random.key)(seed)
    yx, label, _ = annotator.next_click(missed, surplus, clicks, count(clicks), keys, rule)
    return yx, label


def iou(target: np.ndarray, mask: np.ndarray) -> float:
    """`metrics.iou` of one object, of masks [h, w]."""
    shape = padded_shape(*target.shape)
    padded = pad(target.astype(np.int8), shape, -1)[None], pad(mask, shape)[None]
    return float(_iou(*padded)[0])


_iou = jax.jit(metrics.iou)
