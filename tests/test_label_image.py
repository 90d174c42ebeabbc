"""Label pictures: stored values, palettes, and how colours become ids."""

import cv2
import numpy as np
import pytest
from PIL import Image

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.label_image import (
    components,
    instance_ids,
    is_palette,
    read_label_colours,
    read_labels,
)

COLOURS = np.array([[[0, 0, 0], [1, 2, 3], [255, 255, 255]]], np.uint8)  # RGB


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_values_are_as_stored(tmp_path, ending, kind):
    values = np.array([[0, 1, 7], [200, 254, np.iinfo(kind).max]], kind)
    path = str(tmp_path / f"m{ending}")
    cv2.imwrite(path, values)
    read = read_labels(path)
    assert read.dtype == kind
    np.testing.assert_array_equal(read, values)
    assert not is_palette(path)


@pytest.mark.parametrize("alpha", [False, True])
def test_colours_are_rgb(tmp_path, alpha):
    path = str(tmp_path / "m.png")
    pixels = np.dstack([COLOURS, np.full((1, 3), 9, np.uint8)]) if alpha else COLOURS
    Image.fromarray(pixels).save(path)
    np.testing.assert_array_equal(read_labels(path), COLOURS)
    np.testing.assert_array_equal(read_label_colours(path), COLOURS)


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("count", [4, 256])  # a PNG of 4 has 2 bits a pixel
def test_a_palette_gives_indices_and_colours(tmp_path, ending, count):
    path = str(tmp_path / f"m{ending}")
    values = np.array([[0, 1], [2, 3]], np.uint8)
    table = np.arange(3 * count).reshape(count, 3)[::-1] % 256
    picture = Image.fromarray(values).convert("P")
    picture.putpalette(table.astype(np.uint8).tobytes())
    picture.save(path)
    assert is_palette(path)
    np.testing.assert_array_equal(read_labels(path), values)
    np.testing.assert_array_equal(read_label_colours(path), table[values])


def test_white_of_one_bit_is_255(tmp_path):
    path = str(tmp_path / "m.png")
    Image.fromarray(np.eye(9, dtype=bool)).save(path)
    np.testing.assert_array_equal(read_labels(path), 255 * np.eye(9))


def test_unreadable_files_are_named(tmp_path):
    path = str(tmp_path / "m.png")
    with pytest.raises(UserError, match=r"m\.png: no such label picture"):
        read_labels(path)
    (tmp_path / "m.png").write_text("no picture")
    with pytest.raises(UserError, match=r"m\.png: not a label picture"):
        read_labels(path)
    path = str(tmp_path / "m.tif")
    cv2.imwrite(path, np.full((3, 4), 0.5, np.float32))
    with pytest.raises(UserError, match=r"m\.tif: values are float32 and not whole numbers"):
        read_labels(path)
    cv2.imwrite(path, np.full((3, 4), 7, np.float32))
    assert read_labels(path).tolist() == [[7] * 4] * 3


def test_a_cut_off_palette_png_is_named(tmp_path):
    path = tmp_path / "m.png"
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 9, (99, 99), np.uint8))
    picture.convert("P").save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError, match=r"m\.png: not a label picture"):
        read_labels(str(path))


def test_exact_ids():
    ids = instance_ids(COLOURS)
    assert ids.dtype == np.int32
    assert ids.tolist() == [[0, 1 + 256 * 2 + 65536 * 3, 2**24 - 1]]
    grey = np.array([[0, 65535]], np.uint16)
    assert instance_ids(grey).tolist() == instance_ids(grey, "wrapped").tolist() == [[0, 65535]]


def test_wrapped_ids_are_the_released_code_in_8_bits():
    colours = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    colours[0, 0] = (0, 1, 1)
    with np.errstate(over="ignore"):
        r, g, b = np.moveaxis(colours, -1, 0)
        low = b + np.uint8(255) * g  # uint8
        released = low.astype(np.uint16) + np.uint16(65025) * r.astype(np.uint16)
    ids = instance_ids(colours, "wrapped")
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids, released)
    assert ids[0, 0] == 0  # an object lost


def test_components():
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1]], bool)
    regions = components(mask)
    assert regions.dtype == np.int32
    assert regions.tolist() == [[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 0, 3]]
    assert not components(np.zeros((3, 3), bool)).any()
