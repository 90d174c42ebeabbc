"""The pictures of clicked objects: panels where the clicks are, and what may be published."""

import json

import cv2
import numpy as np
import pytest

from benchmarks import clicked
from rsisrefiner_jax.annotate.segmenter import Segmenter
from rsisrefiner_jax.errors import UserError
from tests import fakes
from tests.rasters import write_raster

BOX = (100, 40, 120, 60)


@pytest.fixture
def rasters(tmp_path):
    """Two files of one bright square, and the list that names them."""
    bands = np.zeros((3, 100, 300), np.uint8)
    bands[:, BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    clicks = [[110, 50, 1], [90, 50, 0], [105, 55, 1], [130, 50, 0], [115, 45, 1]]
    names = {"open.tif": True, "closed.tif": False}
    for name in names:
        write_raster(tmp_path / name, bands)
    listed = {
        "rasters": {name: {"title": name, "publish": may} for name, may in names.items()},
        "objects": [
            {"name": f"square in {name}", "raster": name, "box": BOX, "clicks": clicks}
            for name in names
        ],
    }
    (tmp_path / "objects.json").write_text(json.dumps(listed))
    return tmp_path


def test_it_draws_every_raster_and_publishes_what_may_be(rasters, monkeypatch):
    model = Segmenter(fakes.programs(fakes.Bright(), fakes.PAPER), largest=64)
    monkeypatch.setattr(clicked, "load", lambda checkpoint, overrides: model)
    out, page = rasters / "out", rasters / "page"
    given = ["clicked", str(rasters / "objects.json"), "--rasters", str(rasters)]
    given += ["--checkpoint", "small", "--out", str(out), "--page", str(page)]
    monkeypatch.setattr("sys.argv", given)
    clicked.main()
    assert {path.name for path in out.iterdir()} == {"open.jpg", "closed.jpg", "results.json"}
    assert {path.name for path in page.iterdir()} == {"open.jpg", "results.json"}
    results = json.loads((page / "results.json").read_text())["objects"]
    assert len(results) == 2
    for one in results:
        assert all(abs(area - 400) < 120 for area in one["area"])  # resized to the network's input
        assert one["window"] == [64] * 5
        assert one["cut_off"] == [False] * 5
        assert len(one["seconds"]) == 5
    sheet = cv2.imread(str(page / "open.jpg"))
    assert sheet.shape[1] >= 3 * clicked.PANEL


def test_a_panel_shows_the_object_in_the_middle_and_clicks_in_their_colours():
    pixels = np.full((60, 60, 3), 100, np.uint8)
    pixels[20:40, 20:40] = 200
    mask = np.zeros((60, 60), bool)
    mask[20:40, 20:40] = True
    view = clicked.Window(500, 800, 60, 60)
    clicks = (clicked.Click(830, 530, True), clicked.Click(810, 545, False))
    panel = clicked.panel(pixels, view, clicked.Mask(800, 500, mask), clicks)
    scale = clicked.PANEL / 60
    red, green, _ = panel[int(30 * scale), int(30 * scale)].astype(int)
    assert green > red + 100
    red, green, _ = panel[int(45 * scale), int(10 * scale)].astype(int)
    assert red > green + 100
    border = panel[int(30 * scale), int(19 * scale) : int(21 * scale)].astype(int)
    assert (border[:, 0] - border[:, 2]).max() > 150  # the outline is yellow


def test_the_mask_is_cut_off_only_where_the_raster_goes_on():
    picture = clicked.RasterPicture.__new__(clicked.RasterPicture)
    picture.height, picture.width = 100, 300
    mask = clicked.Mask(0, 0, np.ones((100, 64), bool))
    ends_inside = clicked.Segmentation(mask, clicked.Window(0, 0, 100, 100), np.zeros(0), 0.0)
    ends_outside = clicked.Segmentation(mask, clicked.Window(0, 0, 100, 64), np.zeros(0), 0.0)
    assert not clicked.cut_off(ends_inside, picture)
    assert clicked.cut_off(ends_outside, picture)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"clicks": [[1, 2, 1]]}, "square in open.tif: give 5 clicks"),
        ({"raster": "other.tif"}, "its raster is not among the rasters"),
        ({"box": [1, 2, 3]}, "its box has four numbers"),
        ({"clicks": 3}, "no list of objects to click"),
    ],
)
def test_a_wrong_list_is_one_sentence(rasters, change, words):
    path = rasters / "objects.json"
    listed = json.loads(path.read_text())
    listed["objects"][0].update(change)
    path.write_text(json.dumps(listed))
    with pytest.raises(UserError, match=words):
        clicked.read(path)
