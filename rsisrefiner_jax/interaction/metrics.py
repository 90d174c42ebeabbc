"""What is counted: IoU, NoC, NoF and the mIoU curve (paper section IV-B)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int
from scipy.special import stdtrit

from rsisrefiner_jax.protocol import Protocol


def iou(target: Int[Array, "b h w"], mask: Bool[Array, "b h w"]) -> Float[Array, " b"]:
    """Intersection over union of each object; NaN where both are empty.

    target: 1 = object, 0 = background, -1 = ignored, which counts for neither.
    """
    intersection = ((target == 1) & mask).sum((1, 2), dtype=jnp.int32)
    union = ((target == 1) | (mask & (target == 0))).sum((1, 2), dtype=jnp.int32)
    with jax.enable_x64(True):  # a float64 quotient, then rounded: the same on any device
        return (intersection.astype(jnp.float64) / union.astype(jnp.float64)).astype(jnp.float32)


def reaches(ious: Any, target: float) -> Any:
    """Whether an IoU meets a target, on the host or the device: bool of the shape of `ious`.

    Decided in float32, as the field's harness stores IoUs.
    """
    ious = ious if isinstance(ious, jax.Array) else np.asarray(ious)
    return ious.astype(np.float32) >= np.float32(target)


def is_done(iou: Any, clicks: Any, protocol: Protocol) -> Any:
    """Whether an object gets no further click after so many of them, the last with this IoU."""
    done = clicks >= protocol.max_clicks
    if protocol.early_stop is None:
        return done
    return done | (reaches(iou, protocol.early_stop) & (clicks >= protocol.min_clicks))


def clicks_needed(ious: Sequence[float] | np.ndarray, target: float, max_clicks: int) -> int:
    """Number of clicks until the first IoU that reaches `target`, else `max_clicks`."""
    reached = np.flatnonzero(reaches(np.asarray(ious), target))
    return int(reached[0]) + 1 if reached.size else max_clicks


def number_of_clicks(
    traces: Sequence[Sequence[float]], target: float, max_clicks: int
) -> tuple[float, float]:
    """NoC: mean and (population) standard deviation over objects; NaN without objects."""
    if not traces:
        return float("nan"), float("nan")
    counts = [clicks_needed(ious, target, max_clicks) for ious in traces]
    return float(np.mean(counts)), float(np.std(counts))


def confidence_interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> list[float]:
    """[low, high]: Student's interval of the mean of at least two independent values."""
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / len(values) ** 0.5
    half = float(stdtrit(len(values) - 1, (1 + level) / 2)) * error
    return [mean - half, mean + half]


def number_of_failures(traces: Sequence[Sequence[float]], target: float) -> int:
    """NoF, strict: objects whose IoU never reaches `target`."""
    return sum(not reaches(np.asarray(ious), target).any() for ious in traces)


def number_of_failures_at_max(
    traces: Sequence[Sequence[float]], target: float, max_clicks: int
) -> int:
    """NoF as the RITM family counts: NoC == max_clicks, reaching it with the last click included.

    Never smaller than `number_of_failures`.
    """
    return sum(clicks_needed(ious, target, max_clicks) == max_clicks for ious in traces)


def miou_curve(traces: Sequence[Sequence[float]], max_clicks: int) -> np.ndarray:
    """float32 [max_clicks]: mean IoU over objects after every click.

    An object that stopped early keeps its last IoU: the annotator is done with it.
    """
    if not traces:
        return np.full(max_clicks, np.nan, np.float32)
    full = np.empty((len(traces), max_clicks), np.float32)
    for row, ious in zip(full, traces, strict=True):
        row[: len(ious)] = ious
        row[len(ious) :] = ious[-1]
    return full.mean(axis=0)
