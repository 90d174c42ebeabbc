"""Picture sheets of a data SPEC."""

import numpy as np
import pytest

from rsisrefiner_jax.data.coco import read_rgb
from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.data.sheet import PALETTE, grid, object_tile, scene_tile, write_sheet
from rsisrefiner_jax.data.show import main
from rsisrefiner_jax.errors import UserError
from tests.doctor_sets import coco_content, square, write_coco

SMALL = ["--set", "model.image_size=64", "data.min_object_area=40"]


@pytest.fixture
def scene():
    labels = np.zeros((60, 80, 2), np.int32)
    labels[10:30, 10:30, 0] = 5
    labels[20:40, 20:50, 1] = 2**31 - 1
    ignore = np.zeros((60, 80), bool)
    ignore[50:] = True
    objects = (SceneObject(5, 0, "ship"), SceneObject(2**31 - 1, 1, ""))
    return Scene("a.png", np.full((60, 80, 3), 100, np.uint8), labels, objects, ignore)


def test_scenes_are_outlined_in_the_colours_of_their_classes(scene):
    colours = {"ship": PALETTE[0], "": PALETTE[1]}
    tile = scene_tile(scene, colours, side=80)
    assert tile.shape == (60, 80, 3)
    assert tuple(tile[10, 15]) == PALETTE[0]
    assert tuple(tile[39, 45]) == PALETTE[1]
    assert (tile[15, 15] == 100).all()  # inside
    assert (tile[5, 5] == 100).all()  # outside
    assert (tile[55, 5] == 114).all()  # ignored
    assert scene_tile(scene, colours, side=400).shape == (120, 160, 3)  # at most doubled


def test_objects_are_shown_with_what_is_around_them(scene):
    tile = object_tile(scene, scene.objects[0], side=96)
    assert tile.shape == (96, 96, 3)
    outlined = np.argwhere((tile == PALETTE[0]).all(-1))
    assert 15 < outlined.min() < outlined.max() < 75
    thin = np.zeros((10, 200, 1), np.int32)
    thin[:, 3:190] = 1
    strip = Scene(
        "b", np.full((10, 200, 3), 9, np.uint8), thin, (SceneObject(1, 0),), thin[..., 0] > 5
    )
    assert object_tile(strip, strip.objects[0], side=50).shape == (50, 50, 3)


def test_grid():
    tiles = [np.full((2, 3, 3), i, np.uint8) for i in (1, 2, 3)]
    sheet = grid(tiles, columns=2, gap=1, colour=(9, 9, 9))
    assert sheet.shape == (7, 9, 3)
    assert sheet[1, 1, 0] == 1
    assert sheet[1, 5, 0] == 2
    assert sheet[4, 1, 0] == 3
    assert sheet[4, 5, 0] == sheet[0, 0, 0] == 9


def test_sheet_with_odd_words(tmp_path):
    path = tmp_path / "new" / "sheet.png"
    tiles = [np.full((40, 90, 3), 200, np.uint8), np.full((30, 60, 3), 90, np.uint8)]
    captions = ["$x^ {\n" + "a_long_name" * 20, "bâtiment"]
    write_sheet(str(path), tiles, captions, 4, "$title", {"a $": (1, 2, 3)})
    sheet = read_rgb(str(path))
    assert (sheet == 200).all(-1).sum() == 40 * 90  # tiles are not resampled
    assert (sheet == 90).all(-1).sum() >= 30 * 60


def test_samples_and_scenes_of_a_spec(tmp_path, capsys):
    spec, out = write_coco(tmp_path), str(tmp_path / "sheet.png")
    main([spec, "--out", out, "--tiles", "6", *SMALL])
    assert read_rgb(out).shape == (2 * 70 + 6, 4 * 70 + 6, 3)
    assert capsys.readouterr().out.strip() == out
    main([spec, "--out", out, "--scenes"])
    sheet = read_rgb(out).astype(int)
    assert (sheet == PALETTE[0]).all(-1).sum() > 100
    brown = sheet[..., 0] - sheet[..., 2] == 70  # land in these pictures
    main([spec, "--out", out, "--scenes", "--set", "data.bands=[3,2,1]"])
    exchanged = read_rgb(out)[brown]
    np.testing.assert_array_equal(exchanged, sheet[brown][:, ::-1])
    assert len(exchanged) > 1000


def test_scenes_that_cannot_be_read_are_passed_over(tmp_path):
    spec, out = write_coco(tmp_path), str(tmp_path / "sheet.png")
    for name in ("a.png", "b.png", "d.png"):
        (tmp_path / "images" / name).write_bytes(b"broken")
    main([spec, "--out", out, "--scenes"])
    (tmp_path / "images" / "c.jpg").write_bytes(b"broken")
    with pytest.raises(UserError, match="not a picture"):
        main([spec, "--out", out, "--scenes"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "sheet.jpg"], "end in .png"),
        (["--out", "s.png", "--tiles", "0"], "at least 1"),
        (["--out", "s.png", "--scenes", "--set", "data.bands=[0]"], r"data\.bands=\[0\]: name"),
        (["--out", "s.png", "--set", "data.trian=1"], "did you mean 'train'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(UserError, match=message):
        main(["synthetic", *arguments])


def test_data_without_an_object_for_training(tmp_path):
    content = coco_content()
    for annotation in content["annotations"]:
        annotation["segmentation"] = [square(4, 4, 4)]
    with pytest.raises(UserError, match=r"data\.min_object_area"):
        main([write_coco(tmp_path, content), "--out", str(tmp_path / "s.png"), *SMALL])
