"""Probability-map modulation against numbers of the published code (modulation_new.py, MFP)."""

import contextlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.interaction.clicks import Clicks, empty
from rsisrefiner_jax.models.refiner.modulation import _lower_median, modulate

KINDS = ("improved", "original")
GOLDEN = {k: np.load(Path(__file__).parent / f"goldens/modulation_{k}.npz") for k in KINDS}
CAPACITY = 8  # the latest click of any case is its eighth

run = jax.jit(modulate, static_argnames=("kind", "group"))


def _clicks(points: np.ndarray, dtype: type | None = None) -> Clicks:
    """[b, 2n, 3] rows (y, x, order), the first n positive, order -1 unused; slot = order."""
    batch, rows, _ = points.shape
    yx = np.full((batch, CAPACITY, 2), -1, dtype or points.dtype)
    label = np.full((batch, CAPACITY), -1, np.int32)
    for sample, row in np.argwhere(points[..., 2] >= 0):
        y, x, order = points[sample, row]
        yx[sample, int(order)] = y, x
        label[sample, int(order)] = row < rows // 2
    return Clicks(jnp.asarray(yx), jnp.asarray(label))


def _case(kind: str, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """(map [96, 96], points, expected map, r_max)."""
    golden, key = GOLDEN[kind], f"{index:03d}/"
    before = golden["pool"][golden[key + "map"]].astype(np.float32) / np.float32(10000)
    for y, x, value in golden[key + "edits"]:
        before[y, x] = np.float32(value) / np.float32(10000)
    after = before.copy()
    after[_bits(golden[key + "changed"], before.shape)] = golden[key + "values"]
    return before, golden[key + "points"], after, float(golden[key + "N_Rmax"][1])


def _bits(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.unpackbits(packed, count=int(np.prod(shape))).reshape(shape).astype(bool)


def _run_case(kind: str, index: int, dtype: type | None = None) -> tuple[np.ndarray, np.ndarray]:
    before, points, after, r_max = _case(kind, index)
    out = run(before[None], _clicks(points[None], dtype), kind=kind, r_max=r_max)[0]
    return np.asarray(out), after


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_published_code(kind: str) -> None:
    undefined: dict[str, np.ndarray] = {}
    with jax.enable_x64(True):
        for index, name in enumerate(GOLDEN[kind]["names"]):
            out, after = _run_case(kind, index)
            known = ~np.isnan(after)
            np.testing.assert_allclose(out[known], after[known], atol=1e-5, err_msg=name)
            if not known.all():
                undefined[str(name)] = out[~known]
    # Where the published code divides zero by zero, pixels like the clicked one follow it.
    expected = {"pos_constant_map": 0.99, "neg_constant_map": 0.01, "neg_all_zero_map": 0.0}
    assert set(undefined) == (set(expected) if kind == "original" else set())
    for name, got in undefined.items():
        np.testing.assert_allclose(got, expected[name], atol=1e-6, err_msg=name)


# With float32 points the published code compares float64 distances with limits rounded to float32;
# where a limit falls below its true value, pixels exactly on the circle drop out of the window. In
# plain float32 both sides round alike and those pixels stay, as they do for float64 points.
ON_THE_CIRCLE = {
    "improved": {8, 10, 12, 13, 28, 47, 49, 51, 52, 67, 70},
    "original": {8, 10, 12, 13, 28, 34, 47, 49, 51, 52, 67, 70, 73},
}


@pytest.mark.parametrize("kind", KINDS)
def test_float32_differs_only_on_window_edges(kind: str) -> None:
    differ = set()
    for index, name in enumerate(GOLDEN[kind]["names"]):
        out, after = _run_case(kind, index, np.float32)
        assert np.isfinite(out).all(), name
        if np.nanmax(np.abs(out - after)) > 5e-5:
            differ.add(index)
    assert differ == ON_THE_CIRCLE[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_float32_agrees_with_float64(kind: str) -> None:
    for index, name in enumerate(GOLDEN[kind]["names"]):
        single, _ = _run_case(kind, index, np.float32)
        with jax.enable_x64(True):
            double, _ = _run_case(kind, index, np.float64)
        np.testing.assert_allclose(single, double, atol=5e-5, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_batch(kind: str) -> None:
    golden = GOLDEN[kind]
    before = golden["pool"][golden["batch2/maps"]].astype(np.float32) / np.float32(10000)
    after = before.copy()
    after[_bits(golden["batch2/changed"], before.shape)] = golden["batch2/values"]
    with jax.enable_x64(True):
        out = run(before, _clicks(golden["batch2/points"]), kind=kind, group=2)
    np.testing.assert_allclose(out, after, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_negative_coordinate_stops_its_group_only(kind: str) -> None:
    golden = GOLDEN[kind]
    before = golden["pool"][[0, 0, 0, 0]].astype(np.float32) / np.float32(10000)
    points = np.concatenate([golden["batch2_unchanged/points"], golden["batch2/points"]])
    out = np.asarray(run(before, _clicks(points), kind=kind, group=2))
    np.testing.assert_array_equal(out[:2], before[:2])
    assert (out[2] != before[2]).any()
    assert (out[3] != before[3]).any()
    alone = np.asarray(run(before, _clicks(points), kind=kind, group=1))
    np.testing.assert_array_equal(alone[0], before[0])
    assert (alone[1] != before[1]).any()


@pytest.mark.parametrize("context", [contextlib.nullcontext(), jax.enable_x64(True)])
@pytest.mark.parametrize("kind", KINDS)
def test_clicks_on_and_beyond_the_edge(
    kind: str, context: contextlib.AbstractContextManager
) -> None:
    before = np.full((3, 20, 30), 0.4, np.float32)
    yx = np.full((3, 4, 2), -1, np.float32)
    yx[:, 0] = [(19.7, 29.5), (20.0, 4.0), (4.0, 33.0)]  # rounds to the side; beyond; beyond
    label = np.full((3, 4), -1, np.int32)
    label[:, 0] = 1
    with context:
        out = np.asarray(run(before, Clicks(jnp.asarray(yx), jnp.asarray(label)), kind=kind))
    assert out[0, 19, 29] == 1
    assert np.isfinite(out).all()
    np.testing.assert_array_equal(out[1:], before[1:])


def test_no_clicks_or_no_kind_leave_the_map() -> None:
    prob = np.random.default_rng(0).random((2, 8, 9), np.float32)
    for kind in KINDS:
        np.testing.assert_array_equal(run(prob, empty(2, 3), kind=kind), prob)
    one = Clicks(jnp.full((2, 1, 2), 4.0), jnp.ones((2, 1), jnp.int32))
    assert (np.asarray(run(prob, one, kind="improved")) != prob).any()
    np.testing.assert_array_equal(run(prob, one, kind="none"), prob)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 57])
def test_lower_median(count: int) -> None:
    rng = np.random.default_rng(count)
    values = (rng.random((9, 11)) * 10.0 ** rng.integers(-30, 4, (9, 11))).astype(np.float32)
    values.flat[:3] = 0, 1000, values.flat[5]
    mask = np.zeros(99, bool)
    mask[rng.choice(99, count, replace=False)] = True
    expected = np.sort(values.ravel()[mask])[(count - 1) // 2]
    assert jax.jit(_lower_median)(values, mask.reshape(9, 11)) == expected
