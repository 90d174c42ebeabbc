"""Work on some rows of a batch: those and no others, whatever the number of rows at a time."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.ops.rows import on_rows, rounds

BATCH = 5
SUBSETS = np.array(list(itertools.product([False, True], repeat=BATCH)))
RNG = np.random.default_rng(0)
GIVEN = {"image": jnp.asarray(RNG.random((BATCH, 2, 3), np.float32)), "number": jnp.arange(BATCH)}
STATE = {"value": jnp.asarray(RNG.random((BATCH, 3), np.float32)), "times": jnp.zeros(BATCH, int)}


@functools.cache
def updated(size: int) -> dict[str, np.ndarray]:
    """STATE after `on_rows` on every subset of rows: [subset, b, ...]."""

    def update(given, state):
        assert given["image"].shape == (size, 2, 3)
        assert state["value"].shape == (size, 3)
        more = given["image"].sum(1) + given["number"][:, None].astype(jnp.float32)
        return {"value": state["value"] / 3 + more, "times": state["times"] + 1}

    one = jax.jit(lambda where: on_rows(update, GIVEN, STATE, where, size))
    results = [jax.tree.map(np.asarray, one(where)) for where in SUBSETS]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *results)


@pytest.mark.parametrize("size", range(1, BATCH + 1))
def test_the_chosen_rows_are_updated_once_and_the_others_never(size):
    result = updated(size)
    np.testing.assert_array_equal(result["times"], SUBSETS)
    expected = np.asarray(STATE["value"] / 3 + GIVEN["image"].sum(1)) + np.arange(BATCH)[:, None]
    for where, value in zip(SUBSETS, result["value"], strict=True):
        np.testing.assert_array_equal(value[~where], np.asarray(STATE["value"])[~where])
        np.testing.assert_allclose(value[where], expected[where], rtol=1e-6)


@pytest.mark.parametrize("size", range(2, BATCH + 1))
def test_how_many_rows_at_a_time_changes_nothing(size):
    np.testing.assert_array_equal(updated(size)["value"], updated(1)["value"])


def test_rows_keep_their_places():
    take = jax.jit(
        lambda where: on_rows(lambda g, s: g, jnp.arange(BATCH), jnp.full(BATCH, -1), where, 2)
    )
    for where in SUBSETS:
        np.testing.assert_array_equal(take(where), np.where(where, np.arange(BATCH), -1))


def test_rounds():
    counts = [int(rounds(jnp.int32(rows), 2)) for rows in range(6)]
    assert counts == [0, 1, 1, 2, 2, 3]
