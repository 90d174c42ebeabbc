"""What the QGIS plugin says to the annotator's server, and what it makes of the replies."""

from collections import deque

import numpy as np
import pytest

pytest.importorskip("fastapi")
from rsisrefiner.conversation import Conversation
from rsisrefiner.drawing import Drawing
from rsisrefiner.grid import Grid
from rsisrefiner.images import ImageSearch, candidates, covers
from rsisrefiner.server import Refused, Reply, Server, server_at

from rsisrefiner_jax import parallel  # noqa: F401  (jax before rasterio's threads)
from rsisrefiner_jax.annotate.segmenter import Segmenter
from tests import annotating, fakes, tiny

HEIGHT, WIDTH = 200, 250
PLACES = [(100.5, 150.5, True), (130.25, 140.5, False), (120.5, 60.5, True)]


@pytest.fixture(scope="module")
def programs():
    with tiny.quick_compilation():
        yield fakes.programs(fakes.Mixed(), fakes.PAPER)


@pytest.fixture
def app(programs, tmp_path):
    """A client of the server of a project with one raster, in a folder "data"."""
    bands = np.random.default_rng(1).integers(1, 255, (3, HEIGHT, WIDTH), np.uint8)
    annotating.raster(tmp_path / "data", bands=bands)
    here = annotating.context(tmp_path / "data", lambda: Segmenter(programs, largest=256))
    here.project.add_image(tmp_path / "data" / "scene.tif")
    yield annotating.client(here)
    here.worker.stop()
    here.project.close()


class Wire:
    """Takes the plugin's requests to the application. late: replies come by `deliver` only."""

    def __init__(self, app, late=False):
        self.app, self.late = app, late
        self.waiting = deque()
        self.lost = 0  # replies that the next requests will not get

    def send(self, request, done):
        self.waiting.append((request, done))
        if not self.late:
            self.deliver()

    def deliver(self):
        request, done = self.waiting.popleft()
        reply = self.app.request(
            request.method, request.url, content=request.body, headers=request.headers
        )
        if self.lost:
            self.lost -= 1
            done(Reply(None, b"timed out"))
        else:
            done(Reply(reply.status_code, reply.content))


class Desk:
    """A drawing on the image, and what it showed and said."""

    def __init__(self, app, late=False, server=Server("http://localhost")):
        self.wire, self.app = Wire(app, late), app
        self.shown, self.said, self.made = [], [], []
        self.talk = Conversation(self.wire.send, self.said.append)
        self.drawing = Drawing(self.talk, server, 1, self.shown.append)

    def get(self, path):
        return self.app.get(f"/api{path}").json()

    def accept(self, class_id=None):
        self.drawing.accept(class_id, self.made.append)


def test_addresses_as_the_server_prints_them():
    assert server_at(" http://localhost:8000/#token=a%2Fb ") == Server(
        "http://localhost:8000", "a/b"
    )
    behind_proxy = server_at("https://hub.example/user/me/proxy/8000/#token=t")
    assert behind_proxy.request("GET", "/project").url == (
        "https://hub.example/user/me/proxy/8000/api/project"
    )
    assert server_at("http://[::1]:8000").token == ""
    for text in ("", "localhost:8000", "/tmp/project", "http://", "http://[::1"):
        with pytest.raises(Refused, match="paste the address"):
            server_at(text)


def test_three_clicks_become_polygons_on_the_ground(app):
    desk = Desk(app)
    grid = Grid(desk.get("/images/1")["transform"])
    for x, y, positive in PLACES:
        east = 0.5 * x + 0.1 * y + 500_000  # as `annotating.TURNED` says
        north = 0.1 * x - 0.5 * y + 5_000_000
        desk.drawing.click(*grid.to_pixels(east, north), positive)
    clicks = [(c["x"], c["y"], c["positive"]) for c in desk.shown[-1]["clicks"]]
    np.testing.assert_allclose(np.array(clicks), np.array(PLACES), atol=1e-6)
    desk.accept()
    (made,) = desk.made
    assert (desk.said, desk.shown[-1]) == ([], None)
    assert made["clicks"] == 3
    (there,) = desk.get("/images/1/objects?crs=EPSG:32632")  # as the server places it
    parts = there["geometry"]["coordinates"]
    parts = parts if there["geometry"]["type"] == "MultiPolygon" else [parts]
    polygons = grid.polygons(made["geometry"])
    assert [[len(ring) for ring in rings] for rings in polygons] == [
        [len(ring) for ring in rings] for rings in parts
    ]
    for ours, theirs in zip(polygons, parts, strict=True):
        for ring, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(ring, other, atol=1e-6)


def test_undo_redo_and_discard(app):
    desk = Desk(app)
    desk.drawing.undo()  # nothing yet: nobody is asked
    for place in PLACES[:2]:
        desk.drawing.click(*place)
    two = desk.shown[-1]["geometry"]
    desk.drawing.undo()
    assert len(desk.shown[-1]["clicks"]) == 1
    desk.drawing.redo()
    assert desk.shown[-1]["geometry"] == two
    desk.drawing.discard()
    assert desk.shown[-1] is None
    assert desk.get("/sessions?image_id=1") == []
    assert desk.said == []


def test_nobody_needs_to_wait_for_an_answer(app):
    app.put("/api/project/classes", json=[{"name": "ship", "colour": "#ff0000"}])
    desk = Desk(app, late=True)
    desk.drawing.click(*PLACES[0])
    desk.drawing.click(*PLACES[1])
    desk.accept(class_id=1)
    desk.drawing.click(*PLACES[2])  # of the next object
    assert len(desk.wire.waiting) == 1  # one at a time
    while desk.wire.waiting:
        assert desk.talk.busy
        desk.wire.deliver()
    assert not desk.talk.busy
    (made,) = desk.made
    assert (made["clicks"], made["class_id"]) == (2, 1)
    (session,) = desk.get("/sessions?image_id=1")
    assert session["id"] == desk.drawing.session["id"]
    assert [(c["x"], c["y"]) for c in session["clicks"]] == [PLACES[2][:2]]


def test_what_is_refused_is_said_and_nothing_is_lost(app):
    desk = Desk(app)
    desk.accept()
    desk.drawing.click(*PLACES[0])
    desk.drawing.click(-3, 10)
    assert "outside the image" in desk.said.pop()
    assert len(desk.shown[-1]["clicks"]) == 1
    desk.drawing.click(*PLACES[1])
    assert len(desk.shown[-1]["clicks"]) == 2
    desk.drawing.discard()
    desk.drawing.click(*PLACES[1])  # takes away from nothing
    desk.accept()
    assert "no pixel" in desk.said.pop()
    desk.drawing.click(*PLACES[0])
    desk.accept()
    assert desk.said == []
    assert desk.made[-1]["clicks"] == 2


def test_an_answer_that_got_lost(app):
    desk = Desk(app)
    desk.drawing.click(*PLACES[0])
    desk.wire.lost = 1
    desk.drawing.click(*PLACES[1])  # arrived, but who clicked does not know
    assert "cannot be reached (timed out)" in desk.said.pop()
    assert len(desk.shown[-1]["clicks"]) == 2
    desk.wire.lost = 2
    desk.drawing.undo()
    assert len(desk.said) == 1  # that nobody is there is said once
    desk.drawing.redo()
    assert len(desk.shown[-1]["clicks"]) == 2


def test_a_server_of_another_project_is_not_touched(app):
    desk = Desk(app, server=Server("http://localhost", project="of yesterday"))
    desk.drawing.click(*PLACES[0])
    assert "another project" in desk.said.pop()
    assert desk.get("/sessions") == []


def test_the_token_goes_along(here, data):
    app = annotating.client(here, token="a token of some length")
    for token, words in (("a token of some length", None), ("wrong", "a token is needed")):
        said, found = [], []
        talk = Conversation(Wire(app).send, said.append)
        server = Server("http://localhost", token)
        talk.ask(lambda s=server: s.request("GET", "/project"), found.append)
        assert bool(found) == (words is None)
        assert [words in sentence for sentence in said] == [True] * len(said)


def test_an_answer_that_is_not_the_servers():
    said = []
    talk = Conversation(lambda _, done: done(Reply(502, b"<html>")), said.append)
    talk.ask(lambda: Server("http://localhost").request("GET", "/project"), said.append)
    assert "not the annotator's server (status 502)" in said.pop()
    assert said == []


@pytest.fixture
def search(app):
    said = []
    talk = Conversation(Wire(app).send, said.append)
    bounds = Grid(app.get("/api/images/1").json()["transform"]).bounds(WIDTH, HEIGHT)

    def find(path, bounds=bounds):
        found, missing = [], []
        ImageSearch(talk, Server("http://localhost")).find(
            path, bounds, found.append, missing.append
        )
        assert said == []
        assert len(found) + len(missing) == 1
        return found[0]["id"] if found else missing[0]

    return find


def test_a_raster_is_found_by_the_names_of_its_folders(app, search, tmp_path):
    annotating.raster(tmp_path / "data" / "deeper", "other.tif")
    turned = Grid(tuple(annotating.TURNED)[:6])
    small = turned.bounds(annotating.WIDTH, annotating.HEIGHT)
    assert search("/home/me/data/scene.tif") == 1
    assert search(r"C:\gis\data\scene.tif") == 1
    assert search("/mnt/elsewhere/scene.tif") == 1  # of that name in the server's folder
    assert search("/home/me/data/deeper/other.tif", small) == 2  # opened by being asked for
    assert len(app.get("/api/project").json()["images"]) == 2
    assert "start it with the folder" in search("/home/me/data/absent.tif")
    left, bottom, right, top = turned.bounds(WIDTH, HEIGHT)
    elsewhere = left + 1000, bottom, right + 1000, top
    assert "no scene.tif that covers this ground" in search("/home/me/data/scene.tif", elsewhere)


def test_names_on_the_server():
    roots = ["data", "b"]
    assert candidates("/data/x/data/a.tif", roots) == ["data/x/data/a.tif", "data/a.tif", "b/a.tif"]
    assert candidates("data", roots) == ["data/data", "b/data"]


def test_where_qgis_shows_a_raster(app):
    image = {"transform": None, "width": 30, "height": 20}
    assert covers(image, (0, -20, 30, 0))  # without a georeference: rows downwards from 0
    assert not covers(image, (0, 0, 30, 20))
    assert Grid(None).to_pixels(7.5, -3.25) == (7.5, 3.25)
    turned = {"transform": tuple(annotating.TURNED)[:6], "width": 1000, "height": 800}
    left, bottom, right, top = Grid(turned["transform"]).bounds(1000, 800)
    assert covers(turned, (left - 0.4, bottom, right + 0.7, top))  # in an upright frame
    assert not covers(turned, (left, bottom, right + 30, top))
    # As the server itself places a pixel.
    for x, y in ((0, 0), (12.5, 40.25)):
        ground = app.get(f"/api/images/1/point?x={x}&y={y}").json()["coordinates"]
        assert Grid(turned["transform"]).to_ground(x, y) == pytest.approx(ground, abs=1e-6)
