"""Clicks: one on the host, and those of a batch on the device in a fixed number of slots."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int


class Click(NamedTuple):
    """One click, in pixels of the image (y, x), pixel centres at integers."""

    y: float
    x: float
    positive: bool


class Clicks(NamedTuple):
    """The clicks of a batch, in the order they were made: slot i holds the i-th click."""

    yx: Float[Array, "... k 2"]  # pixels; -1 in unused slots
    label: Int[Array, "... k"]  # 1 positive, 0 negative, -1 unused


def empty(batch: int, capacity: int) -> Clicks:
    """No clicks yet: `capacity` unused slots for each of `batch` samples."""
    return Clicks(
        yx=jnp.full((batch, capacity, 2), -1.0, jnp.float32),
        label=jnp.full((batch, capacity), -1, jnp.int32),
    )


def count(clicks: Clicks) -> Int[Array, " b"]:
    """How many slots are used."""
    return (clicks.label >= 0).sum(-1, dtype=jnp.int32)


def add(
    clicks: Clicks, yx: Float[Array, "b 2"], label: Int[Array, " b"], where: Bool[Array, " b"]
) -> Clicks:
    """Writes one click per sample into its first free slot.

    Args:
        label: 1 positive or 0 negative.
        where: samples that are False here, or already full, stay as they are.
    """
    slot = jnp.arange(clicks.label.shape[1])
    here = (slot == count(clicks)[:, None]) & where[:, None]
    return Clicks(
        yx=jnp.where(here[..., None], yx.astype(clicks.yx.dtype)[:, None], clicks.yx),
        label=jnp.where(here, label.astype(clicks.label.dtype)[:, None], clicks.label),
    )


def disks(clicks: Clicks, size: tuple[int, int], radius: float) -> Float[Array, "b h w 2"]:
    """Click maps: 1 within `radius` pixels of a click, else 0; positive clicks first."""
    return (squared_distances(clicks, size) <= radius**2).astype(jnp.float32)


def squared_distances(
    clicks: Clicks, size: tuple[int, int], stride: int = 1
) -> Float[Array, "b h w 2"]:
    """Squared distance in pixels to the nearest positive and to the nearest negative click.

    It is infinite where there is none. A click that lies outside both above and to the left does
    not count.

    Args:
        size: of the map.
        stride: pixels of the picture for each place of the map, measured at its middle.
    """
    rows, cols = (
        (
            jnp.arange(side, dtype=clicks.yx.dtype) * stride
            + (stride - 1) / 2
            - clicks.yx[..., axis, None]
        ).astype(jnp.float32)
        for axis, side in enumerate(size)
    )
    distance = rows[..., :, None] ** 2 + cols[..., None, :] ** 2  # [b, k, h, w], never stored
    counts = clicks.yx.max(-1) >= 0
    maps = [
        jnp.where((counts & (clicks.label == sign))[..., None, None], distance, jnp.inf).min(1)
        for sign in (1, 0)
    ]
    return jnp.stack(maps, -1)
