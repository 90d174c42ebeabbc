"""Clicks on the device: a fixed number of slots, their maps, and the simulated annotator."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from rsisrefiner_jax.ops.distance import squared_distance


class Clicks(NamedTuple):
    """The clicks of a batch, in the order they were made: slot i holds the i-th click."""

    yx: Array  # float32 [b, k, 2], pixels; -1 in unused slots
    label: Array  # int32 [b, k]: 1 positive, 0 negative, -1 unused


def empty(batch: int, capacity: int) -> Clicks:
    """No clicks yet: `capacity` unused slots for each of `batch` samples."""
    return Clicks(
        yx=jnp.full((batch, capacity, 2), -1.0, jnp.float32),
        label=jnp.full((batch, capacity), -1, jnp.int32),
    )


def count(clicks: Clicks) -> Array:
    """int32 [b]: how many slots are used."""
    return (clicks.label >= 0).sum(-1, dtype=jnp.int32)


def add(clicks: Clicks, yx: Array, label: Array, where: Array) -> Clicks:
    """Writes one click per sample into its first free slot.

    Args:
        yx: float [b, 2].
        label: int [b], 1 positive or 0 negative.
        where: bool [b]; samples that are False here, or already full, stay as they are.
    """
    slot = jnp.arange(clicks.label.shape[1])
    here = (slot[None] == count(clicks)[:, None]) & where[:, None]
    return Clicks(
        yx=jnp.where(here[..., None], yx.astype(clicks.yx.dtype)[:, None], clicks.yx),
        label=jnp.where(here, label.astype(clicks.label.dtype)[:, None], clicks.label),
    )


def disks(clicks: Clicks, size: tuple[int, int], radius: float) -> Array:
    """Click maps: 1 within `radius` pixels of a click, else 0.

    A click that lies outside the map both above and to the left of it draws nothing.

    Returns:
        float32 [b, *size, 2], positive clicks first, then negative ones.
    """
    rows, cols = (
        (jnp.arange(side, dtype=clicks.yx.dtype)[None, None] - clicks.yx[..., axis, None]).astype(
            jnp.float32
        )
        for axis, side in enumerate(size)
    )
    distance = rows[..., :, None] ** 2 + cols[..., None, :] ** 2  # [b, k, h, w], never stored
    near = distance <= radius**2
    drawn = clicks.yx.max(-1) >= 0
    maps = [(near & (drawn & (clicks.label == sign))[..., None, None]).any(1) for sign in (1, 0)]
    return jnp.stack(maps, -1).astype(jnp.float32)


def inner_region(
    prob: Array, target: Array, pred_thr: float = 0.49, inner_k: float = 2.0
) -> tuple[Array, Array]:
    """Where the annotator of a training step may click next.

    The larger of missed object and false object, by the largest distance to its own edge, keeps
    the pixels whose distance is more than that maximum / `inner_k`. Ignored pixels are background.

    Args:
        prob: float [b, h, w].
        target: [b, h, w], 1 object, 0 background, -1 ignored.
    Returns:
        (bool [b, h, w], empty if nothing is wrong; bool [b], whether the click is positive).
    """
    inside = target > 0
    missed = inside & (prob < pred_thr)
    wrong = ~inside & (prob > pred_thr)
    distance = squared_distance(jnp.stack([missed, wrong]))  # [2, b, h, w]
    deepest = distance.max((2, 3))
    positive = deepest[0] > deepest[1]
    chosen = jnp.where(positive[:, None, None], distance[0], distance[1])
    return chosen * inner_k**2 > jnp.maximum(*deepest)[:, None, None], positive


def next_click(
    prob: Array, target: Array, keys: Array, pred_thr: float = 0.49, inner_k: float = 2.0
) -> tuple[Array, Array, Array]:
    """The training annotator: a uniformly random pixel of `inner_region`.

    Args:
        prob: float [b, h, w].
        target: [b, h, w], 1 object, 0 background, -1 ignored.
        keys: typed keys [b], one per sample, so that a draw does not depend on the batch.
    Returns:
        (yx float32 [b, 2], label int32 [b], found bool [b]); where `found` is False nothing is
        wrong with the prediction and the other two mean nothing.
    """
    region, positive = inner_region(prob, target, pred_thr, inner_k)
    yx, found = jax.vmap(uniform_pixel)(keys, region)
    return yx, positive.astype(jnp.int32), found


def uniform_pixel(key: Array, region: Array) -> tuple[Array, Array]:
    """A random True pixel of bool [h, w] as (y, x) float32, and whether there is one."""
    per_row = region.sum(-1, dtype=jnp.int32)
    up_to = jnp.cumsum(per_row)
    total = up_to[-1]
    rank = jax.random.randint(key, (), 0, jnp.maximum(total, 1))
    row = jnp.argmax(up_to > rank)
    rank_in_row = rank - (up_to[row] - per_row[row])
    col = jnp.argmax(jnp.cumsum(region[row].astype(jnp.int32)) > rank_in_row)
    return jnp.stack([row, col]).astype(jnp.float32), total > 0
