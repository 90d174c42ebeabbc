"""Work on some rows of a batch only, so that what is finished costs nothing."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

Tree = TypeVar("Tree")


def on_rows(
    update: Callable[[Any, Tree], Tree],
    given: Any,
    state: Tree,
    where: Array,
    size: int,
    before: Array | None = None,
) -> Tree:
    """`state` with `update` applied to the rows where `where`, `size` rows at a time.

    `update` takes rows [size, ...] of `given` and of `state` and returns those of `state`. It
    sees every chosen row once, and possibly others, whose result is dropped. Its shapes do not
    depend on the batch, so neither do its results. A loop even where one round is enough: XLA
    runs the branches of a condition on a single CPU core.

    Args:
        given, state: trees of arrays [b, ...].
        where: bool [b].
        size: 1 .. b.
        before: bool [b]: chosen rows that are taken before the others, so that rows which are
            alike share a round.
    """
    batch = where.shape[0]
    turn = 1 if before is None else jnp.where(before, 0, 1)
    order = jnp.where(where, turn, 2)
    chosen = jnp.argsort(order, stable=True)
    chosen = jnp.concatenate([chosen, jnp.broadcast_to(chosen[:1], (size,))])
    total = where.sum(dtype=jnp.int32)

    def round_(i: Array, state: Tree) -> Tree:
        rows = jax.lax.dynamic_slice_in_dim(chosen, i * size, size)
        real = i * size + jnp.arange(size) < total
        old = jax.tree.map(lambda x: _take(x, rows), (given, state))
        return jax.tree.map(lambda x, y: _put(x, rows, real, y, batch), state, update(*old))

    return jax.lax.fori_loop(0, rounds(total, size), round_, state)


def rounds(rows: Array, size: int) -> Array:
    """How many times `on_rows` calls its update for this many rows."""
    return (rows + size - 1) // size


def _take(x: Array, rows: Array) -> Array:
    """x [b, ...] -> its rows [n, ...]; a slice is cheaper than a gather."""
    if len(rows) == 1:
        return jax.lax.dynamic_slice_in_dim(x, rows[0], 1)
    return x.at[rows].get(mode="promise_in_bounds")


def _put(x: Array, rows: Array, real: Array, values: Array, batch: int) -> Array:
    """x [b, ...] with `values` [n, ...] in those of its rows that are `real`."""
    if len(rows) == 1:  # always real
        return jax.lax.dynamic_update_slice_in_dim(x, values.astype(x.dtype), rows[0], 0)
    return x.at[jnp.where(real, rows, batch)].set(values, mode="drop")
