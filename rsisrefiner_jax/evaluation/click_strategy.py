"""The simulated annotator on the device: where a click goes, by several rules.

`centre` is RITM's rule, the field's: the deepest pixel of the larger error. The others ask how
much a table owes to that one rule:

- random: a random pixel of the larger error, deeper than half its depth (as in training).
- jitter: the centre, missed by a random step of `protocol.click_jitter` pixels a side (Gaussian).
- human: a first click drawn with the squared depth as its weight (people aim at the middle and
  miss), then the centre.

"""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from rsisrefiner_jax.clicks import Clicks, uniform_pixel
from rsisrefiner_jax.ops.distance import squared_distance
from rsisrefiner_jax.ops.window import extent, in_window
from rsisrefiner_jax.protocol import Protocol


def next_click(
    target: Array, mask: Array, clicks: Clicks, keys: Array, protocol: Protocol
) -> tuple[Array, Array]:
    """Where an annotator who sees `mask` clicks next.

    Args:
        target: int [b, h, w], 1 = object, 0 = background, -1 = ignore (padding too).
        mask: bool [b, h, w], the prediction.
        clicks: the clicks so far [b, k]; their pixels are not clicked again.
        keys: a typed key for each object [b]; each click folds in its number.

    Returns:
        (yx float32 [b, 2], whole numbers; label int32 [b], positive only if the missed region is
        strictly deeper than the surplus one). Without any error left: negative, at (0, 0).
    """
    depth = depths(target, mask, clicks)
    missed, surplus = depth.max((2, 3)).T
    positive = missed > surplus
    depth = jnp.where(positive[:, None, None], depth[:, 0], depth[:, 1])
    number = (clicks.label >= 0).sum(1)
    choose = functools.partial(_choose, protocol=protocol)
    return jax.vmap(choose)(depth, number, keys), positive.astype(jnp.int32)


def _choose(depth: Array, number: Array, key: Array, protocol: Protocol) -> Array:
    """Click `number` (0 = first) of one object, on the depths [h, w] of its larger error."""
    key = jax.random.fold_in(key, number)
    centre = _deepest(depth)
    match protocol.click_strategy:
        case "centre":
            yx = centre
        case "random":
            yx = uniform_pixel(key, depth * 4 > depth.max())[0]
        case "jitter":
            step = jnp.round(jax.random.normal(key, (2,)) * protocol.click_jitter)
            yx = jnp.where(_at(depth, centre + step) > 0, centre + step, centre)
        case "human":
            drawn = jax.random.categorical(key, jnp.log(depth).ravel())
            yx = jnp.where(number == 0, _pixel(drawn, depth.shape[1]), centre)
    # Nothing left to correct: the harnesses of the field click the corner.
    return jnp.where(depth.max() > 0, yx, 0.0)


def depths(target: Array, mask: Array, clicks: Clicks) -> Array:
    """Squared distances [b, 2, h, w] to the outside of the missed and of the surplus region.

    Zero outside the region and at clicked pixels. Beyond the image is outside.
    """
    wrong = jnp.stack([(target == 1) & ~mask, (target == 0) & mask], 1)
    depth = windowed_distance(wrong)
    at = clicks.yx.astype(jnp.int32)  # truncates
    row = jnp.where(clicks.label >= 0, at[..., 0], mask.shape[1])
    clear = lambda depth, row, col: depth.at[:, row, col].set(0, mode="drop")  # noqa: E731
    return jax.vmap(clear)(depth, row, at[..., 1])


def windowed_distance(region: Array) -> Array:
    """`squared_distance` of bool [b, c, h, w], computed in a window that holds all that is True."""
    rows, columns = (jax.vmap(extent)(region.any(axes)) for axes in ((1, 3), (1, 2)))

    def within(size: tuple[int, int], corner: Array) -> Array:
        def one(region: Array, corner: Array) -> Array:
            at = (0, *corner)
            window = jax.lax.dynamic_slice(region, at, (len(region), *size))
            empty = jnp.zeros(region.shape, jnp.float32)
            return jax.lax.dynamic_update_slice(empty, squared_distance(window), at)

        return jax.vmap(one)(region, corner)

    return in_window(within, jnp.stack([*rows, *columns], 1), region.shape[2:])


def _deepest(depth: Array) -> Array:
    """float32 [2]: the first deepest pixel of [h, w] in raster order."""
    return _pixel(jnp.argmax(depth), depth.shape[1])


def _pixel(index: Array, width: int) -> Array:
    return jnp.stack(jnp.divmod(index, width)).astype(jnp.float32)


def _at(depth: Array, yx: Array) -> Array:
    """depth [h, w] at yx [2], 0 beyond the image."""
    y, x = yx.astype(jnp.int32)
    inside = (y >= 0) & (x >= 0)
    return jnp.where(inside, depth.at[y, x].get(mode="fill", fill_value=0), 0)
