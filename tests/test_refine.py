"""A layer refined from the command line, by a network that answers where the raster is bright."""

import json

import jax
import numpy as np
import pytest

pytest.importorskip("pyogrio", reason="needs the extra [geo]")
import shapely

from rsisrefiner_jax import parallel  # noqa: F401  (jax before rasterio's threads)
from rsisrefiner_jax.annotate.segmenter import SegmentationTask, Segmenter
from rsisrefiner_jax.annotate.windows import Click
from rsisrefiner_jax.data.raster import Window
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.refine import job, local, placing, run
from rsisrefiner_jax.refine.__main__ import main
from rsisrefiner_jax.refine.correction import correction, drawing, innermost
from rsisrefiner_jax.refine.pictures import UpsideDown
from tests import fakes, tiny
from tests.rasters import write_raster
from tests.refining import GROUND, layer, on_ground, read, scene

# What is bright in the raster: (left, top, right, bottom).
BRIGHT = [(20, 20, 60, 50), (70, 20, 90, 40), (200, 100, 260, 160), (330, 230, 400, 300)]


@pytest.fixture(scope="module")
def programs():
    with tiny.quick_compilation():
        yield fakes.programs(fakes.Bright(), fakes.PAPER)


@pytest.fixture
def network(monkeypatch, programs):
    """Stands in for a checkpoint; how many networks were loaded."""
    loaded = []

    def load(checkpoint, overrides=(), device=None):
        loaded.append(device)
        return Segmenter(programs)

    monkeypatch.setattr(job, "load", load)
    monkeypatch.setattr(run, "network_digest", lambda *_: "bright")
    # One device, as the programs are compiled for one.
    one = jax.devices()[:1]
    monkeypatch.setattr(local.jax, "local_devices", lambda: one)
    return loaded


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a raster, whose lower left is without data."""
    monkeypatch.chdir(tmp_path)
    scene(tmp_path / "scene.tif", BRIGHT, nodata=0)
    return tmp_path


def refine(prompts, out="out.gpkg", *more, rasters=("scene.tif",)):
    main([*rasters, "--prompts", str(prompts), "--out", str(out), *more])


def pixels(shape):
    """What a shape on the ground covers, as (left, top, right, bottom) in pixels, and its area."""
    back = shapely.transform(
        shape, lambda xy: np.stack([(xy[:, 0] - 500_000) * 2, (5_000_000 - xy[:, 1]) * 2], -1)
    )
    return np.array(back.bounds), back.area


def near(shape, box, by=2):
    """Whether a shape on the ground is a box of pixels, to within what a resized crop may shift."""
    bounds, area = pixels(shape)
    left, top, right, bottom = box
    whole = (right - left) * (bottom - top)
    return (abs(bounds - box) <= by).all() and abs(area - whole) <= by * 2 * sum(
        (right - left, bottom - top)
    )


def test_rough_polygons_follow_the_raster(here, network, capsys):
    rough = [
        shapely.box(24, 16, 66, 48),  # shifted
        shapely.Polygon([(196, 120), (230, 92), (268, 130), (230, 170)]),  # roughened
        shapely.box(330, 225, 420, 310),  # goes on beyond the raster
        shapely.box(120, 200, 150, 230),  # nothing is there
        shapely.box(900, 900, 920, 920),  # on no raster
        shapely.box(21.6, 21.6, 21.9, 21.9),  # the centre of no pixel
    ]
    path = layer(here / "rough.gpkg", list(map(on_ground, rough)), name=np.array(list("abcdef")))
    refine(path)
    columns, shapes, ids, _ = read("out.gpkg")
    assert ids == [1, 2, 3, 4, 5, 6]
    assert columns["name"] == list("abcdef")
    assert columns["status"] == [
        "refined", "refined", "at border", "empty", "outside", "too small"
    ]  # fmt: skip
    assert near(shapes[0], BRIGHT[0])  # without its neighbour, which is as bright
    assert near(shapes[1], BRIGHT[2])
    bounds, _ = pixels(shapes[2])
    np.testing.assert_allclose(bounds[2:], (420, 310))  # beyond the raster as it was drawn
    for i in (3, 4, 5):
        assert shapely.equals(shapes[i], on_ground(rough[i]))
    assert columns["agreement"][0] > 0.9
    before = shapely.box(24, 16, 66, 48), shapely.box(*BRIGHT[0])
    iou = before[0].intersection(before[1]).area / before[0].union(before[1]).area
    assert columns["iou"][0] == pytest.approx(iou, abs=0.08)
    said = capsys.readouterr().out
    assert "out.gpkg: 3 of 6 objects have a new outline" in said
    assert "  refined        2" in said
    assert not (here / "out.gpkg.work").exists()
    with pytest.raises(UserError, match="it is there already"):
        refine(path)


def test_points_and_boxes(here, network):
    points = [(30, 30), (240, 150), (125, 210)]
    path = layer(here / "points.gpkg", [on_ground(shapely.Point(xy)) for xy in points])
    refine(path)
    columns, shapes, _, _ = read("out.gpkg")
    assert columns["status"] == ["refined", "refined", "empty"]
    assert shapes[2] is None
    assert near(shapes[1], BRIGHT[2])
    boxes = [shapely.box(18, 17, 64, 53), shapely.box(195, 95, 265, 165)]
    path = layer(here / "boxes.gpkg", list(map(on_ground, boxes)))
    refine(path, "boxed.gpkg", "--boxes")
    columns, shapes, _, _ = read("boxed.gpkg")
    assert near(shapes[0], BRIGHT[0])
    assert near(shapes[1], BRIGHT[2])
    assert columns["iou"] == [None, None] or np.isnan(columns["iou"]).all()


def test_a_polygon_with_which_nothing_agrees_stays(here, network):
    big = shapely.box(10, 10, 160, 160)
    path = layer(here / "rough.gpkg", [on_ground(big)])
    refine(path)
    columns, shapes, _, _ = read("out.gpkg")
    assert columns["status"] == ["kept"]
    assert shapely.equals(shapes[0], on_ground(big))
    refine(path, "all.gpkg", "--keep-below", "0")
    assert read("all.gpkg")[0]["status"] == ["refined"]


def test_without_data_a_polygon_stays(here, network):
    pixels_of = np.full((3, 300, 400), 230, np.uint8)
    pixels_of[:, :, 200:] = 0
    write_raster(here / "half.tif", pixels_of, nodata=0, **GROUND)
    shapes = [shapely.box(180, 100, 220, 140), shapely.box(300, 100, 340, 140)]
    path = layer(here / "some.gpkg", list(map(on_ground, shapes)))
    refine(path, "out.gpkg", "--keep-below", "0", rasters=("half.tif",))
    columns, found, _, _ = read("out.gpkg")
    assert columns["status"] == ["at border", "no data"]
    bounds, _ = pixels(found[0])
    assert bounds[2] == 220


def many(here, count=40):
    """Boxes all over the raster, in several blocks."""
    rng = np.random.default_rng(5)
    corners = rng.integers(0, (380, 280), (count, 2)).tolist()
    shapes = [on_ground(shapely.box(x, y, x + 18, y + 15)) for x, y in corners]
    return layer(here / "many.gpkg", shapes)


def test_whatever_ends_it_the_same_command_comes_to_the_same_file(here, network, monkeypatch):
    path = many(here)
    refine(path, "whole.gpkg")
    for blocks_before in (0, 1, 1):  # of the three that there are; then it is killed
        given = iter(range(blocks_before))

        def dies(self, number, answers, given=given, add=run.Journal.add):
            if next(given, None) is None:
                raise KeyboardInterrupt
            add(self, number, answers)

        with monkeypatch.context() as patch:
            patch.setattr(run.Journal, "add", dies)
            with pytest.raises(KeyboardInterrupt):
                refine(path)
        assert not (here / "out.gpkg").exists()
    with monkeypatch.context() as patch:
        patch.setattr(run.os, "replace", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):  # when all is answered
            refine(path)
    with pytest.raises(UserError, match=r"keep_below was 0\.5, now 0\.6"):
        refine(path, "out.gpkg", "--keep-below", "0.6")
    loaded = len(network)
    refine(path)
    assert len(network) == loaded  # nothing was left to ask
    assert (here / "out.gpkg").read_bytes() == (here / "whole.gpkg").read_bytes()


def test_nothing_depends_on_what_was_asked_before(here, programs):
    """Blocks in another order, and by networks that have answered others."""
    asked = run.ask(["scene.tif"], many(here), run.Fields())
    refiner = job.Refiner(Segmenter(programs), asked.rasters, run.AT_FIRST, 0.3)
    blocks = list(placing.blocks(asked.prompts))
    assert len(blocks) > 1
    first = [refiner.answers(block) for block in blocks]
    again = [refiner.answers(block) for block in reversed(blocks)]
    alone = [
        job.Refiner(Segmenter(programs, budget=0), asked.rasters, run.AT_FIRST, 0.3).answers(block)
        for block in blocks
    ]
    assert first == again[::-1] == alone
    assert json.loads(json.dumps([one.to_json() for one in first[0]])) == [
        one.to_json() for one in first[0]
    ]


def test_a_raster_that_is_written_to_meanwhile_is_refused(here, network, monkeypatch):
    path = many(here)
    blocks = run.blocks

    def written(prompts):
        scene(here / "scene.tif", BRIGHT[:1])
        return blocks(prompts)

    monkeypatch.setattr(run, "blocks", written)
    with pytest.raises(UserError, match="it was written to since this job began"):
        refine(path)


def test_a_window_is_read_and_encoded_once(here):
    """For the shaken clicks as well; and the answer is the one that it was."""
    recorded = fakes.RecordingPrograms(fakes.Mixed(), {}, fakes.PAPER)
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    reads = []

    class Picture:
        key, height, width = "noise", 64, 64

        def read(self, window: Window):
            reads.append(window)
            y, x, h, w = window
            return np.ascontiguousarray(image[y : y + h, x : x + w])

    task = SegmentationTask(Picture(), box=(30, 25, 30, 25))
    segmenter = Segmenter(recorded)
    segmenter.segment(task, [Click(30, 25, True)])
    encoded = len(recorded.pictures)
    shaken = segmenter.segment(task, [Click(32, 26, True)])
    assert (len(reads), len(recorded.pictures)) == (1, encoded)
    fresh = Segmenter(recorded).segment(task, [Click(32, 26, True)])
    np.testing.assert_array_equal(shaken.probabilities, fresh.probabilities)


def test_upside_down_and_back():
    rows = np.arange(60 * 50 * 3, dtype=np.uint32).reshape(60, 50, 3).astype(np.uint8)

    class Picture:
        key, height, width = "rows", 60, 50

        def read(self, window):
            y, x, h, w = window
            return rows[y : y + h, x : x + w]

    mirror = UpsideDown(Picture())
    np.testing.assert_array_equal(mirror.read(Window(10, 5, 20, 30)), rows[::-1][10:30, 5:35])
    mask = Mask(3, 7, np.triu(np.ones((9, 4), bool)))
    assert mirror.mask(mirror.mask(mask)).same(mask)
    whole = mask.within(0, 0, 50, 60)[::-1]
    np.testing.assert_array_equal(mirror.mask(mask).within(0, 0, 50, 60), whole)


def test_a_drawing_is_taken_at_its_word_away_from_its_line():
    square = Mask(100, 200, np.ones((40, 40), bool))
    outline, box = drawing(square, False), drawing(square, True)
    window, visible = Window(150, 50, 140, 140), np.ones((140, 140), bool)
    first = innermost(square)
    assert first == (119, 219, True)

    def click(answer, drawn=outline, visible=visible):
        return correction(drawn, answer, window, visible, [first])

    assert click(square) is None
    assert click(Mask(104, 204, np.ones((40, 40), bool))) is None  # within the slack
    left = click(Mask(100, 200, np.ones((40, 12), bool)))
    assert left is not None
    assert left.positive
    assert 112 <= left.x < 140
    far = click(Mask(60, 200, np.ones((40, 80), bool)))
    assert far is not None
    assert not far.positive
    assert far.x < 94
    assert click(Mask(112, 212, np.ones((9, 9), bool)), box) is None  # a box may hold little
    assert click(Mask(60, 200, np.ones((40, 80), bool)), box) == far
    hidden = np.zeros_like(visible)
    assert click(Mask(100, 200, np.ones((40, 12), bool)), visible=hidden) is None
