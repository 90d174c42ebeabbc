"""The best and the worst next click, by trying positions in the error (arXiv 2402.06132).

TETRIS follows the gradient with respect to the position. The disks that most networks here draw
have sharp rims and so no gradient, and at a first click nothing else knows the position. So
positions are tried: half of them anywhere in the error, the others about the best so far. In a
small trial (7 states of 4 objects of NWPU VHR-10) 12 of them spanned IoUs of .290 to .509, thirds
that come ever nearer .294 to .502, 12 anywhere .286 to .497, 64 anywhere .262 to .516; centre
clicks had .462.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Key

from rsisrefiner_jax.interaction.annotator import uniform_pixel


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
    reach = jnp.sqrt(region.sum((1, 2), dtype=jnp.float32)) / 2

    def attempt(i: Array, so_far: tuple[Array, Array]) -> tuple[Array, Array]:
        value, at = so_far
        anywhere = 2 * i < search.candidates
        near = region & _near(at, jnp.where(anywhere, jnp.inf, reach), region.shape[1:])
        drawn = jax.vmap(uniform_pixel)(jax.vmap(jax.random.fold_in, (0, None))(keys, i), near)
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
