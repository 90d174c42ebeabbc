"""The best and the worst next click (TETRIS, arXiv 2402.06132): positions in the error are tried."""

import dataclasses
import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Key

from rsisrefiner_jax.interaction.annotator import uniform_pixel

ROUNDS = int(os.environ.get("ROUNDS", 3))
SPAN = float(os.environ.get("SPAN", 0.5))


@dataclasses.dataclass(frozen=True)
class Search:
    """sign: 1 for the highest IoU, -1 for the lowest. candidates: positions that are tried.

    margin: they lie deeper than this part of the error's largest depth.
    """

    sign: int
    candidates: int
    margin: float


def extreme_click(
    iou_after: Callable[[Float[Array, "b 2"]], Float[Array, " b"]],
    depth: Float[Array, "b h w"],
    centre: Float[Array, "b 2"],
    keys: Key[Array, " b"],
    search: Search,
) -> Float[Array, "b 2"]:
    """The position (y, x) of the highest or lowest IoU among those tried, the first of equals.

    Args:
        iou_after: the IoU of each object once a click at (y, x) is answered.
        depth: squared, of the error to click (`annotator.error_to_click`).
        centre: the click that is tried first.
    """
    region = depth > search.margin**2 * depth.max((1, 2), keepdims=True)
    side = jnp.sqrt(region.sum((1, 2), dtype=jnp.float32))
    each = -(-search.candidates // ROUNDS)

    def attempt(i: Array, so_far: tuple[Array, Array]) -> tuple[Array, Array]:
        value, at = so_far
        turn = i // each
        reach = jnp.where(turn == 0, jnp.inf, jnp.maximum(side * SPAN**turn, 2))
        draw = jax.vmap(jax.random.fold_in, (0, None))(keys, i)
        drawn = jax.vmap(uniform_pixel)(draw, region & _near(at, reach, region.shape[1:]))
        yx = jnp.where(i == 0, centre, drawn)
        new = search.sign * iou_after(yx)
        better = new > value
        return jnp.where(better, new, value), jnp.where(better[:, None], yx, at)

    nothing = jnp.full(len(centre), -jnp.inf)
    _, yx = jax.lax.fori_loop(0, search.candidates, attempt, (nothing, centre))
    return jnp.where(region.any((1, 2))[:, None], yx, 0.0)


def _near(
    yx: Float[Array, "b 2"], reach: Float[Array, " b"], shape: tuple[int, ...]
) -> Bool[Array, "b h w"]:
    """Whether a pixel lies within `reach` rows and columns of a position."""
    rows, columns = (
        jnp.abs(jnp.arange(length) - yx[:, axis, None]) <= reach[:, None]
        for axis, length in enumerate(shape)
    )
    return rows[:, :, None] & columns[:, None, :]
