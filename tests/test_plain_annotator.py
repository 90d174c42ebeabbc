"""The plain annotator against recorded clicks and an exact distance transform."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import distance_transform_edt

from tests.plain_annotator import Click, bounding_box, deepest, next_click

GOLDEN = np.load(Path(__file__).parent / "goldens" / "clicker.npz")
CASES = sorted({key.split("/")[0] for key in GOLDEN if key[:3].isdigit()})


def test_all_cases_are_there():
    assert len(CASES) == 70


@pytest.mark.parametrize("case", CASES)
def test_equals_the_reference(case):
    target = GOLDEN[f"{case}/gt"]
    mask = np.unpackbits(GOLDEN[f"{case}/pred"])[: target.size].reshape(target.shape).astype(bool)
    clicks = [Click(y, x, True) for y, x in GOLDEN[f"{case}/clicked"]]
    y, x, positive = GOLDEN[f"{case}/next_y_x_pos"]
    assert next_click(target, mask, clicks) == Click(y, x, bool(positive))


@settings(deadline=None, max_examples=50)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=30)))
def test_deepest_is_the_first_maximum_of_the_exact_distance(region):
    squared = np.rint(distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1] ** 2)
    y, x = np.unravel_index(squared.argmax(), squared.shape)
    assert deepest(region, []) == (squared[y, x], (y, x))


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 700), st.integers(0, 40), st.integers(0, 40))
def test_ties_resolve_at_any_size_and_place(side, top, left):
    region = np.zeros((side + 60, side + 60), bool)
    region[top : top + side, left : left + side] = True
    deep = (side + 1) // 2
    assert deepest(region, []) == (deep**2, (top + deep - 1, left + deep - 1))


def test_a_perfect_prediction_gets_a_negative_click_in_the_corner():
    target = np.zeros((9, 9), np.int8)
    target[2:5, 2:5] = 1
    assert next_click(target, target == 1) == Click(0, 0, False)


def test_equal_depth_is_a_negative_click():
    target = np.zeros((9, 20), np.int8)
    target[2:5, 2:5] = 1
    mask = np.zeros((9, 20), bool)
    mask[2:5, 12:15] = True
    assert next_click(target, mask) == Click(3, 13, False)


def test_ignored_pixels_are_never_clicked():
    target = np.full((9, 9), -1, np.int8)
    target[4, 4] = 1
    assert next_click(target, np.zeros((9, 9), bool)) == Click(4, 4, True)
    assert next_click(target, np.ones((9, 9), bool)) == Click(0, 0, False)


def test_clicked_pixels_are_not_clicked_again():
    target = np.zeros((5, 5), np.int8)
    target[2, 1:3] = 1
    empty = np.zeros((5, 5), bool)
    assert next_click(target, empty, [Click(2, 1, True)]) == Click(2, 2, True)
    both = [Click(2, 1, True), Click(2.0, 2.4, True)]
    assert next_click(target, empty, both) == Click(0, 0, False)


def test_bounding_box():
    mask = np.zeros((7, 9), bool)
    assert bounding_box(mask) is None
    mask[2, 3] = mask[5, 1] = True
    assert bounding_box(mask) == (2, 5, 1, 3)
