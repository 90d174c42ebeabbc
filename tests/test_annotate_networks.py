"""Another network in a running annotator: what stays, what the next click gets, what is offered."""

import json

import numpy as np
import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax import parallel  # noqa: F401  (jax before rasterio's threads)
from rsisrefiner_jax.annotate.context import Context
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.safety import Roots
from rsisrefiner_jax.annotate.segmenter import Segmenter
from rsisrefiner_jax.annotate.serve import used_last
from rsisrefiner_jax.annotate.worker import Worker
from rsisrefiner_jax.data.project import network_paths
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.networks import DEFAULT, PACKAGED
from tests import annotating, fakes, tiny
from tests.edits import ok

CLICKS = [(100.5, 50.5, True), (130, 40, False), (90, 60.2, True)]
HEIGHT, WIDTH = 200, 250


@pytest.fixture(scope="module")
def networks():
    """Programs of two networks, by the name of their folder; `broken` is none."""
    with tiny.quick_compilation():
        yield {
            DEFAULT: fakes.programs(fakes.Mixed(), fakes.PAPER),
            "better": fakes.programs(fakes.Disks(), fakes.PAPER),
        }


@pytest.fixture
def start(networks, tmp_path):
    """Starts the server on a project with two networks of its own; again after a stop, too."""
    bands = np.random.default_rng(1).integers(1, 255, (3, HEIGHT, WIDTH), np.uint8)
    annotating.raster(tmp_path, bands=bands)
    for name in ("better", "broken", ".half.part", "empty"):
        folder = tmp_path / "project" / network_paths.FOLDER / name
        folder.mkdir(parents=True)
        if name != "empty":
            (folder / "frozen.npz").write_bytes(b"")
    note = {"note": "8 objects: 5.0 -> 3.0 clicks"}
    (tmp_path / "project/networks/better/about.json").write_text(json.dumps(note))
    running = []

    def load(folder):
        if folder.name not in networks:
            raise UserError(f"{folder.name}: cannot be read")
        return Segmenter(networks[folder.name], largest=64)

    def start():
        stop()
        project = Project(tmp_path / "project", Roots([tmp_path]))
        checkpoint = used_last(project)
        worker = Worker(lambda: load(checkpoint))
        told = network_paths.name_of(checkpoint, project.folder)
        running[:] = [Context(project, worker, told, load=load)]
        project.add_image(tmp_path / "scene.tif")
        client = annotating.client(running[0])
        assert worker.submit(lambda _: "loaded").result() == "loaded"
        return client

    def stop():
        for here in running:
            here.worker.stop()
            here.project.close()

    yield start
    stop()


def draw(client, clicks):
    """A session with these clicks: its number, and its mask after each."""
    session = ok(client.post("/api/sessions", json={"image_id": 1}))["id"]
    return session, [click(client, session, one) for one in clicks]


def click(client, session, given):
    x, y, positive = given
    body = {"x": x, "y": y, "positive": positive}
    return pixels(ok(client.post(f"/api/sessions/{session}/clicks", json=body)))


def pixels(session):
    return annotating.pixels(session, (HEIGHT, WIDTH))


def test_masks_stay_and_the_next_click_is_the_new_networks(start):
    client = start()
    first, masks = draw(client, CLICKS[:2])
    finished, _ = draw(client, CLICKS[:1])
    made = ok(client.post(f"/api/sessions/{finished}/finish"))
    project = ok(client.put("/api/project/network", json={"name": "networks/better"}))
    assert project["model"]["name"] == "networks/better"
    assert project["model"]["ready"]
    np.testing.assert_array_equal(pixels(ok(client.get(f"/api/sessions/{first}"))), masks[1])
    assert ok(client.get("/api/images/1/objects")) == [made]
    after = click(client, first, CLICKS[2])
    # As if all clicks had been the new network's.
    _, expected = draw(client, CLICKS)
    np.testing.assert_array_equal(after, expected[-1])
    assert not np.array_equal(expected[1], masks[1])
    undone = ok(client.post(f"/api/sessions/{first}/undo"))
    np.testing.assert_array_equal(pixels(undone), masks[1])
    # A restart goes on with it, and back is the same way.
    client = start()
    assert ok(client.get("/api/project"))["model"]["name"] == "networks/better"
    np.testing.assert_array_equal(click(client, first, CLICKS[2]), after)
    ok(client.put("/api/project/network", json={"name": DEFAULT}))
    again, found = draw(client, CLICKS[:2])
    assert again != first
    np.testing.assert_array_equal(found[1], masks[1])


def test_what_is_offered(start):
    found = ok(start().get("/api/project"))["networks"]
    assert {one["name"] for one in found} == {"networks/better", "networks/broken", *PACKAGED}
    assert [one["name"] for one in found if one["in_use"]] == [DEFAULT]
    assert [one["own"] for one in found] == [True, True, False, False]
    assert "5.0 -> 3.0" in next(one["note"] for one in found if one["name"] == "networks/better")


def test_a_network_that_cannot_be_loaded_changes_nothing(start):
    client = start()
    _, masks = draw(client, CLICKS[:1])
    reply = client.put("/api/project/network", json={"name": "networks/broken"})
    annotating.refused(reply, "broken: cannot be read")
    reply = client.put("/api/project/network", json={"name": "../../etc"})
    annotating.refused(reply, "there is no network '../../etc'", 404)
    assert ok(client.get("/api/project"))["model"]["name"] == DEFAULT
    np.testing.assert_array_equal(draw(client, CLICKS[:1])[1][0], masks[0])


def test_another_one_heals_a_server_whose_network_could_not_be_loaded(start, tmp_path):
    start()
    project = tmp_path / "project"
    here = Context(
        Project(tmp_path / "other", Roots([tmp_path])),
        Worker(annotating.no_model),
        str(project / "networks" / "better"),
        load=lambda folder: FakeSegmenter(),
    )
    client = annotating.client(here)
    while not here.worker.error:
        pass
    assert "no model" in ok(client.get("/api/project"))["model"]["error"]
    project = ok(client.put("/api/project/network", json={"name": "small"}))
    assert project["model"] == {"name": "small", "image_size": 64, "ready": True, "error": None}
    assert here.project.network == "small"
    here.worker.stop()
    here.project.close()


class FakeSegmenter:
    image_size = 64

    def warm_up(self):
        yield 64


def test_one_network_at_a_time_is_loaded():
    here = Worker(FakeSegmenter)
    here.submit(lambda _: None).result()

    def load():
        with pytest.raises(UserError, match="a network is being loaded"):
            here.change(FakeSegmenter, lambda: None)
        return FakeSegmenter()

    before = here.segmenter
    chosen = []
    here.change(load, lambda: chosen.append(here.segmenter))
    assert chosen == [before]  # written down before it answers
    assert here.segmenter is not before
    here.stop()


def test_where_networks_lie(tmp_path):
    (tmp_path / "networks" / "mine").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for path, told in (
        (PACKAGED["box"], "box"),
        (tmp_path / "networks" / "mine", "networks/mine"),
        (tmp_path / "elsewhere", str((tmp_path / "elsewhere").resolve())),
    ):
        assert network_paths.name_of(path, tmp_path) == told
        assert network_paths.folder_of(told, tmp_path).resolve() == path.resolve()


def test_the_network_used_last_may_be_gone(start, tmp_path, capsys):
    start()
    project = Project(tmp_path / "third", Roots([tmp_path]))
    assert used_last(project) == PACKAGED[DEFAULT]
    project.use_network("networks/gone")
    assert used_last(project) == PACKAGED[DEFAULT]
    assert "the network used last is gone" in capsys.readouterr().out
    project.close()
