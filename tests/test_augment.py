"""Each change of a training picture against its definition."""

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsisrefiner_jax.config import Augment
from rsisrefiner_jax.data import augment as A

NEVER = Augment(
    scale=(1, 1), flip=0, rotate90=0, shift_rotate=0, brightness_contrast=0, rgb_shift=0
)
sides = st.integers(2, 12)


def numbered(height, width):
    return np.arange(1, height * width + 1, dtype=np.int32).reshape(height, width)


def moved(pixels, matrix, size):
    """`pixels` under an exact (integer) matrix, by its definition, one pixel at a time."""
    out = np.zeros(size, pixels.dtype)
    for y, x in np.ndindex(pixels.shape):
        to_x, to_y, _ = matrix @ (x, y, 1)
        out[round(to_y), round(to_x)] = pixels[y, x]
    return out


@settings(deadline=None, max_examples=20)
@given(sides, sides, st.booleans(), st.booleans())
def test_flip(height, width, vertical, horizontal):
    a = numbered(height, width)
    expected = a[:: -1 if vertical else 1, :: -1 if horizontal else 1]
    matrix = A.flip_matrix(a.shape, vertical, horizontal)
    np.testing.assert_array_equal(moved(a, matrix, a.shape), expected)


@settings(deadline=None, max_examples=20)
@given(sides, sides, st.integers(0, 3))
def test_rotate90(height, width, turns):
    a = numbered(height, width)
    expected = np.rot90(a, turns)
    matrix = A.rotate90_matrix(a.shape, turns)
    np.testing.assert_array_equal(moved(a, matrix, expected.shape), expected)


@pytest.mark.parametrize("new_size", [(60, 60), (90, 66), (100, 75)])
def test_resize_equals_opencv(new_size):
    noise = np.random.default_rng(0).integers(0, 256, (80, 60, 3), dtype=np.uint8)
    a = cv2.GaussianBlur(noise, (5, 5), 0)
    expected = cv2.resize(a, new_size[::-1], interpolation=cv2.INTER_LINEAR)
    got = A.warp(a, A.resize_matrix(a.shape[:2], new_size), 60, cv2.INTER_LINEAR)
    difference = np.abs(got[1:-1, 1:-1].astype(int) - expected[1:59, 1:59])
    assert difference.max() <= 3
    assert difference.mean() < 0.5


def test_shift_rotate():
    matrix = A.shift_rotate_matrix((101, 201), dy=5, dx=-2, degrees=90)
    np.testing.assert_allclose(matrix @ (100, 50, 1), (98, 55, 1))  # the centre only shifts
    np.testing.assert_allclose(matrix @ (110, 50, 1), (98, 45, 1), atol=1e-9)  # right goes up


def test_warp_keeps_large_ids_and_puts_zeros_around():
    a = np.full((5, 7), 2**31 - 1, np.int32)
    out = A.warp(a, A.translation_matrix(2, 1), 9, cv2.INTER_NEAREST)
    expected = np.zeros((9, 9), np.int32)
    expected[2:7, 1:8] = 2**31 - 1
    np.testing.assert_array_equal(out, expected)


def test_warp_of_a_part_equals_warp_of_the_whole():
    rng = np.random.default_rng(1)
    a = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    matrix = A.translation_matrix(-120, -150) @ A.shift_rotate_matrix((300, 400), 3, 2, 3)
    for interpolation in (cv2.INTER_LINEAR, cv2.INTER_NEAREST):
        whole = cv2.warpAffine(a, matrix[:2], (64, 64), flags=interpolation)
        part = A.warp(a, matrix, 64, interpolation)
        assert (whole != part).mean() < 0.02  # roundings of the fixed-point warp
        assert np.abs(whole.astype(int) - part).mean() < 0.5


def test_warp_outside_the_picture_is_empty():
    a = np.full((10, 10), 5, np.uint8)
    assert not A.warp(a, A.translation_matrix(500, -500), 8, cv2.INTER_NEAREST).any()


def test_brightness_contrast_truncates_and_clips():
    values = np.array([0, 3, 100, 250], np.uint8)
    assert A.brightness_contrast(values, 0.1, 0.25).tolist() == [25, 29, 150, 255]
    assert A.brightness_contrast(values, -0.25, -0.1).tolist() == [0, 0, 26, 161]


def test_rgb_shift_truncates_and_clips():
    values = np.array([[0, 100, 250]], np.uint8)
    assert A.rgb_shift(values, np.array([-5, 2.7, 9.9])).tolist() == [[0, 102, 255]]
    assert A.rgb_shift(values, np.array([1.5, -0.5, -0.5])).tolist() == [[1, 99, 249]]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_crop_and_padding_without_other_changes(height, width, seed):
    crop = 20
    labels = numbered(height, width)
    image = np.repeat((labels % 251 + 1)[..., None], 3, axis=-1).astype(np.uint8)
    ignore = labels % 3 == 0
    layers = np.stack([labels, labels[::-1]], axis=-1)
    out, out_layers, out_ignore = A.augment(
        image, layers, ignore, crop, NEVER, np.random.default_rng(seed)
    )
    assert out.shape == (crop, crop, 3)
    assert out.dtype == np.uint8
    assert out_layers.shape == (crop, crop, 2)
    assert out_layers.dtype == np.int32
    assert out_ignore.dtype == bool
    seen = out_layers[..., 0]
    assert (seen > 0).sum() == min(height, crop) * min(width, crop)
    rows, columns = np.nonzero(seen)
    box = seen[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    y, x = np.argwhere(labels == box[0, 0])[0]
    np.testing.assert_array_equal(box, labels[y : y + box.shape[0], x : x + box.shape[1]])
    # Picture, layers and ignore move together; padding is black background, not ignored.
    np.testing.assert_array_equal(out[..., 0], np.where(seen > 0, seen % 251 + 1, 0))
    np.testing.assert_array_equal(out_ignore, (seen > 0) & (seen % 3 == 0))
    if height < crop:
        assert rows.min() == (crop - height) // 2


def test_everything_at_once_equals_the_steps_one_by_one():
    """The single warp against resize, flip, turn, shift and rotate, crop with OpenCV and numpy."""
    rng = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(rng.normal(0, 1, (200, 260, 3)), (0, 0), 4)
    image = np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    resized = cv2.resize(image, (300, 231), interpolation=cv2.INTER_LINEAR)
    turned = np.ascontiguousarray(np.rot90(resized[::-1], 3))
    centre = ((231 - 1) / 2, (300 - 1) / 2)
    step = cv2.getRotationMatrix2D(centre, 2.5, 1)
    step[:, 2] += (4, -6)
    expected = cv2.warpAffine(turned, step, (231, 300))[100:228, 60:188]
    matrix = (
        A.translation_matrix(-100, -60)
        @ A.shift_rotate_matrix((300, 231), -6, 4, 2.5)
        @ A.rotate90_matrix((231, 300), 3)
        @ A.flip_matrix((231, 300), True, False)
        @ A.resize_matrix((200, 260), (231, 300))
    )
    got = A.warp(image, matrix, 128, cv2.INTER_LINEAR)
    difference = np.abs(got.astype(int) - expected)
    assert difference.mean() < 1
    assert np.percentile(difference, 99) <= 4
    assert np.std(expected) > 20  # the picture has something to compare


def test_the_same_generator_gives_the_same_picture_and_probabilities_hold():
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    labels, ignore = np.ones((40, 30, 1), np.int32), np.zeros((40, 30), bool)

    def once(seed, config=Augment()):
        return A.augment(image, labels, ignore, 32, config, np.random.default_rng(seed))

    for first, second in zip(once(3), once(3), strict=True):
        np.testing.assert_array_equal(first, second)
    assert (once(3)[0] != once(4)[0]).any()

    identity = np.arange(256)[None, :, None]
    changed = sum(
        (A.random_colours(Augment(rgb_shift=0), np.random.default_rng(i)) != identity).any()
        for i in range(400)
    )
    assert 260 < changed < 340  # 0.75 of 400


def test_geometry_spreads_as_configured():
    """Flips three ways alike; quarter turns 0 to 3 alike, half of the time."""
    orientations: dict[tuple[int, ...], int] = {}
    for seed in range(2000):
        config = Augment(scale=(1, 1), shift_rotate=0)
        matrix = A.random_geometry((9, 9), 9, config, np.random.default_rng(seed))
        key = tuple(matrix[:2, :2].round().astype(int).ravel().tolist())
        orientations[key] = orientations.get(key, 0) + 1
    assert len(orientations) == 8
    turn, flip = 0.5 / 4, 0.5 / 3
    identity = 0.5 * (1 - 3 * turn) + flip * turn  # the last: both flips undo a half turn
    assert orientations[1, 0, 0, 1] / 2000 == pytest.approx(identity, abs=0.04)


def geometries(size, crop, count=1500, **config):
    """Random matrices [count, 3, 3] of a picture, all changes off but those given."""
    config = dataclasses.replace(NEVER, **config)
    rngs = map(np.random.default_rng, range(count))
    return np.array([A.random_geometry(size, crop, config, rng) for rng in rngs])


def spread(values, low, high, slack):
    """Whether values fill low..high evenly."""
    quarters = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    return np.abs(quarters - np.linspace(low, high, 5)).max() < slack


def test_scale_is_drawn_from_its_range():
    matrices = geometries((1000, 1000), 448, scale=Augment().scale)
    assert spread(matrices[:, 0, 0], 0.75, 1.25, 0.03)
    np.testing.assert_array_equal(matrices[:, 0, 0], matrices[:, 1, 1])  # both sides alike


def test_shift_and_rotation_are_drawn_from_their_ranges():
    height, width = 400, 200
    matrices = geometries((height, width), 500, shift_rotate=Augment().shift_rotate)
    padding = -((500 - width) // 2), -((500 - height) // 2)
    centre = np.array([(width - 1) / 2, (height - 1) / 2, 1])
    moved = (matrices @ centre)[:, :2] + padding - centre[:2]  # x, y
    changed = np.abs(moved).max(1) > 1e-9
    assert 0.72 < changed.mean() < 0.78
    assert spread(moved[changed, 0], -0.03 * width, 0.03 * width, 0.6)
    assert spread(moved[changed, 1], -0.03 * height, 0.03 * height, 1.2)
    degrees = np.degrees(np.arctan2(matrices[changed, 0, 1], matrices[changed, 0, 0]))
    assert spread(degrees, -3, 3, 0.3)


def test_crops_are_drawn_evenly():
    matrices = geometries((30, 24), 20)
    assert np.bincount(-matrices[:, 1, 2].astype(int), minlength=11).min() > 90  # 1500 / 11
    assert np.bincount(-matrices[:, 0, 2].astype(int), minlength=5).min() > 240
    assert (matrices[:, :2, 2] <= 0).all()


def tables(count=1500, **config):
    """What becomes of values 0 to 255: [count, 256, 3]."""
    config = dataclasses.replace(NEVER, **config)
    rngs = map(np.random.default_rng, range(count))
    return np.stack([A.random_colours(config, rng)[0] for rng in rngs]).astype(float)


def test_brightness_and_contrast_are_drawn_from_their_ranges():
    table = tables(brightness_contrast=Augment().brightness_contrast)
    np.testing.assert_array_equal(table[..., 0], table[..., 2])  # all channels alike
    changed = (table[..., 0] != np.arange(256)).any(1)
    assert 0.72 < changed.mean() < 0.78
    factor = (table[changed, 110, 0] - table[changed, 60, 0]) / 50
    brightness = (table[changed, 80, 0] + 0.5 - 80 * factor) / 255
    assert spread(factor[table[changed, 60, 0] > 0], 0.85, 1.4, 0.06)
    assert spread(brightness[table[changed, 60, 0] > 0], -0.25, 0.25, 0.06)


def test_shifts_of_the_channels_are_drawn_from_their_range():
    table = tables(rgb_shift=Augment().rgb_shift)
    shift = table[:, 100] + 0.5 - 100  # values are truncated
    changed = (table != np.arange(256)[:, None]).any((1, 2))
    assert 0.72 < changed.mean() < 0.78
    for channel in range(3):
        assert spread(shift[changed, channel], -10, 10, 1)
    correlation = np.corrcoef(shift[changed].T)
    assert np.abs(correlation[[0, 0, 1], [1, 2, 2]]).max() < 0.1  # each by itself


@settings(deadline=None, max_examples=60)
@given(
    st.integers(40, 120),
    st.integers(40, 120),
    st.floats(0.05, 0.9),
    st.integers(0, 2**31),
)
def test_a_zoomed_crop_is_filled_and_holds_its_object(height, width, share, seed):
    rng = np.random.default_rng(seed)
    box = np.array([rng.integers(height // 2), rng.integers(width // 2), 9, 15])
    config = dataclasses.replace(
        NEVER, scale=(0.2, 4.0), zoom=(share, share), aspect=1.4, flip=0.5, rotate90=0.5
    )
    matrix = A.zoom_geometry((height, width), box, 64, config, rng)
    picture = A.warp(np.full((height, width), 255, np.uint8), matrix, 64, cv2.INTER_NEAREST)
    assert (picture > 0).mean() > 0.99  # the outermost row may round away
    mask = np.zeros((height, width), np.uint8)
    mask[box[0] : box[0] + box[2], box[1] : box[1] + box[3]] = 1
    whole = A.warp(np.pad(mask, 400), matrix @ A.translation_matrix(-400, -400), 64, 0)
    assert whole.any()
    corners = matrix @ [[box[1], box[1] + 14], [box[0], box[0] + 8], [1, 1]]
    sides = np.sort(np.abs(corners[:2, 1] - corners[:2, 0]))
    if (sides < 60).all():  # it fits
        assert (corners[:2].min(1) > -1.5).all()
        assert (corners[:2].max(1) < 64.5).all()


def test_a_box_is_that_of_an_object():
    labels = np.zeros((20, 30, 1), np.int32)
    labels[4:9, 7:12, 0] = 3
    rng = np.random.default_rng(0)
    assert A.random_box(labels, rng).tolist() == [4, 7, 5, 5]
    assert A.random_box(np.zeros_like(labels), rng).tolist() == [0, 0, 20, 30]
