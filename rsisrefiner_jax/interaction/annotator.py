"""The simulated annotator: where the next click goes, in training and evaluation alike.

The field's rule (RITM): compare the object that was missed with the surplus that was found; the
one that reaches deeper, by the largest distance to its own border, is clicked. Strategies choose
the pixel in it:

- centre: the deepest one. All of the field's tables are made with it.
- random: any that is deeper than a part of the largest depth (training; and how much a table owes
  to the centre rule).
- jitter: the centre, missed by a random step (Gaussian, `ClickRule.jitter` pixels a side).
- human: a first click drawn with the squared depth as its weight (people aim at the middle and
  miss), then the centre.
- best, worst: the one after which the network's IoU is highest or lowest. It takes the network to
  find it (`interaction.search`); the rest is as for the others, the sign included.
"""

import dataclasses
import functools
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int, Key

from rsisrefiner_jax.interaction.clicks import Clicks
from rsisrefiner_jax.ops.distance import squared_distance
from rsisrefiner_jax.ops.window import extent, in_window


@dataclasses.dataclass(frozen=True)
class ClickRule:
    """jitter: pixels. inner_k: `random` clicks where the depth exceeds the largest / inner_k."""

    strategy: Literal["centre", "random", "jitter", "human", "best", "worst"] = "centre"
    jitter: float = 3.0
    inner_k: float = 2.0


def next_click(
    missed: Bool[Array, "b h w"],
    surplus: Bool[Array, "b h w"],
    clicks: Clicks | None,
    number: Int[Array, " b"],
    keys: Key[Array, " b"],
    rule: ClickRule = ClickRule(),
) -> tuple[Float[Array, "b 2"], Int[Array, " b"], Bool[Array, " b"]]:
    """Where an annotator who sees these errors clicks next.

    Args:
        missed: object that was not found.
        surplus: background that was taken for object.
        clicks: those so far, whose pixels are not clicked again; None = they may be.
        number: of the click, 0 = first; each has random draws of its own.
        keys: of the object, so that its draws do not depend on the batch.

    Returns:
        (y, x), whole numbers; the label, positive only if the missed region is strictly deeper;
        whether there is any error left to click. Where there is none, the click is a negative one
        at (0, 0), as in the field's harnesses.
    """
    depth, label = error_to_click(missed, surplus, clicks)
    yx = jax.vmap(functools.partial(_choose, rule=rule))(depth, number, keys)
    found = depth.any((1, 2))
    return jnp.where(found[:, None], yx, 0.0), label, found


def error_to_click(
    missed: Bool[Array, "b h w"], surplus: Bool[Array, "b h w"], clicks: Clicks | None
) -> tuple[Float[Array, "b h w"], Int[Array, " b"]]:
    """The error that reaches deeper, as `error_depth` has it, and the label of a click on it."""
    depth = error_depth(missed, surplus, clicks)
    deepest_missed, deepest_surplus = depth.max((2, 3)).T
    positive = deepest_missed > deepest_surplus
    depth = jnp.where(positive[:, None, None], depth[:, 0], depth[:, 1])
    return depth, positive.astype(jnp.int32)


def errors(
    target: Int[Array, "b h w"], mask: Bool[Array, "b h w"]
) -> tuple[Bool[Array, "b h w"], Bool[Array, "b h w"]]:
    """(missed, surplus) of a mask. target: 1 = object, 0 = background, -1 = ignored: no error."""
    return (target == 1) & ~mask, (target == 0) & mask


def training_errors(
    target: Int[Array, "b h w"], prob: Float[Array, "b h w"], pred_thr: float
) -> tuple[Bool[Array, "b h w"], Bool[Array, "b h w"]]:
    """(missed, surplus) as the reference's training has them.

    Ignored pixels are background there, and a probability of exactly `pred_thr` is no error.
    """
    inside = target == 1
    return inside & (prob < pred_thr), ~inside & (prob > pred_thr)


def error_depth(
    missed: Bool[Array, "b h w"], surplus: Bool[Array, "b h w"], clicks: Clicks | None
) -> Float[Array, "b 2 h w"]:
    """Squared distances to the outside of the missed and of the surplus region.

    Zero outside the region and at clicked pixels. Beyond the image is outside.
    """
    depth = _windowed_distance(jnp.stack([missed, surplus], 1))
    if clicks is None:
        return depth
    at = clicks.yx.astype(jnp.int32)  # truncates
    row = jnp.where(clicks.label >= 0, at[..., 0], missed.shape[1])
    clear = lambda depth, row, col: depth.at[:, row, col].set(0, mode="drop")  # noqa: E731
    return jax.vmap(clear)(depth, row, at[..., 1])


def deepest(depth: Float[Array, "h w"]) -> Float[Array, "2"]:
    """The first deepest pixel in raster order as (y, x), the centre click."""
    return _pixel(jnp.argmax(depth), depth.shape[1])


def _choose(
    depth: Float[Array, "h w"], number: Int[Array, ""], key: Key[Array, ""], rule: ClickRule
) -> Float[Array, "2"]:
    """The pixel to click, by the depths of the error."""
    key = jax.random.fold_in(key, number)
    centre = deepest(depth)
    match rule.strategy:
        case "centre":
            return centre
        case "random":
            return uniform_pixel(key, depth * rule.inner_k**2 > depth.max())
        case "jitter":
            step = jnp.round(jax.random.normal(key, (2,)) * rule.jitter)
            return jnp.where(_at(depth, centre + step) > 0, centre + step, centre)
        case "human":
            drawn = jax.random.categorical(key, jnp.log(depth).ravel())
            return jnp.where(number == 0, _pixel(drawn, depth.shape[1]), centre)
        case "best" | "worst":
            raise ValueError("best and worst clicks are searched for (interaction.search)")


def _windowed_distance(region: Bool[Array, "b c h w"]) -> Float[Array, "b c h w"]:
    """`squared_distance`, computed in a window that holds all that is True."""
    rows, columns = (jax.vmap(extent)(region.any(axes)) for axes in ((1, 3), (1, 2)))

    def within(size: tuple[int, int], corner: Array) -> Array:
        def one(region: Array, corner: Array) -> Array:
            at = (0, *corner)
            window = jax.lax.dynamic_slice(region, at, (len(region), *size))
            empty = jnp.zeros(region.shape, jnp.float32)
            return jax.lax.dynamic_update_slice(empty, squared_distance(window), at)

        return jax.vmap(one)(region, corner)

    return in_window(within, jnp.stack([*rows, *columns], 1), region.shape[2:])


def uniform_pixel(key: Key[Array, ""], region: Bool[Array, "h w"]) -> Float[Array, "2"]:
    """A random True pixel as (y, x); of no meaning where there is none."""
    per_row = region.sum(-1, dtype=jnp.int32)
    up_to = jnp.cumsum(per_row)
    rank = jax.random.randint(key, (), 0, jnp.maximum(up_to[-1], 1))
    row = jnp.argmax(up_to > rank)
    rank_in_row = rank - (up_to[row] - per_row[row])
    col = jnp.argmax(jnp.cumsum(region[row].astype(jnp.int32)) > rank_in_row)
    return jnp.stack([row, col]).astype(jnp.float32)


def _pixel(index: Int[Array, ""], width: int) -> Float[Array, "2"]:
    return jnp.stack(jnp.divmod(index, width)).astype(jnp.float32)


def _at(depth: Float[Array, "h w"], yx: Float[Array, "2"]) -> Float[Array, ""]:
    """The depth at (y, x), 0 beyond the image."""
    y, x = yx.astype(jnp.int32)
    inside = (y >= 0) & (x >= 0)
    return jnp.where(inside, depth.at[y, x].get(mode="fill", fill_value=0), 0)
