"""Zoom-in against recorded crops, boxes and paste-backs, and its geometry."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsisrefiner_jax.evaluation import zoom_in
from rsisrefiner_jax.evaluation.clicker import Click
from rsisrefiner_jax.protocol import PRESETS
from tests.goldens import make_inputs

GOLDENS = Path(__file__).parent / "goldens"
GOLDEN = np.load(GOLDENS / "zoom_in.npz")
PAPER = PRESETS["paper"]


def test_boxes_equal_the_reference():
    assert len(GOLDEN["boxes"]) == 120
    for h, w, y0, y1, x0, x1, y, x, *expected in GOLDEN["boxes"].tolist():
        mask = np.zeros((h, w), bool)
        mask[y0 : y1 + 1, x0 : x1 + 1] = True
        # (-1, -1) stands for no click, (0, 0) for a negative one.
        clicks = [] if y < 0 else [Click(y, x, (y, x) != (0, 0))]
        assert zoom_in.object_roi(mask, clicks, 1.4, 200) == tuple(expected)


def test_box_ious_equal_the_reference():
    for *boxes, expected in GOLDEN["box_iou"].tolist():
        boxes = [int(side) for side in boxes]
        assert zoom_in.box_iou(tuple(boxes[:4]), tuple(boxes[4:])) == pytest.approx(expected)


@pytest.mark.parametrize("sequence", GOLDEN["sequences"].tolist())
def test_sequences_equal_the_reference(sequence):
    golden = {
        key.removeprefix(f"{sequence}/"): GOLDEN[key]
        for key in GOLDEN
        if key.startswith(f"{sequence}/")
    }
    seed, (h, w) = int(golden["image_seed"]), golden["size"].tolist()
    target, _, skip = golden["target_skip"].tolist()
    protocol = dataclasses.replace(PAPER, zoom_skip_clicks=skip)
    image, given_map = make_inputs.image(seed, h, w), make_inputs.prev_mask(seed, h, w)
    probs, roi = np.zeros((h, w), np.float32), None
    for step in range(len(golden["clicks"])):
        clicks = [Click(y, x, bool(p)) for y, x, p in golden["clicks"][: step + 1]]
        roi = zoom_in.next_roi(roi, probs, clicks, protocol)
        assert (roi or (-1, -1, -1, -1)) == tuple(golden["rois"][step].tolist())
        # Without a crop the reference keeps the image's own size.
        view, size = (roi, (target, target)) if roi else (zoom_in.whole((h, w)), (h, w))
        points = np.array([click[:2] for click in clicks])
        np.testing.assert_allclose(
            zoom_in.to_crop(points, view, size), golden["tclicks"][step, : step + 1], rtol=1e-12
        )
        crop = np.concatenate(
            [
                zoom_in.resize(zoom_in.cut(image, view), *size) / np.float32(255),
                zoom_in.resize(zoom_in.cut(given_map, view), *size)[..., None],
            ],
            axis=-1,
        ).transpose(2, 0, 1)
        assert crop.dtype == np.float32
        np.testing.assert_allclose(
            crop.flat[golden[f"step{step}/crop_idx"]], golden[f"step{step}/crop_val"], atol=1e-6
        )
        answer = np.full((h, w), 0.02, np.float32)
        for y0, y1, x0, x1, value in golden[f"step{step}/prob_rects"]:
            answer[int(y0) : int(y1), int(x0) : int(x1)] = value
        network = zoom_in.resize(zoom_in.cut(answer, view), *size)
        back = zoom_in.resize(network, view[1] - view[0] + 1, view[3] - view[2] + 1)
        probs = zoom_in.paste(probs, back, view, protocol.zoom_outside)
        np.testing.assert_allclose(
            probs.flat[golden[f"step{step}/prob_idx"]], golden[f"step{step}/prob_val"], atol=1e-6
        )
        assert probs.sum(dtype=np.float64) == pytest.approx(
            float(golden[f"step{step}/prob_sum"]), rel=1e-6
        )


def _dense_resize(array, height, width):
    """The definition in float64: one interpolation matrix a side."""

    def matrix(length, resized):
        positions = np.linspace(0, length - 1, resized)
        return np.maximum(0, 1 - np.abs(positions[:, None] - np.arange(length)))

    rows, columns = matrix(array.shape[0], height), matrix(array.shape[1], width)
    return np.einsum("yi,xj,ij...->yx...", rows, columns, array.astype(np.float64))


@settings(deadline=None, max_examples=40)
@given(*[st.integers(1, 40)] * 4, st.booleans())
def test_resize_is_bilinear_with_aligned_corners(h, w, height, width, color):
    array = np.random.default_rng(0).random((h, w, 3) if color else (h, w), np.float32)
    resized = zoom_in.resize(array, height, width)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, _dense_resize(array, height, width), atol=2e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 30), st.integers(1, 30))
def test_resizing_to_the_same_size_changes_nothing(h, w):
    array = np.random.default_rng(1).random((h, w), np.float32)
    np.testing.assert_array_equal(zoom_in.resize(array, h, w), array)


@st.composite
def image_and_box(draw):
    h, w = draw(st.integers(1, 900)), draw(st.integers(1, 900))
    rows = sorted(draw(st.tuples(st.integers(0, h - 1), st.integers(0, h - 1))))
    columns = sorted(draw(st.tuples(st.integers(0, w - 1), st.integers(0, w - 1))))
    return (h, w), (*rows, *columns)


@settings(deadline=None, max_examples=100)
@given(image_and_box())
def test_an_expanded_box_holds_the_box_and_stays_inside_the_image(case):
    shape, box = case
    top, bottom, left, right = zoom_in.expand_box(box, shape, 1.4, 200)
    assert 0 <= top <= box[0]
    assert box[1] <= bottom < shape[0]
    assert 0 <= left <= box[2]
    assert box[3] <= right < shape[1]


@settings(deadline=None, max_examples=50)
@given(image_and_box(), st.floats(-50, 950), st.floats(-50, 950), st.integers(1, 500))
def test_clicks_go_to_the_crop_and_back(case, y, x, side):
    _, roi = case
    point = np.array([y, x])
    back = zoom_in.to_image(zoom_in.to_crop(point, roi, (side, 448)), roi, (side, 448))
    np.testing.assert_allclose(back, point, atol=1e-9)


def _probs(box, shape=(1000, 1000)):
    probs = np.zeros(shape, np.float32)
    zoom_in.cut(probs, box)[...] = 1
    return probs


def test_the_crop_stays_until_the_object_moves():
    roi = (300, 500, 300, 500)
    near, far = _probs((390, 410, 390, 410)), _probs((600, 620, 600, 620))
    click = [Click(400, 400, True)]
    assert zoom_in.next_roi(roi, near, click, PAPER) == roi
    always = dataclasses.replace(PAPER, zoom_refresh="always", zoom_min_crop=10)
    assert zoom_in.next_roi(roi, near, click, always) == (385, 415, 385, 415)
    assert zoom_in.next_roi(roi, far, [], PAPER) == (510, 710, 510, 710)
    never = dataclasses.replace(PAPER, zoom_recompute_iou=0.0)
    assert zoom_in.next_roi(roi, far, [], never) == roi


@pytest.mark.parametrize(
    ("click", "stays"),
    [
        (Click(300, 300, True), True),
        (Click(499, 499, True), True),
        (Click(500, 400, True), False),
        (Click(400, 500, True), False),
        (Click(299, 400, True), False),
        (Click(900, 900, False), True),
    ],
)
def test_only_a_positive_click_outside_moves_the_crop(click, stays):
    roi, probs = (300, 500, 300, 500), _probs((390, 410, 390, 410))
    protocol = dataclasses.replace(PAPER, zoom_recompute_iou=0.0)
    assert (zoom_in.next_roi(roi, probs, [click], protocol) == roi) == stays


def test_skipped_clicks_see_the_whole_image():
    ritm = PRESETS["ritm"]
    one, two = [Click(400, 400, True)], [Click(400, 400, True)] * 2
    probs = _probs((390, 410, 390, 410))
    assert zoom_in.next_roi(None, probs, one, ritm) is None
    assert zoom_in.next_roi(None, probs, two, ritm) == (300, 500, 300, 500)
    empty = np.zeros_like(probs)
    assert zoom_in.next_roi(None, empty, two, ritm) is None
    assert zoom_in.next_roi(None, empty, two, PAPER) == (0, 999, 0, 999)


def test_outside_the_crop():
    probs = np.full((6, 6), 0.3, np.float32)
    crop, roi = np.ones((2, 2), np.float32), (1, 2, 3, 4)
    kept = zoom_in.paste(probs, crop, roi, "keep")
    zeroed = zoom_in.paste(probs, crop, roi, "zero")
    assert kept[0, 0] == np.float32(0.3)
    assert zeroed[0, 0] == 0
    assert kept[1:3, 3:5].min() == zeroed[1:3, 3:5].min() == 1
    assert probs.max() == np.float32(0.3)


def test_crop_size():
    assert zoom_in.crop_size((0, 99, 0, 199), 400, keep_aspect=True) == (200, 400)
    assert zoom_in.crop_size((0, 99, 0, 199), 448, keep_aspect=False) == (448, 448)
    assert zoom_in.crop_size((0, 0, 0, 999), 400, keep_aspect=True) == (1, 400)
