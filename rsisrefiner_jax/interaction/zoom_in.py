"""Zoom-in on the device: the crop that the network looks at (RITM, with MFP's paste-back).

Functions of one object, to be vmapped. A crop (`roi`) is first row, last row, first column, last
column, all inclusive, in pixels of the image. Images may be padded below and to the right; `size`
is their real height and width, and nothing depends on the padding.

Decisions are made in float64, as the field's harnesses make them on the host: where a box is
rounded and whether a crop is kept must not depend on where the code runs.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int, Num

from rsisrefiner_jax.interaction.clicks import Clicks
from rsisrefiner_jax.ops.window import extent, in_window, resample
from rsisrefiner_jax.protocol import Protocol


def next_roi(
    roi: Int[Array, " 4"],
    cropped: Bool[Array, ""],
    probs: Float[Array, "h w"],
    clicks: Clicks,
    size: Int[Array, " 2"],
    protocol: Protocol,
) -> tuple[Int[Array, " 4"], Bool[Array, ""]]:
    """The crop for the next network call.

    Args:
        roi, cropped: the crop in force and whether there is one (before the first click and while
            the protocol skips cropping there is none).
        probs: probabilities after the clicks before the last one.
        clicks: all clicks [k], the new one included; pixels of the image.

    Returns:
        The crop, and False if it stands for the whole image looked at without cropping. The crop
        in force stays unless a positive click leaves it or the object has moved away from it.
    """
    whole = whole_image(size)
    mask = probs > protocol.zoom_prob_thr
    box = object_roi(mask, clicks, size, protocol.zoom_expansion, protocol.zoom_min_crop)
    empty = ~mask.any()
    candidate = jnp.where(empty, whole, box)
    keep = (
        cropped
        & (protocol.zoom_refresh != "always")
        & holds_positive_clicks(roi, clicks)
        & overlaps(candidate, roi, protocol.zoom_recompute_iou)
    )
    if protocol.zoom_refresh == "cut_off":
        keep &= ~cut_off(mask, roi, size)
    skip = (clicks.label >= 0).sum() <= protocol.zoom_skip_clicks
    if protocol.zoom_skip_clicks >= 0:
        skip |= empty
    return jnp.where(skip, whole, jnp.where(keep, roi, candidate)), ~skip


def whole_image(size: Int[Array, " 2"]) -> Int[Array, " 4"]:
    """The crop that is all of an image of this size."""
    zero = jnp.zeros_like(size[0])
    return jnp.stack([zero, size[0] - 1, zero, size[1] - 1])


def object_roi(
    mask: Bool[Array, "h w"],
    clicks: Clicks,
    size: Int[Array, " 2"],
    expansion: float,
    min_crop: int,
) -> Int[Array, " 4"]:
    """The box of a mask (not empty) and the positive clicks, expanded.

    It is enlarged about its centre, at least `min_crop` pixels a side, and cut to the image.
    """
    sides: list[Array] = []
    for axis in (0, 1):
        first, last = extent(mask.any(1 - axis))
        at = clicks.yx[:, axis].astype(jnp.int32)  # truncates
        positive = clicks.label == 1
        first = jnp.minimum(first, jnp.where(positive, at, first).min())
        last = jnp.maximum(last, jnp.where(positive, at, last).max())
        sides += _expand_side(first, last, size[axis], expansion, min_crop)
    return jnp.stack(sides)


def _expand_side(
    first: Int[Array, ""],
    last: Int[Array, ""],
    length: Int[Array, ""],
    expansion: float,
    min_crop: int,
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    with jax.enable_x64(True):
        centre = (first + last).astype(jnp.float64) / 2
        size = jnp.maximum(expansion * (last - first + 1).astype(jnp.float64), float(min_crop))
        # Rounds halves to even, as the reference does.
        low = jnp.round(centre - 0.5 * size).astype(jnp.int32)
        high = jnp.round(centre + 0.5 * size).astype(jnp.int32)
    return jnp.maximum(low, 0), jnp.minimum(high, length - 1)


def holds_positive_clicks(roi: Int[Array, " 4"], clicks: Clicks) -> Bool[Array, ""]:
    """Whether every positive click lies in `roi`, whose last row and column count as outside."""
    y, x = clicks.yx[:, 0], clicks.yx[:, 1]
    inside = (roi[0] <= y) & (y < roi[1]) & (roi[2] <= x) & (x < roi[3])
    return (inside | (clicks.label != 1)).all()


def cut_off(
    mask: Bool[Array, "h w"], roi: Int[Array, " 4"], size: Int[Array, " 2"]
) -> Bool[Array, ""]:
    """Whether the box of a mask (not empty) reaches an edge of `roi` that is none of the image."""
    reached = jnp.bool(False)
    for axis in (0, 1):
        first, last = extent(mask.any(1 - axis))
        low, high = roi[2 * axis], roi[2 * axis + 1]
        reached |= (first <= low) & (low > 0)
        reached |= (last >= high) & (high < size[axis] - 1)
    return reached


def overlaps(a: Int[Array, " 4"], b: Int[Array, " 4"], least: float) -> Bool[Array, ""]:
    """Whether RITM's IoU of two boxes is at least `least`.

    It is the product of the IoUs of their sides, hulls taken as unions.
    """
    with jax.enable_x64(True):
        first, last = jnp.maximum(a[::2], b[::2]), jnp.minimum(a[1::2], b[1::2])
        low, high = jnp.minimum(a[::2], b[::2]), jnp.maximum(a[1::2], b[1::2])
        intersection = jnp.maximum(last - first + 1, 0).astype(jnp.float64)
        sides = intersection / (high - low + 1).astype(jnp.float64)
        return sides[0] * sides[1] >= least


def crop_size(roi: Int[Array, " 4"], zoom_size: int, keep_aspect: bool) -> Int[Array, " 2"]:
    """Height and width in pixels to which the crop is resized."""
    if not keep_aspect:
        return jnp.full(2, zoom_size, jnp.int32)
    with jax.enable_x64(True):
        sides = (roi[1::2] - roi[::2] + 1).astype(jnp.float64)
        scaled = jnp.round(sides * (zoom_size / sides.max())).astype(jnp.int32)
    return jnp.maximum(scaled, 1)


def to_crop(
    yx: Float[Array, "k 2"],
    roi: Int[Array, " 4"],
    crop: Int[Array, " 2"],
    mirror_side: int | None = None,
) -> Float[Array, "k 2"]:
    """Image coordinates in a crop `roi` resized to `crop` (height, width).

    mirror_side: mirror the columns within a square of this side.
    """
    with jax.enable_x64(True):
        scale = crop.astype(jnp.float64) / (roi[1::2] - roi[::2] + 1).astype(jnp.float64)
        moved = (yx.astype(jnp.float64) - roi[::2].astype(jnp.float64)) * scale
        if mirror_side is not None:
            moved = jnp.stack([moved[:, 0], mirror_side - 1 - moved[:, 1]], 1)
        return moved.astype(jnp.float32)


def cut(
    x: Num[Array, "h w c"], roi: Int[Array, " 4"], crop: Int[Array, " 2"], side: int
) -> Float[Array, "{side} {side} c"]:
    """The crop `roi` of x, resized to `crop`, in a square canvas of zeros: float32."""
    canvas, inside = resample(x, roi, _corner(crop), (side, side))
    return jnp.where(inside[..., None], canvas, 0)


def paste(
    probs: Float[Array, "b h w"],
    answer: Float[Array, "b s s"],
    roi: Int[Array, "b 4"],
    crop: Int[Array, "b 2"],
    outside: Literal["keep", "zero"],
) -> Float[Array, "b h w"]:
    """The inverse of `cut`, for a batch: `answer` inside each roi.

    Around it stays `probs`, or there are zeros.
    """

    def within(size: tuple[int, int], corner: Int[Array, "b 2"]) -> Float[Array, "b h w"]:
        def one(
            probs: Float[Array, "h w"],
            answer: Float[Array, "s s"],
            roi: Int[Array, " 4"],
            crop: Int[Array, " 2"],
            corner: Int[Array, " 2"],
        ) -> Float[Array, "h w"]:
            full = probs if outside == "keep" else jnp.zeros_like(probs)
            old = jax.lax.dynamic_slice(full, corner, size)
            moved = roi - jnp.repeat(corner, 2, total_repeat_length=4)
            new, inside = resample(answer[..., None], _corner(crop), moved, size)
            return jax.lax.dynamic_update_slice(full, jnp.where(inside, new[..., 0], old), corner)

        return jax.vmap(one)(probs, answer, roi, crop, corner)

    return in_window(within, roi, probs.shape[1:])


def _corner(crop: Int[Array, " 2"]) -> Int[Array, " 4"]:
    """The window of this size in the upper left corner."""
    return whole_image(crop)
