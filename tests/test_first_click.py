"""Targets and first clicks of training, against numbers from the reference implementation."""

import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from rsisrefiner_jax.config import Data
from rsisrefiner_jax.data.first_click import (
    click_candidates,
    draw_target,
    erode,
    hull,
    large_objects,
    loose,
)

GOLDEN = np.load(pathlib.Path(__file__).parent / "goldens" / "first_click_train.npz")
CASES = sorted({name.split("/")[0] for name in GOLDEN})
CLEAR = np.zeros((40, 60), bool)


def golden(case, name):
    height, width = GOLDEN[f"{case}/shape"]
    bits = np.unpackbits(GOLDEN[f"{case}/{name}"])[: height * width]
    return bits.reshape(height, width).astype(bool)


@pytest.mark.parametrize("case", CASES)
def test_candidates_and_erosion_equal_the_reference(case):
    mask = golden(case, "mask")
    np.testing.assert_array_equal(click_candidates(mask, 1.7), golden(case, "candidates"))
    np.testing.assert_array_equal(erode(mask), golden(case, "eroded"))


def test_goldens_are_all_there():
    assert len(CASES) == 14


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 1.5, 1.7, 2.0]))
def test_candidates_by_definition(seed, k):
    rng = np.random.default_rng(seed)
    mask = rng.random((30, 40)) < rng.uniform(0.5, 0.99)
    squared = np.rint(distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1] ** 2).astype(int)
    numerator = round(k * 10) ** 2
    expected = squared * numerator > squared.max() * 100
    np.testing.assert_array_equal(click_candidates(mask, k), expected)


def scene():
    """Three objects in two layers: 7 (20 x 20), 9 (20 x 25, overlapping 7), 8 (3 x 3)."""
    labels = np.zeros((40, 60, 2), np.int32)
    labels[5:25, 5:25, 0] = 7
    labels[30:33, 50:53, 0] = 8
    labels[15:35, 20:45, 1] = 9
    return labels


def test_large_objects():
    assert large_objects(scene(), 9) == [(0, 7), (0, 8), (1, 9)]
    assert large_objects(scene(), 10) == [(0, 7), (1, 9)]
    assert large_objects(scene(), 501) == []


def draws(labels, ignore, config, count=300):
    return [
        draw_target(labels, ignore, config, np.random.default_rng(seed)) for seed in range(count)
    ]


def test_one_object_is_chosen_and_clicked_inside():
    labels, config = scene(), Data(merge_objects=0)
    areas = []
    for target, click in draws(labels, CLEAR, config):
        assert target.dtype == np.int8
        assert click.dtype == np.float32
        areas.append(int(target.sum()))
        y, x = click.astype(int)
        # Eroded or not, the click lies well inside: deeper than 10 px / 1.7.
        assert target[y - 3 : y + 4, x - 3 : x + 4].all()
    assert set(areas) == {400, 500}  # never the small one
    assert 110 < areas.count(400) < 190


def test_two_objects_are_merged_as_often_as_asked():
    labels = scene()
    union = 400 + 500 - 10 * 5
    merged = [target.sum() == union for target, _ in draws(labels, CLEAR, Data())]
    assert 25 < sum(merged) < 70  # 0.15 of 300
    always = draws(labels, CLEAR, Data(merge_objects=1))
    assert all(target.sum() == union for target, _ in always)
    only_left = sum(click[1] < 20 for _, click in always)
    assert 60 < only_left < 240  # either one may be the first, which takes the click
    single = np.where(labels == 7, 7, 0)
    assert all(t.sum() == 400 for t, _ in draws(single, CLEAR, Data(merge_objects=1), 20))


def test_erosion_moves_the_clicks_inward():
    labels = np.zeros((60, 60, 1), np.int32)
    labels[0:30, 10:50] = 1  # touches the edge of the picture, where nothing is eroded

    def lowest_click(erode_objects):
        config = Data(erode_objects=erode_objects, first_click_k=100)
        return max(click[0] for _, click in draws(labels, np.zeros((60, 60), bool), config))

    assert lowest_click(0) == 29
    assert lowest_click(1) == 26


def test_ignored_pixels_are_marked_and_never_clicked():
    ignore = CLEAR.copy()
    ignore[:, 12:30] = True
    for target, click in draws(scene(), ignore, Data(min_object_area=100), 50):
        np.testing.assert_array_equal(target == -1, ignore)
        assert not ignore[tuple(click.astype(int))]
        assert set(np.unique(target)) == {-1, 0, 1}


def test_nothing_to_learn_from():
    rng = np.random.default_rng(0)
    full = np.ones((40, 60, 1), np.int32)
    assert draw_target(scene(), CLEAR, Data(min_object_area=501), rng) is None
    assert draw_target(np.zeros_like(full), CLEAR, Data(), rng) is None
    assert draw_target(full, CLEAR, Data(), rng) is None
    assert draw_target(scene(), ~CLEAR, Data(), rng) is None


def test_the_hull_of_neighbours_as_target():
    labels = np.zeros((60, 60, 1), np.int32)
    labels[10:20, 5:15], labels[10:20, 25:35], labels[10:20, 45:55] = 1, 2, 3
    targets = draws(
        labels, np.zeros((60, 60), bool), Data(merge_objects=0, hull_objects=1, min_object_area=50)
    )
    areas = {int(target.sum()) for target, _ in targets}
    assert areas == {100, 300, 500}  # one, two neighbours and what lies between, all three
    assert all(target[tuple(click.astype(int))] == 1 for target, click in targets)
    none = draws(labels, np.zeros((60, 60), bool), Data(merge_objects=0, min_object_area=50))
    assert {int(target.sum()) for target, _ in none} == {100}
    hidden = np.zeros((60, 60), bool)
    hidden[:, 17:22] = True
    for target, _ in draws(
        labels, hidden, Data(merge_objects=0, hull_objects=1, min_object_area=50), 50
    ):
        assert (target[hidden] == -1).all()


@given(st.integers(0, 2**32 - 1))
def test_a_hull_contains_what_lies_between_its_points(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((30, 40), bool)
    ends = rng.integers(0, (30, 40), (int(rng.integers(1, 5)), 2))
    mask[tuple(ends.T)] = True
    middle = np.rint((ends[0] + ends[-1]) / 2).astype(int)
    around = hull(mask)
    assert around[mask].all()
    near = around[max(middle[0] - 1, 0) : middle[0] + 2, max(middle[1] - 1, 0) : middle[1] + 2]
    assert near.any()
    assert around.sum() <= np.prod(np.ptp(ends, axis=0) + 1)


def test_a_loose_outline_has_few_corners_and_stays_near():
    mask = np.zeros((120, 120), bool)
    yy, xx = np.mgrid[:120, :120]
    mask[(yy - 60) ** 2 + (xx - 60) ** 2 < 40**2] = True
    for seed in range(20):
        drawn = loose(mask, np.random.default_rng(seed))
        iou = (drawn & mask).sum() / (drawn | mask).sum()
        assert 0.6 < iou < 1
        far = distance_transform_edt(~mask)
        assert far[drawn].max() < 9
        assert distance_transform_edt(mask)[~drawn].max() < 9


def test_loose_outlines_as_often_as_asked():
    plain = draws(scene(), CLEAR, Data(merge_objects=0))
    some = draws(scene(), CLEAR, Data(merge_objects=0, loose_objects=0.5))
    changed = sum(int(target.sum()) not in (400, 500) for target, _ in some)
    assert all(int(target.sum()) in (400, 500) for target, _ in plain)
    assert 60 < changed < 200
    assert all(target[tuple(click.astype(int))] == 1 for target, click in some)
