"""Zoom-in against recorded crops, boxes and paste-backs, and against its plain form in numpy."""

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rsisrefiner_jax.interaction import zoom_in
from rsisrefiner_jax.interaction.clicks import Click, Clicks
from rsisrefiner_jax.interaction.padding import pad
from rsisrefiner_jax.ops.window import resample
from rsisrefiner_jax.protocol import PRESETS
from tests import plain_zoom_in
from tests.goldens import make_inputs

GOLDENS = Path(__file__).parent / "goldens"
GOLDEN = np.load(GOLDENS / "zoom_in.npz")
PAPER, RITM = PRESETS["paper"], PRESETS["ritm"]
SLOTS = 6
NO_ROI = np.full(4, -1, np.int32)


def slots(clicks) -> Clicks:
    yx = np.full((SLOTS, 2), -1, np.float32)
    label = np.full(SLOTS, -1, np.int32)
    for i, click in enumerate(clicks):
        yx[i], label[i] = click[:2], click.positive
    return Clicks(jnp.asarray(yx), jnp.asarray(label))


next_roi = jax.jit(zoom_in.next_roi, static_argnames="protocol")
cut = jax.jit(zoom_in.cut, static_argnames="side")
paste = jax.jit(zoom_in.paste, static_argnames="outside")
crop_size = jax.jit(jax.vmap(zoom_in.crop_size, (0, None, None)), static_argnums=(1, 2))
to_crop = jax.jit(jax.vmap(zoom_in.to_crop, (0, 0, 0, None)), static_argnums=3)


def move(roi, probs, clicks, protocol=PAPER, size=None):
    """The next crop, None for none, of a map that may be padded."""
    cropped = roi is not None
    size = np.array(size or probs.shape, np.int32)
    roi = np.array(roi if cropped else NO_ROI, np.int32)
    roi, cropped = next_roi(roi, cropped, probs, slots(clicks), size, protocol=protocol)
    return tuple(roi.tolist()) if cropped else None


def test_boxes_equal_the_reference():
    golden = GOLDEN["boxes"]
    assert len(golden) == 120
    side = int(golden[:, :2].max())

    def one(row):
        h, w, y0, y1, x0, x1, y, x = row
        at = jnp.arange(side)
        mask = ((y0 <= at) & (at <= y1))[:, None] & ((x0 <= at) & (at <= x1))[None]
        # (-1, -1) stands for no click, (0, 0) for a negative one.
        label = jnp.where(y < 0, -1, (y != 0) | (x != 0))
        clicks = Clicks(jnp.stack([y, x]).astype(jnp.float32)[None], label[None])
        return zoom_in.object_roi(mask, clicks, jnp.stack([h, w]), 1.4, 200)

    found = jax.jit(lambda rows: jax.lax.map(one, rows))(golden[:, :8].astype(np.int32))
    np.testing.assert_array_equal(found, golden[:, 8:])


def test_box_ious_equal_the_reference():
    for *boxes, expected in GOLDEN["box_iou"].tolist():
        a, b = jnp.array(boxes, jnp.int32).reshape(2, 4)
        assert zoom_in.overlaps(a, b, expected * (1 - 1e-6))
        assert not zoom_in.overlaps(a, b, expected * (1 + 1e-6) + 1e-12)


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
    # Padded: what lies below and to the right must not matter.
    shape = (640, 640)
    image, given_map = pad(image, shape, 99), pad(given_map, shape, 1)[..., None]
    probs, roi = np.zeros(shape, np.float32), None
    for step in range(len(golden["clicks"])):
        clicks = [Click(y, x, bool(p)) for y, x, p in golden["clicks"][: step + 1]]
        roi = move(roi, probs, clicks, protocol, (h, w))
        assert (roi or (-1, -1, -1, -1)) == tuple(golden["rois"][step].tolist())
        # Without a crop the reference keeps the image's own size.
        view, size = (roi, (target, target)) if roi else ((0, h - 1, 0, w - 1), (h, w))
        view, size = jnp.array(view, jnp.int32), jnp.array(size, jnp.int32)
        points = jnp.array([click[:2] for click in clicks], jnp.float32)
        np.testing.assert_allclose(
            zoom_in.to_crop(points, view, size), golden["tclicks"][step, : step + 1], rtol=1e-7
        )
        side = int(max(size))
        crop = [cut(image, view, size, side) / 255, cut(given_map, view, size, side)]
        crop = np.concatenate(crop, -1)[: size[0], : size[1]].transpose(2, 0, 1)
        assert crop.dtype == np.float32
        np.testing.assert_allclose(
            crop.flat[golden[f"step{step}/crop_idx"]], golden[f"step{step}/crop_val"], atol=1e-6
        )
        answer = np.full((*shape, 1), 0.02, np.float32)
        for y0, y1, x0, x1, value in golden[f"step{step}/prob_rects"]:
            answer[int(y0) : int(y1), int(x0) : int(x1)] = value
        network = cut(answer, view, size, side)[..., 0]
        new = paste(
            probs[None], network[None], view[None], size[None], outside=protocol.zoom_outside
        )
        probs = np.asarray(new[0])
        assert not probs[h:].any()
        assert not probs[:, w:].any()
        real = probs[:h, :w]
        np.testing.assert_allclose(
            real.flat[golden[f"step{step}/prob_idx"]], golden[f"step{step}/prob_val"], atol=1e-6
        )
        assert real.sum(dtype=np.float64) == pytest.approx(
            float(golden[f"step{step}/prob_sum"]), rel=1e-6
        )


# Many cases in one compiled call.
CASES, LARGEST = 64, 5000


@functools.cache
def boxes_of_lines(min_crop: int):
    """The expanded extents [n, 2] of lines: first and last True, a positive click, the length."""

    def one(first, last, click, sign, length):
        at = jnp.arange(LARGEST)
        mask = ((first <= at) & (at <= last))[None]
        yx = jnp.stack([0, click]).astype(jnp.float32)
        clicks = Clicks(yx[None], sign[None])
        size = jnp.stack([1, length])
        return zoom_in.object_roi(mask, clicks, size, 1.4, min_crop)[2:]

    return jax.jit(jax.vmap(one))


@settings(deadline=None, max_examples=50)
@given(
    hnp.arrays(np.int32, (CASES, 4), elements=st.integers(1, LARGEST)),
    hnp.arrays(np.int32, CASES, elements=st.integers(-1, 1)),
    st.sampled_from([1, 200]),
)
def test_boxes_equal_the_plain_ones_at_any_size(numbers, signs, min_crop):
    length = numbers[:, 0]
    first, last, click = np.minimum(numbers[:, 1:], length[:, None]).T - 1
    first, last = np.minimum(first, last), np.maximum(first, last)
    found = boxes_of_lines(min_crop)(first, last, click, signs, length)
    for i, side in enumerate(found.tolist()):
        low, high = int(first[i]), int(last[i])
        if signs[i] == 1:
            low, high = min(low, int(click[i])), max(high, int(click[i]))
        expected = plain_zoom_in.expand_box((0, 0, low, high), (1, int(length[i])), 1.4, min_crop)
        assert tuple(side) == expected[2:]
        assert 0 <= side[0] <= low <= high <= side[1] < length[i]


rois = hnp.arrays(np.int32, (CASES, 4), elements=st.integers(0, LARGEST - 1)).map(
    lambda x: np.concatenate([np.sort(x[:, :2]), np.sort(x[:, 2:])], 1)
)


@settings(deadline=None, max_examples=50)
@given(rois, st.sampled_from([400, 448]), st.booleans())
def test_crop_sizes_equal_the_plain_ones(roi, zoom_size, keep_aspect):
    expected = [plain_zoom_in.crop_size(r, zoom_size, keep_aspect) for r in roi.tolist()]
    found = crop_size(roi, zoom_size, keep_aspect)
    assert list(map(tuple, np.asarray(found).tolist())) == expected


@settings(deadline=None, max_examples=50)
@given(
    rois,
    hnp.arrays(np.int32, (CASES, 2), elements=st.integers(1, 448)),
    hnp.arrays(np.float32, (CASES, 3, 2), elements=st.floats(-50, 5050, width=32)),
)
def test_clicks_in_a_crop_equal_the_plain_ones(roi, crop, yx):
    found = np.asarray(to_crop(yx, roi, crop, None))
    mirrored = np.asarray(to_crop(yx, roi, crop, 448))
    for i in range(CASES):
        view, size = tuple(roi[i].tolist()), tuple(crop[i].tolist())
        expected = plain_zoom_in.to_crop(yx[i].astype(np.float64), view, size)
        # Equal, but for what is too small for a normal number: XLA takes that for zero.
        smallest = np.finfo(np.float32).tiny
        np.testing.assert_allclose(found[i], expected.astype(np.float32), rtol=0, atol=smallest)
        flipped = np.stack([expected[:, 0], 447 - expected[:, 1]], 1)
        np.testing.assert_allclose(mirrored[i], flipped, rtol=1e-6, atol=1e-4)
        back = plain_zoom_in.to_image(expected, view, size)
        np.testing.assert_allclose(back, yx[i], atol=1e-8)


@settings(deadline=None, max_examples=50)
@given(rois, rois)
def test_box_ious_equal_the_plain_ones(a, b):
    found = jax.vmap(lambda a, b: zoom_in.overlaps(a, b, 0.5))(a, b)
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    assert found.tolist() == [plain_zoom_in.box_iou(*pair) >= 0.5 for pair in pairs]


@st.composite
def window(draw, sides):
    """(first row, last row, first column, last column) within an image of these sides."""
    rows, columns = (draw(st.tuples(*[st.integers(0, side - 1)] * 2)) for side in sides)
    return np.array([*sorted(rows), *sorted(columns)], np.int32)


CANVAS = (40, 44)
blend = jax.jit(functools.partial(resample, size=CANVAS))


@pytest.mark.parametrize("shape", [(24, 30, 3), (70, 60, 1)])
def test_resampling_equals_the_plain_resize(shape):
    """Whether the canvas is larger than the image or smaller, the work is done in another order."""
    array = np.random.default_rng(0).random(shape, np.float32)

    @settings(deadline=None, max_examples=100)
    @given(window(shape[:2]), window(CANVAS))
    def check(source, target):
        canvas, inside = (np.asarray(x) for x in blend(array, source, target))
        assert canvas.dtype == np.float32
        expected_inside = np.zeros(CANVAS, bool)
        plain_zoom_in.cut(expected_inside, target)[...] = True
        np.testing.assert_array_equal(inside, expected_inside)
        height, width = target[1::2] - target[::2] + 1
        expected = plain_zoom_in.resize(plain_zoom_in.cut(array, source), height, width)
        np.testing.assert_allclose(plain_zoom_in.cut(canvas, target), expected, atol=3e-7)

    check()


@pytest.mark.parametrize("side", [64, 448])
def test_a_crop_of_the_network_s_size_is_sharp(side):
    """The crop's size is a constant of the program here, by which XLA would like to multiply."""
    whole = jax.jit(lambda x, roi: zoom_in.cut(x, roi, zoom_in.crop_size(roi, side, False), side))
    image = np.random.default_rng(0).random((600, 700, 1), np.float32)
    for roi in [(0, 16, 0, 239), (0, 599, 0, 699), (3, 500, 10, 11), (5, 5, 0, 400)]:
        expected = plain_zoom_in.resize(plain_zoom_in.cut(image, roi), side, side)
        found = whole(image, np.array(roi, np.int32))
        np.testing.assert_allclose(found, expected, atol=3e-7)


def _dense_resize(array, height, width):
    """The definition in float64: one interpolation matrix a side."""

    def matrix(length, resized):
        positions = np.linspace(0, length - 1, resized)
        return np.maximum(0, 1 - np.abs(positions[:, None] - np.arange(length)))

    rows, columns = matrix(array.shape[0], height), matrix(array.shape[1], width)
    return np.einsum("yi,xj,ij...->yx...", rows, columns, array.astype(np.float64))


def corner(height, width):
    return np.array([0, height - 1, 0, width - 1], np.int32)


@settings(deadline=None, max_examples=60)
@given(*[st.integers(1, 40)] * 4)
def test_resampling_is_bilinear_with_aligned_corners(h, w, height, width):
    array = np.random.default_rng(0).random((h, w, 3), np.float32)
    padded = pad(array, (40, 40), 9)
    resized, _ = blend(padded, corner(h, w), corner(height, width))
    expected = _dense_resize(array, height, width)
    np.testing.assert_allclose(resized[:height, :width], expected, atol=2e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 30), st.integers(1, 30))
def test_resampling_to_the_same_size_changes_nothing(h, w):
    array = np.random.default_rng(1).random((40, 40, 3), np.float32)
    resized, _ = blend(array, corner(h, w), corner(h, w))
    np.testing.assert_array_equal(resized[:h, :w], array[:h, :w])


def _probs(box, shape=(1000, 1000)):
    probs = np.zeros(shape, np.float32)
    plain_zoom_in.cut(probs, box)[...] = 1
    return probs


def test_the_crop_stays_until_the_object_moves():
    roi = (300, 500, 300, 500)
    near, far = _probs((390, 410, 390, 410)), _probs((600, 620, 600, 620))
    click = [Click(400, 400, True)]
    assert move(roi, near, click) == roi
    always = dataclasses.replace(PAPER, zoom_refresh="always", zoom_min_crop=10)
    assert move(roi, near, click, always) == (385, 415, 385, 415)
    assert move(roi, far, []) == (510, 710, 510, 710)
    never = dataclasses.replace(PAPER, zoom_recompute_iou=0.0)
    assert move(roi, far, [], never) == roi


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
    assert (move(roi, probs, [click], protocol) == roi) == stays


CUT_OFF = dataclasses.replace(PAPER, zoom_refresh="cut_off", zoom_min_crop=10)


@pytest.mark.parametrize(
    ("object_box", "roi", "follows"),
    [
        ((310, 490, 310, 490), (300, 500, 300, 500), False),  # it keeps clear of every edge
        ((300, 490, 310, 490), (300, 500, 300, 500), True),
        ((310, 500, 310, 490), (300, 500, 300, 500), True),
        ((310, 490, 300, 490), (300, 500, 300, 500), True),
        ((310, 490, 310, 500), (300, 500, 300, 500), True),
        ((0, 190, 0, 190), (0, 200, 0, 200), False),  # beyond those edges there is nothing
        ((810, 999, 810, 999), (800, 999, 800, 999), False),
    ],
)
def test_the_crop_follows_an_object_that_it_cuts_off(object_box, roi, follows):
    probs = _probs(object_box)
    click = [Click(object_box[0] + 20, object_box[2] + 20, True)]
    assert move(roi, probs, click) == roi  # the field's rule keeps it
    expected = plain_zoom_in.expand_box(object_box, probs.shape, 1.4, 10) if follows else roi
    assert move(roi, probs, click, CUT_OFF) == expected
    assert plain_zoom_in.next_roi(roi, probs, click, CUT_OFF) == expected


def test_skipped_clicks_see_the_whole_image():
    one, two = [Click(400, 400, True)], [Click(400, 400, True)] * 2
    probs = _probs((390, 410, 390, 410))
    assert move(None, probs, one, RITM) is None
    assert move(None, probs, two, RITM) == (300, 500, 300, 500)
    empty = np.zeros_like(probs)
    assert move(None, empty, two, RITM) is None
    assert move(None, empty, two, PAPER) == (0, 999, 0, 999)
    assert move(None, empty, two, PAPER, (700, 800)) == (0, 699, 0, 799)
    # A crop that is none stands for the whole image.
    roi, cropped = next_roi(
        NO_ROI, False, empty, slots(two), np.array([700, 800], np.int32), protocol=RITM
    )
    assert roi.tolist() == [0, 699, 0, 799]
    assert not cropped


def test_outside_the_crop():
    probs = np.full((1, 6, 6), 0.3, np.float32)
    roi, crop = np.array([[1, 2, 3, 4]], np.int32), np.array([[2, 2]], np.int32)
    answer = np.ones((1, 2, 2), np.float32)
    kept = paste(probs, answer, roi, crop, outside="keep")[0]
    zeroed = paste(probs, answer, roi, crop, outside="zero")[0]
    assert kept[0, 0] == np.float32(0.3)
    assert zeroed[0, 0] == 0
    for full in (kept, zeroed):
        np.testing.assert_array_equal(np.argwhere(full == 1), [[1, 3], [1, 4], [2, 3], [2, 4]])
    assert probs.max() == np.float32(0.3)


PASTED = (300, 1100)


@settings(deadline=None, max_examples=30)
@given(*[window(PASTED)] * 2, window((32, 32)), st.sampled_from(["keep", "zero"]))
def test_pasting_equals_the_plain_one(first, second, window, outside):
    """Two objects at once: the larger of their crops decides on the window that is written."""
    rng = np.random.default_rng(0)
    probs, answer = rng.random((2, *PASTED), np.float32), rng.random((2, 32, 32), np.float32)
    crop = np.array([[32, 32], window[1::2] + 1], np.int32)
    found = paste(probs, answer, np.stack([first, second]), crop, outside=outside)
    for i, roi in enumerate((first, second)):
        size = roi[1::2] - roi[::2] + 1
        new = plain_zoom_in.resize(answer[i, : crop[i, 0], : crop[i, 1]], *size.tolist())
        expected = plain_zoom_in.paste(probs[i], new, roi, outside)
        np.testing.assert_allclose(found[i], expected, atol=3e-7)


def test_crop_size():
    rois = np.array([[0, 99, 0, 199], [0, 0, 0, 999]], np.int32)
    assert crop_size(rois, 400, True).tolist() == [[200, 400], [1, 400]]
    assert crop_size(rois, 448, False).tolist() == [[448, 448], [448, 448]]
