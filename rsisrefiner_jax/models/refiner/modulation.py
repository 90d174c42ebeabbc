"""Probability-map modulation: the last click raises or lowers the previous map around itself.

`improved` is the paper's (section III-E, equations 8 to 11), which keeps only pixels on the
click's side of the boundary; `original` is MFP's (Lee et al., CVPR 2024). What neither paper says
(smallest radius, discs around close opposite clicks, ramps, the clicked pixel) follows the
published code.
"""

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from rsisrefiner_jax.config import Model
from rsisrefiner_jax.interaction.clicks import Clicks
from rsisrefiner_jax.ops.precision import widest_float

Pixels = float | Float[Array, ""]
GOAL = {"positive": 0.99, "negative": 0.01}  # probability that the clicked pixel is taken to
EARLY_CLICKS = 7  # MFP weighs pixels by similarity for this many clicks, then by distance


class _LastClick(NamedTuple):
    y: Float[Array, ""]
    x: Float[Array, ""]
    order: Int[Array, ""]  # 0 = first click
    positive: Bool[Array, ""]
    valid: Bool[Array, ""]  # there is one and no coordinate is negative


def modulate(
    prob: Float[Array, "b h w"],
    clicks: Clicks,
    kind: Literal["improved", "original", "none"],
    r_max: Pixels = 100.0,
    r_min: Pixels = 10.0,
    group: int = 1,
) -> Float[Array, "b h w"]:
    """The previous probability map, modulated by the last click of each sample.

    Computes in float64 under `jax.enable_x64` (as the reference does), else in float32; distances
    between clicks keep the dtype of `clicks.yx`. Where the original divides zero by zero (half of
    the window equals the clicked pixel) pixels equal to it take the full gamma and others none.

    Args:
        prob: probabilities.
        clicks: slot index = order of the click.
        kind: "none" returns `prob`.
        r_max: radius in pixels when there is no opposite click.
        r_min: smallest radius in pixels where there is one.
        group: consecutive samples (an image and its mirror image) that are all left unchanged
            if one of them has no click or one with a negative coordinate. Divides b.
    Returns:
        In the dtype of `prob`. A sample whose last click lies beyond the bottom or
        right edge is unchanged.
    """
    if kind == "none":
        return prob
    modulated, valid = jax.vmap(lambda p, c: _modulate_one(p, c, kind, r_max, r_min))(
        prob.astype(jnp.float32), clicks
    )
    valid = jnp.repeat(valid.reshape(-1, group).all(-1), group)
    return jnp.where(valid[:, None, None], modulated.astype(prob.dtype), prob)


def modulated_mask(
    prev_mask: Float[Array, "b s s"],
    clicks: Clicks,
    config: Model,
    plain: bool | Bool[Array, ""] | Bool[Array, "b 1 1"],
    group: int,
) -> Float[Array, "b s s"]:
    """What the network is given beside the previous mask; no gradient.

    plain: where the mask is not modulated. That is an empty one where a first click has a single
        pass (section III-A: both are zero then), and the draft of two passes.
    """
    prev_mask = jax.lax.stop_gradient(prev_mask)
    modulated = modulate(
        prev_mask, clicks, config.modulation, config.r_max, config.r_min, group=group
    )
    return jnp.where(plain, prev_mask, modulated)


def _modulate_one(
    prob: Float[Array, "h w"], clicks: Clicks, kind: str, r_max: Pixels, r_min: Pixels
) -> tuple[Float[Array, "h w"], Bool[Array, ""]]:
    """One sample: the modulated map, and whether the click is valid."""
    h, w = prob.shape
    click = _last_click(clicks)
    row, col = click.y.astype(jnp.int32), click.x.astype(jnp.int32)  # truncates
    p = prob[jnp.clip(row, 0, h - 1), jnp.clip(col, 0, w - 1)]
    distance = _distance_map((h, w), click.y, click.x)
    window, radius = _window(distance, clicks, click, r_max, r_min)

    kept = window & _same_side(prob, window, p, click.positive) if kind == "improved" else window
    gamma = _gamma_max(p, click.positive).astype(distance.dtype)
    # Equations 10 (negative click) and 11 (positive).
    exponent = gamma * (1 - distance / radius) + distance / radius
    if kind == "original":
        exponent = jnp.where(
            click.order < EARLY_CLICKS, _similarity_exponent(prob, window, p, gamma), exponent
        )
    exponent = jnp.where(click.positive, 1 / exponent, exponent)
    raised = prob.astype(distance.dtype) ** exponent
    out = jnp.where(kept, raised, prob.astype(distance.dtype))
    forced_row = jnp.clip(jnp.round(click.y).astype(jnp.int32), 0, h - 1)
    forced_col = jnp.clip(jnp.round(click.x).astype(jnp.int32), 0, w - 1)
    out = out.at[forced_row, forced_col].set(click.positive.astype(out.dtype))

    # No exponent moves 0 or 1: a click on the opposite extreme paints a linear ramp instead.
    furthest = jnp.where(kept, distance, 0).max()
    ramp = distance / jnp.where(furthest > 0, furthest, 1)
    ramp = jnp.where(click.positive, 1 - ramp, ramp)
    is_extreme = jnp.where(click.positive, p == 0, p == 1)
    out = jnp.where(is_extreme, jnp.where(kept, ramp, prob.astype(out.dtype)), out)

    changes = (row < h) & (col < w) & window.any()
    return jnp.where(changes, out.astype(prob.dtype), prob), click.valid


def _last_click(clicks: Clicks) -> _LastClick:
    used = clicks.label >= 0
    order = jnp.where(used, jnp.arange(used.shape[0]), -1).max()
    y, x = clicks.yx[order]
    valid = (order >= 0) & (y >= 0) & (x >= 0)
    return _LastClick(y, x, order, clicks.label[order] == 1, valid)


def _distance_map(
    size: tuple[int, ...], y: Float[Array, ""], x: Float[Array, ""]
) -> Float[Array, "h w"]:
    """Distance of every pixel to (y, x)."""
    dtype = widest_float()
    rows, cols = (
        jnp.arange(n, dtype=dtype) - c.astype(dtype) for n, c in zip(size, (y, x), strict=True)
    )
    return jnp.sqrt(rows[:, None] ** 2 + cols[None, :] ** 2)


def _window(
    distance: Float[Array, "h w"], clicks: Clicks, click: _LastClick, r_max: Pixels, r_min: Pixels
) -> tuple[Bool[Array, "h w"], Float[Array, ""]]:
    """The disc around the click (equation 8), and its radius."""
    opposite = (clicks.label >= 0) & ((clicks.label == 1) != click.positive)
    offset = clicks.yx - jnp.stack([click.y, click.x])
    limits = jnp.where(opposite, jnp.sqrt((offset**2).sum(-1)), jnp.inf)  # [k]
    nearest = limits.min()
    radius = jnp.where(jnp.isinf(nearest), r_max, jnp.maximum(nearest / 2, r_min))

    # Opposite clicks within the smallest radius keep a disc that reaches up to this click.
    def cut(window: Array, other: tuple[Array, Array]) -> tuple[Array, None]:
        yx, limit = other
        inside = _distance_map(window.shape, yx[0], yx[1]) <= limit.astype(distance.dtype)
        return window & ~(inside & (limit < r_min)), None

    radius = radius.astype(distance.dtype)
    return jax.lax.scan(cut, distance <= radius, (clicks.yx, limits))[0], radius


def _same_side(
    prob: Float[Array, "h w"],
    window: Bool[Array, "h w"],
    p: Float[Array, ""],
    positive: Bool[Array, ""],
) -> Bool[Array, "h w"]:
    """Pixels as likely to be the click's kind as the least of p, mean and median (equation 9)."""
    total = jnp.where(window, prob, 0).sum(dtype=widest_float())
    mean = (total / jnp.maximum(window.sum(), 1)).astype(prob.dtype)
    marks = jnp.stack([p, mean, _lower_median(prob, window)])
    return jnp.where(positive, prob >= marks.min(), prob <= marks.max())


def _gamma_max(p: Float[Array, ""], positive: Bool[Array, ""]) -> Float[Array, ""]:
    """The exponent at the click, which takes its probability to the goal; 1 if it is there."""
    between = (p > 0) & (p < 1)
    log_p = jnp.log(jnp.where(between, p, 0.5).astype(widest_float()))
    up = 1 / (math.log(GOAL["positive"]) / log_p + 1e-8)
    down = math.log(GOAL["negative"]) / log_p
    needed = between & jnp.where(positive, p < GOAL["positive"], p > GOAL["negative"])
    return jnp.where(needed, jnp.where(positive, up, down), 1.0)


def _similarity_exponent(
    prob: Float[Array, "h w"],
    window: Bool[Array, "h w"],
    p: Float[Array, ""],
    gamma: Float[Array, ""],
) -> Float[Array, "h w"]:
    """MFP's exponent: gamma for pixels like the clicked one, 1 beyond the median."""
    unlike = jnp.where(window, (prob - p) ** 2, 0)
    largest = unlike.max()
    unlike = unlike / jnp.where(largest > 0, largest, 1) * 1000
    middle = _lower_median(unlike, window)
    # 1 - unlike / middle, cubed; the limit of it when the median is zero.
    share = unlike.astype(gamma.dtype) / jnp.where(middle > 0, middle, 1).astype(gamma.dtype)
    alike = jnp.where(middle > 0, jnp.maximum(1 - share, 0) ** 3, unlike == 0)
    return jnp.maximum((gamma - 1) * alike + 1, 1)


def _lower_median(values: Float[Array, "h w"], mask: Bool[Array, "h w"]) -> Float[Array, ""]:
    """Element (n - 1) // 2 of the n sorted masked values, float32 and not negative; exact.

    Such floats sort as their bit patterns do, so 31 halvings of the integers find it: cheaper
    than sorting a map. NaN if nothing is masked.
    """
    bits = jax.lax.bitcast_convert_type(jnp.abs(values), jnp.int32)
    rank = (mask.sum(dtype=jnp.int32) - 1) // 2

    def halve(_: Array, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = low + (high - low) // 2
        enough = (mask & (bits <= middle)).sum(dtype=jnp.int32) > rank
        return jnp.where(enough, low, middle + 1), jnp.where(enough, middle, high)

    bounds = (jnp.int32(0), jnp.int32(0x7FFFFFFF))
    return jax.lax.bitcast_convert_type(jax.lax.fori_loop(0, 31, halve, bounds)[0], jnp.float32)
