"""The notebook's widget without a browser: the messages that one would send and get."""

import sys

import cv2
import numpy as np
import pytest

pytest.importorskip("anywidget", reason="needs the extra [notebook]")
pytest.importorskip("rasterio")

from rsisrefiner_jax import notebook, parallel  # noqa: F401  (jax before rasterio's threads)
from rsisrefiner_jax.annotate.segmenter import Segmenter
from rsisrefiner_jax.data.raster import read_picture
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.interaction.session import ClickSession
from rsisrefiner_jax.networks import DEFAULT
from rsisrefiner_jax.notebook import images, opening
from rsisrefiner_jax.notebook.widget import ClickWidget
from tests import annotating, fakes, tiny

HEIGHT, WIDTH = 200, 250
SMALL = 50, 60  # all of it lies in the first window


@pytest.fixture(scope="module")
def segmenter():
    with tiny.quick_compilation():
        yield Segmenter(fakes.programs(fakes.Mixed(), fakes.PAPER), largest=256)


class Page:
    """A widget and the messages between it and its page."""

    def __init__(self, picture, segmenter):
        self.widget = ClickWidget(opening.opened_picture(picture), segmenter)
        self.got = []
        self.widget.comm.send = lambda data=None, metadata=None, buffers=None: self.got.append(
            (data, buffers or [])
        )

    def send(self, **content):
        """What the page sends; what it gets back: (content, buffers) of every message."""
        self.got.clear()
        data = {"method": "custom", "content": content}
        self.widget._handle_msg({"content": {"data": data}, "buffers": []})
        return [(data["content"], buffers) for data, buffers in self.got if "content" in data]

    def answer(self, **content):
        """The trouble that the page is told of, and the state that it gets, if any."""
        ((reply, _),) = self.send(**content)
        assert reply["kind"] == "answered"
        states = [
            (data["state"]["shown"], data["buffer_paths"], buffers)
            for data, buffers in self.got
            if data.get("method") == "update" and "shown" in data["state"]
        ]
        if not states:
            return reply["trouble"], None
        ((shown, paths, buffers),) = states
        for (_, *path), buffer in zip(paths, buffers, strict=True):
            assert path == ["png"]
            shown = {**shown, "png": bytes(buffer)}
        return reply["trouble"], shown


def noise(height=HEIGHT, width=WIDTH):
    return np.random.default_rng(1).integers(1, 255, (height, width, 3), np.uint8)


def test_clicks_of_the_page_become_the_mask(segmenter):
    page = Page(noise(*SMALL), segmenter)
    assert not page.widget.mask.any()
    clicks = [(20.5, 30.5, True), (30.2, 10.9, False), (5.5, 50.5, True)]
    alone = ClickSession(fakes.programs(fakes.Mixed(), fakes.PAPER), noise(*SMALL), square=64)
    for y, x, positive in clicks:
        trouble, shown = page.answer(kind="click", y=y, x=x, positive=positive)
        alone.click(int(y), int(x), positive)
        np.testing.assert_array_equal(page.widget.mask, alone.mask)
        assert (trouble, shown["area"]) == ("", page.widget.mask.sum())
        painted = np.zeros(SMALL, bool)
        if shown["area"]:
            png = cv2.imdecode(np.frombuffer(shown["png"], np.uint8), cv2.IMREAD_UNCHANGED)
            top, left = shown["y"], shown["x"]
            painted[top : top + shown["h"], left : left + shown["w"]] = png[..., 3] > 0
        np.testing.assert_array_equal(painted, page.widget.mask)
    assert page.widget.clicks == tuple(clicks)
    assert [tuple(click) for click in shown["clicks"]] == clicks
    before = page.widget.mask
    page.answer(kind="undo")
    assert len(page.widget.clicks) == 2
    page.widget.click(*clicks[2])
    np.testing.assert_array_equal(page.widget.mask, before)
    trouble, shown = page.answer(kind="clear")
    assert (page.widget.clicks, shown["clicks"], shown["area"]) == ((), [], 0)
    assert not page.widget.mask.any()
    before[0] = True  # the caller's own
    assert not page.widget.mask.any()


def test_what_is_refused_changes_nothing_and_is_told(segmenter):
    page = Page(noise(), segmenter)
    page.widget.click(100, 100)
    mask = page.widget.mask
    trouble, shown = page.answer(kind="click", y=HEIGHT, x=10, positive=True)
    assert "(10.0, 200.0) lies outside the image of 250 x 200 pixels" in trouble
    assert shown is None
    with pytest.raises(UserError, match="lies outside"):
        page.widget.click(float("nan"), 3)
    assert len(page.widget.clicks) == 1
    np.testing.assert_array_equal(page.widget.mask, mask)
    page.widget.undo()
    page.widget.undo()  # nothing left to undo
    assert page.widget.clicks == ()


def test_a_raster_file_is_clicked_as_in_the_annotator(segmenter, tmp_path):
    bands = noise().transpose(2, 0, 1)
    file = annotating.raster(tmp_path / "data", bands=bands)
    page = Page(file, segmenter)
    clicks = [(150.5, 100.5, True), (20.5, 230.5, True), (60, 120, False)]
    for click in clicks:
        page.widget.click(*click)
    own = Segmenter(fakes.programs(fakes.Mixed(), fakes.PAPER), largest=256)
    here = annotating.context(tmp_path / "data", lambda: own)
    try:
        here.project.add_image(file)
        points = [{"x": x, "y": y, "positive": positive} for y, x, positive in clicks]
        asked = {"image_id": 1, "clicks": points}
        found = annotating.client(here).post("/api/predict", json=asked).json()
    finally:
        here.worker.stop()
        here.project.close()
    np.testing.assert_array_equal(page.widget.mask, annotating.pixels(found, (HEIGHT, WIDTH)))
    assert page.widget.mask.any()


def test_the_page_gets_the_part_that_it_shows(segmenter, tmp_path):
    bands = noise().transpose(2, 0, 1)
    file = annotating.raster(tmp_path, bands=bands)
    for picture in (file, noise()):
        page = Page(picture, segmenter)
        corner = {"left": 10.2, "top": 20.9, "right": 60.5, "bottom": 45.0, "across": 400}
        ((reply, buffers),) = page.send(kind="view", view="v", **corner)
        assert reply == {"kind": "view", "view": "v", "x": 10, "y": 20, "w": 51, "h": 26}
        part = cv2.imdecode(np.frombuffer(buffers[0], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        np.testing.assert_array_equal(part, noise()[20:46, 10:61])
        whole = {"left": -30, "top": -5, "right": 280, "bottom": 205, "across": 100}
        ((reply, buffers),) = page.send(kind="view", view="v", **whole)
        part = cv2.imdecode(np.frombuffer(buffers[0], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        assert (reply["x"], reply["y"], reply["w"], reply["h"]) == (0, 0, WIDTH, HEIGHT)
        assert part.shape == (HEIGHT // 2, WIDTH // 2, 3)
        if picture is not file:
            np.testing.assert_array_equal(part, noise()[::2, ::2])
        beside = {"left": 300, "top": 0, "right": 400, "bottom": 100, "across": 100}
        assert page.send(kind="view", view="v", **beside) == []


@pytest.mark.parametrize(
    ("right", "across", "step", "left"),
    [(250, 250, 1, 7), (251, 126, 1, 7), (257, 125, 2, 6), (10_007, 100, 64, 0)],
)
def test_views_are_as_fine_as_the_screen(right, across, step, left):
    asked = {"left": 7, "top": 0, "right": right, "bottom": 100, "across": across}
    window, found = images.view_of(asked, 20_000, 20_000)
    assert (found, window.x) == (step, left)
    assert window.x + window.width == right + 1


def test_pictures_as_the_predictor_takes_them(segmenter):
    grey = noise()[..., 0]
    page = Page(grey, segmenter)
    assert page.widget.size == (HEIGHT, WIDTH)
    ((_, buffers),) = page.send(kind="view", view="v", left=0, top=0, right=9, bottom=9, across=99)
    part = cv2.imdecode(np.frombuffer(buffers[0], np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(part, np.stack([grey[:10, :10]] * 3, -1))
    with pytest.raises(UserError, match="must be uint8"):
        opening.opened_picture(grey.astype(np.float32))
    with pytest.raises(UserError, match=r"absent\.tif"):
        opening.opened_picture("absent.tif")


def test_a_missing_package_is_named(monkeypatch):
    for module in ("widget", "opening", "images"):
        monkeypatch.delitem(sys.modules, f"rsisrefiner_jax.notebook.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(UserError, match=r"need anywidget.*rsisrefiner-jax\[notebook\]"):
        notebook.segment("scene.tif")


def test_one_call_with_the_network_that_comes_along(tmp_path, monkeypatch, segmenter):
    asked = []
    monkeypatch.setattr(opening, "load", lambda name: asked.append(name) or segmenter)
    opening.shared_segmenter.cache_clear()
    file = annotating.raster(tmp_path)
    for _ in range(2):
        widget = notebook.segment(str(file))
        widget.click(30, 40)
        assert widget.mask.shape == (annotating.HEIGHT, annotating.WIDTH)
        pixels, _ = read_picture(str(file))
        assert widget.mask.shape == pixels.shape[:2]
    assert asked == [DEFAULT]  # loaded once
    opening.shared_segmenter.cache_clear()
