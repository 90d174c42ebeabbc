"""Folders of pictures and masks: how they pair, what is an object, what is said about bad ones."""

import cv2
import numpy as np
import pytest
from PIL import Image

from rsisrefiner_jax.data.mask_folders import ClassFolderSource, InstanceFolderSource
from rsisrefiner_jax.errors import UserError

H, W = 6, 8
BLUE, GREEN = (0, 0, 255), (0, 255, 0)


@pytest.fixture
def write(tmp_path):
    """write("folder/name.png", pixels (RGB or grey) or one value): the folder's path."""

    def write(name, pixels=0):
        if np.ndim(pixels) < 2:
            pixels = np.full((H, W, 3), pixels, np.uint8)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        order = [2, 1, 0, 3][: pixels.shape[-1]]
        cv2.imwrite(str(path), pixels if pixels.ndim == 2 else pixels[..., order])
        return str(path.parent)

    return write


def grey(*values, kind=np.uint8):
    """A mask whose first row starts with these values."""
    mask = np.zeros((H, W), kind)
    mask[0, : len(values)] = values
    return mask


def names(source):
    return [source[i].name for i in range(len(source))]


def test_scenes_of_ids(write):
    images = write("images/b.png", 7)
    write("images/a.jpg", 9)
    masks = write("masks/a.png", grey(0, 300, 2, 300, kind=np.uint16))
    write("masks/b.png", grey())
    source = InstanceFolderSource(images, masks)
    scene = source[0]
    assert names(source) == ["a.jpg", "b.png"]
    assert scene.labels.shape == (H, W, 1)
    assert scene.labels.dtype == np.int32
    assert [(item.id, item.layer, item.category) for item in scene.objects] == [
        (2, 0, ""),
        (300, 0, ""),
    ]
    assert scene.mask(scene.objects[1]).sum() == 2
    assert not scene.ignore.any()
    assert source[1].objects == ()  # kept


def test_ids_of_colours(write):
    pixels = np.zeros((H, W, 3), np.uint8)
    pixels[0, 0] = (0, 1, 1)
    pixels[0, 1] = (5, 0, 0)
    images, masks = write("images/a.png"), write("masks/a.png", pixels)
    exact = InstanceFolderSource(images, masks)[0]
    assert [item.id for item in exact.objects] == [5, 256 + 65536]
    wrapped = InstanceFolderSource(images, masks, decode="wrapped")[0]
    assert [item.id for item in wrapped.objects] == [5 * 65025 % 65536]


def test_transparent_pixels_are_ignored(write):
    pixels = np.full((H, W, 4), 200, np.uint8)
    pixels[1, 2:4, 3] = 0
    images, masks = write("images/a.png", pixels), write("masks/a.png", grey(1))
    assert np.argwhere(InstanceFolderSource(images, masks)[0].ignore).tolist() == [[1, 2], [1, 3]]


def test_regions_of_a_class_touch_at_corners(write):
    mask = grey(2, 0, 0, 2, 3)
    mask[1, 1] = 2
    mask[4:] = 9
    source = ClassFolderSource(write("images/a.png"), write("masks/a.png", mask), "2", ignore=9)
    scene = source[0]
    assert [(item.id, item.category) for item in scene.objects] == [(1, "2"), (2, "2")]
    assert scene.mask(scene.objects[0]).sum() == 2
    np.testing.assert_array_equal(scene.ignore, mask == 9)


def test_class_by_colour(write):
    pixels = np.zeros((H, W, 3), np.uint8)
    pixels[0, :2], pixels[3, 3], pixels[5, 5] = BLUE, GREEN, (3, 3, 3)
    images, masks = write("images/a.png"), write("masks/a.png", pixels)
    assert ClassFolderSource(images, masks, "#0000ff")[0].labels.sum() == 2
    assert ClassFolderSource(images, masks, "#00FF00", "#0000FF")[0].ignore.sum() == 2
    assert ClassFolderSource(images, masks, 3)[0].labels.sum() == 1


def test_class_of_a_palette_by_index_and_by_colour(write, tmp_path):
    images, masks = write("images/a.png"), write("masks/a.png")
    picture = Image.fromarray(grey(1, 1, 2)).convert("P")
    picture.putpalette([0, 0, 0, *BLUE, *GREEN])
    picture.save(tmp_path / "masks" / "a.png")
    assert ClassFolderSource(images, masks, 1)[0].labels.sum() == 2
    assert ClassFolderSource(images, masks, "#00FF00")[0].labels.sum() == 1


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("P0002.png", "P0002_instance_color_RGB.png"),
        ("top_potsdam_2_10_RGB.tif", "top_potsdam_2_10_label.tif"),
        ("top_potsdam_2_10_RGBIR.tif", "top_potsdam_2_10_label_noBoundary.tif"),
        ("top_potsdam_2_10_RGB.tif", "top_potsdam_2_10_RGB.tif"),
        ("x.JPG", "x_mask.png"),
    ],
)
def test_usual_endings_pair(write, image, mask):
    source = ClassFolderSource(write(f"images/{image}"), write(f"masks/{mask}", grey(1)), 1)
    assert names(source) == [image]


def test_masks_beside_their_pictures(write):
    for name in ("P1", "P2"):
        write(f"all/{name}.png", 50)
        write(f"all/{name}_instance_id_RGB.png", 1)
        folder = write(f"all/{name}_instance_color_RGB.png", BLUE)
    write("all/.P3.png")  # hidden
    assert names(InstanceFolderSource(folder, folder)) == ["P1.png", "P2.png"]
    assert names(ClassFolderSource(folder, folder, "#0000FF")) == ["P1.png", "P2.png"]


def test_what_does_not_pair_is_left_out(write):
    for name in "abcde":
        images = write(f"images/{name}.png")
    masks = write("masks/a.png", grey(1))
    write("masks/f_mask.png", grey(1))
    for source in (InstanceFolderSource(images, masks), ClassFolderSource(images, masks, 1)):
        assert names(source) == ["a.png"]
        assert (source.left_out.number("picture"), source.left_out.number("mask")) == (4, 1)
        sentence = source.left_out.sentence()
        assert "4 pictures (mask-missing 4) and 1 mask (picture-missing 1) are left out" in sentence
        assert "b.png has no mask of the same name" in sentence
    write("masks/b.png")
    write("masks/b_mask.png")
    with pytest.raises(UserError, match=r"b_mask\.png: b\.png goes by the same name"):
        InstanceFolderSource(images, masks)


def test_nothing_that_pairs(write):
    images, masks = write("images/a.png"), write("masks/b.png", grey(1))
    with pytest.raises(UserError, match=r"images: no picture with a mask; .*mask-missing 1"):
        InstanceFolderSource(images, masks)


@pytest.mark.parametrize("folder", ["images", "masks"])
@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89PNG\r\n\x1a\n cut"])
def test_broken_files_are_left_out(write, tmp_path, folder, content):
    for name in "abc":
        images, masks = write(f"images/{name}.png"), write(f"masks/{name}.png", grey(1))
    (tmp_path / folder / "b.png").write_bytes(content)
    source = InstanceFolderSource(images, masks)
    assert names(source) == ["a.png", "c.png"]
    assert f"{folder}/b.png" in source.left_out.sentence()


def test_missing_and_empty_folders(write, tmp_path):
    images, nowhere, empty = write("images/a.png"), str(tmp_path / "no"), str(tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    for folders, message in [
        ((nowhere, images), "no: no such folder of pictures"),
        ((images, nowhere), "no: no such folder of masks"),
        ((empty, images), "empty: no picture"),
        ((images, empty), "empty: no mask in this folder$"),
        ((images, images), r"no mask in this folder \(a name that ends in _instance_id_RGB"),
    ]:
        with pytest.raises(UserError, match=message):
            InstanceFolderSource(*folders)


def test_no_object_at_all(write):
    images, masks = write("images/a.png"), write("masks/a.png", grey())
    with pytest.raises(UserError, match="masks: all 1 masks are 0"):
        InstanceFolderSource(images, masks)
    write("masks/a.png", grey(1, 2, 3, 4, 5, 6, 7, 8))
    with pytest.raises(UserError, match=r"class=9 in 1 masks; a\.png has .*0, 1, .*7, \.\.\.$"):
        ClassFolderSource(images, masks, 9)
    write("masks/a.png", BLUE)
    with pytest.raises(UserError, match=r"class=#00FF00 .* the colours #0000FF$"):
        ClassFolderSource(images, masks, "#00FF00")


@pytest.mark.parametrize("value", ["", "x", "-1", "#12345", "1.5"])
def test_bad_class_values(write, value):
    images, masks = write("images/a.png"), write("masks/a.png", grey(1))
    with pytest.raises(UserError, match=r"class=.*: neither a number"):
        ClassFolderSource(images, masks, value)
    with pytest.raises(UserError, match=r"ignore=.*: neither a number"):
        ClassFolderSource(images, masks, 1, value)


def test_masks_of_another_size_are_left_out(write):
    images = write("images/a.png")
    masks = write("masks/a_mask.png", np.ones((H, W + 1), np.uint8))
    with pytest.raises(UserError, match=r"a_mask\.png is 6 x 9 .* picture a\.png is 6 x 8"):
        InstanceFolderSource(images, masks)
    write("images/b.png")
    write("masks/b.png", grey(1))
    source = InstanceFolderSource(images, masks)
    assert names(source) == ["b.png"]
    write("masks/b.png", np.ones((H + 1, W), np.uint8))
    with pytest.raises(UserError, match=r"b\.png is 7 x 8"):  # changed after a look
        source[0]
