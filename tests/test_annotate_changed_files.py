"""Rasters that are rewritten under a project: said before the next click, never mixed up."""

import hashlib
import os
import shutil

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi")
from rasterio.transform import Affine

from rsisrefiner_jax.annotate import project
from rsisrefiner_jax.annotate.file_identity import fingerprint_of
from rsisrefiner_jax.annotate.segmenter import Segmentation
from rsisrefiner_jax.data import raster as files
from rsisrefiner_jax.data.raster import Window
from rsisrefiner_jax.formats.masks import Mask
from tests import annotating

HEIGHT, WIDTH = annotating.HEIGHT, annotating.WIDTH
LATER = 1_900_000_000_000_000_000  # a time of change, ns


class Bright:
    """Stands in for the model: the object is what is bright."""

    image_size = 256

    def warm_up(self):
        yield 256

    def segment(self, task, clicks):
        whole = Window(0, 0, task.picture.height, task.picture.width)
        mask = task.picture.read(whole)[..., 0] > 127
        return Segmentation(Mask(0, 0, mask), whole, mask.astype(np.float32), 0.1)


@pytest.fixture
def start(tmp_path):
    """Starts the server on a project; again after a stop, too."""
    running = []

    def stop():
        for here in running:
            here.worker.stop()
            here.project.close()
        running.clear()

    def start(**profile):
        stop()
        if profile or not (tmp_path / "scene.tif").exists():
            annotating.raster(tmp_path, **profile)
        running.append(annotating.context(tmp_path, Bright))
        client = annotating.client(running[0])
        ok(client.post("/api/images", json={"path": f"{tmp_path.name}/scene.tif"}))
        return client

    yield start
    stop()


def ok(reply, status=200):
    assert reply.status_code == status, reply.text
    return reply.json()


def refused(reply, words):
    assert words in ok(reply, 409)["detail"]


def noise(seed, count=3, shape=(HEIGHT, WIDTH)):
    return np.random.default_rng(seed).integers(1, 255, (count, *shape), np.uint8)


def rewrite(folder, bands, name="scene.tif", **profile):
    path = annotating.raster(folder, name, bands, **profile)
    os.utime(path, ns=(LATER, LATER))


def tile(client, image):
    reply = client.get("/api/images/1/tiles/0/0/0.png", params={"v": image["recipe_hash"]})
    assert reply.status_code == 200, reply.text
    picture = cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_COLOR)
    return picture[:HEIGHT, :WIDTH, ::-1], reply.headers["cache-control"]


def image_of(client):
    return ok(client.get("/api/images/1"))


@pytest.mark.parametrize(
    ("bands", "profile", "words"),
    [
        (noise(5), {}, "its pixels are others"),
        (noise(0), {"transform": Affine(1, 0, 0, 0, -1, 0)}, "its georeference is another"),
        (noise(0), {"crs": "EPSG:32633"}, "its georeference is another"),
        (noise(0, 4), {}, "its bands, their type"),
        (noise(0).astype(np.uint16), {}, "its bands, their type"),
        (noise(0), {"nodata": 3}, "its bands, their type"),
    ],
)
def test_a_change_is_said_before_the_next_click(start, tmp_path, bands, profile, words):
    client = start(bands=noise(0))
    before = image_of(client)
    assert before["changed"] is None
    for _ in range(2):
        ok(client.post("/api/sessions", json={"image_id": 1}))
    first = ok(client.post("/api/sessions/1/clicks", json={"x": 5, "y": 5}))
    ok(client.post("/api/sessions/2/clicks", json={"x": 5, "y": 5}))
    made = ok(client.post("/api/sessions/2/finish"))
    rewrite(tmp_path, bands, **profile)
    now = image_of(client)
    assert words in now["changed"]
    assert now["recipe_hash"] != before["recipe_hash"]
    mask = annotating.grey_png(np.ones((3, 3), bool))
    refused(client.post("/api/sessions/1/clicks", json={"x": 6, "y": 6, "key": "a"}), words)
    refused(client.put("/api/sessions/1/mask", json={"png": mask}), words)
    refused(client.post("/api/sessions/1/finish"), words)
    refused(client.post("/api/sessions", json={"image_id": 1}), words)
    refused(client.post("/api/sessions", json={"image_id": 1, "box": [1, 1, 9, 9]}), words)
    refused(client.post("/api/sessions", json={"image_id": 1, "object_id": 1}), words)
    assert client.get("/api/sessions/1/probability.png").status_code == 409
    (session,) = ok(client.get("/api/sessions?image_id=1"))
    assert session["clicks"] == first["clicks"]
    assert session["area_px"] == first["area_px"]
    client = start()  # nothing of it was written down
    assert image_of(client)["changed"] == now["changed"]
    accepted = ok(client.post("/api/images/1/accept"))
    assert accepted["changed"] is None
    assert ok(client.post("/api/images/1/accept")) == accepted
    again = ok(client.post("/api/sessions/1/clicks", json={"x": 6, "y": 6, "key": "a"}))
    assert len(again["clicks"]) == 2
    assert again["area_px"] == (tile(client, accepted)[0][..., 0] > 127).sum()
    assert len(ok(client.get("/api/images/1/objects"))) == len([made])
    client = start()
    assert image_of(client) == accepted


def test_tiles_follow_the_file(start, tmp_path):
    bands = noise(0)
    client = start(bands=bands)
    before = image_of(client)
    shown, keep = tile(client, before)
    assert "immutable" in keep
    np.testing.assert_array_equal(shown, np.moveaxis(bands, 0, -1))
    bands = noise(5)
    rewrite(tmp_path, bands)
    shown, keep = tile(client, before)
    assert keep == "no-cache"
    np.testing.assert_array_equal(shown, np.moveaxis(bands, 0, -1))
    now = image_of(client)
    assert "immutable" in tile(client, now)[1]


def test_bands_and_stretch_follow_the_file(start, tmp_path):
    names = ("red", "green", "blue")
    client = start(bands=noise(0).astype(np.uint16), photometric="minisblack")
    tile(client, image_of(client))
    from rasterio.enums import ColorInterp

    bands = noise(5).astype(np.uint16) * 100
    order = [ColorInterp[name] for name in reversed(names)]
    rewrite(tmp_path, bands, photometric="minisblack", colorinterp=order)
    image = ok(client.post("/api/images/1/accept"))
    assert image["bands_shown"] == [3, 2, 1]
    low, high = np.percentile(bands[2], (2, 98))
    expected = np.clip((bands[2] - low) * (255 / (high - low)), 0, 255)
    assert np.abs(tile(client, image)[0][..., 0] - expected).max() <= 1


def test_bands_that_are_gone_are_no_longer_asked_for(start, tmp_path):
    client = start(bands=noise(0, 5))
    recipe = {"bands": [5, 4, 3], "percentiles": [2, 98], "stretch_8bit": False, "fill": None}
    ok(client.put("/api/images/1/recipe", json=recipe))
    ok(client.post("/api/sessions", json={"image_id": 1}))
    rewrite(tmp_path, noise(1))
    image = ok(client.post("/api/images/1/accept"))
    assert image["recipe"] == recipe | {"bands": []}
    ok(client.post("/api/sessions/1/clicks", json={"x": 6, "y": 6}))


def test_another_size_is_taken_only_where_nothing_lies_on_it(start, tmp_path):
    client = start(bands=noise(0))
    small = noise(1, shape=(40, 50))
    rewrite(tmp_path, small)
    assert "it has 50 x 40 pixels now and 90 x 60 before" in image_of(client)["changed"]
    refused(client.get("/api/images/1/tiles/0/0/0.png"), "50 x 40 pixels now")
    image = ok(client.post("/api/images/1/accept"))
    assert (image["width"], image["height"]) == (50, 40)
    ok(client.post("/api/sessions", json={"image_id": 1}))
    kept = tmp_path / "kept.tif"
    shutil.copy2(tmp_path / "scene.tif", kept)
    rewrite(tmp_path, noise(0))
    refused(client.post("/api/images/1/accept"), "put that back")
    refused(client.get("/api/images/1/tiles/0/0/0.png"), "put that back")
    os.replace(kept, tmp_path / "scene.tif")
    assert image_of(client)["changed"] is None
    ok(client.post("/api/sessions/1/clicks", json={"x": 6, "y": 6}))


def test_a_file_that_was_only_touched_is_the_same(start, tmp_path):
    client = start(bands=noise(0))
    path = tmp_path / "scene.tif"
    os.utime(path, ns=(LATER, LATER))
    assert image_of(client)["changed"] is None
    shutil.copy(path, tmp_path / "copy.tif")
    os.replace(tmp_path / "copy.tif", path)
    client = start()
    assert image_of(client)["changed"] is None
    ok(client.post("/api/sessions", json={"image_id": 1}))
    ok(client.post("/api/sessions/1/clicks", json={"x": 6, "y": 6}))


@pytest.mark.parametrize("how", ["gone", "png", "cut"])
def test_a_file_that_cannot_be_opened_takes_no_click(start, tmp_path, how):
    client = start(bands=noise(0))
    ok(client.post("/api/sessions", json={"image_id": 1}))
    path = tmp_path / "scene.tif"
    kept = path.rename(tmp_path / "kept.tif")
    if how == "png":
        path.write_bytes(cv2.imencode(".png", np.zeros((5, 5), np.uint8))[1].tobytes())
    if how == "cut":
        path.write_bytes(kept.read_bytes()[:200])
    words = {"gone": "no such raster", "png": "this is a PNG file", "cut": "broken or no image"}
    assert words[how] in image_of(client)["changed"]
    refused(client.post("/api/sessions/1/clicks", json={"x": 6, "y": 6}), words[how])
    assert words[how] in ok(client.post("/api/images/1/accept"), 422)["detail"]
    kept.replace(path)
    assert image_of(client)["changed"] is None
    assert len(ok(client.post("/api/sessions/1/clicks", json={"x": 6, "y": 6}))["clicks"]) == 1


def test_areas_follow_the_georeference(start, tmp_path):
    north = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
    client = start(bands=noise(0), transform=north)
    ok(client.post("/api/sessions", json={"image_id": 1}))
    ok(client.post("/api/sessions/1/clicks", json={"x": 6, "y": 6}))
    before = ok(client.post("/api/sessions/1/finish"))
    rewrite(tmp_path, noise(0), transform=north @ Affine.scale(2))
    ok(client.post("/api/images/1/accept"))
    (after,) = ok(client.get("/api/images/1/objects"))
    assert after["area_px"] == before["area_px"]
    assert after["area_m2"] == pytest.approx(4 * before["area_m2"], rel=1e-3)


def test_a_file_swapped_while_it_is_read(start, tmp_path, monkeypatch):
    client = start(bands=noise(0))
    image = image_of(client)
    read = files.read_bands

    def swapping(*args):
        found = read(*args)
        rewrite(tmp_path, noise(5))
        return found

    monkeypatch.setattr(files, "read_bands", swapping)
    refused(client.get("/api/images/1/tiles/0/0/0.png"), "written to while it was read")
    monkeypatch.undo()
    shown, keep = tile(client, image)
    np.testing.assert_array_equal(shown, np.moveaxis(noise(5), 0, -1))
    assert keep == "no-cache"


def test_addresses_of_tiles_are_the_projects_own(tmp_path, monkeypatch):
    hashes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        path = annotating.raster(tmp_path / name, bands=noise(0))
        os.utime(path, ns=(LATER, LATER))
        monkeypatch.chdir(tmp_path / name)
        here = annotating.context(path.parent.relative_to(path.parent))
        here.project.add_image(path.relative_to(path.parent))
        hashes.append(image_of(annotating.client(here))["recipe_hash"])
        here.project.close()
    assert hashes[0] != hashes[1]


def test_projects_of_earlier_versions_learn_the_stamp(tmp_path, monkeypatch):
    path = annotating.raster(tmp_path, bands=noise(0))
    here = annotating.context(tmp_path)
    monkeypatch.setattr(project, "size_and_time_of", lambda _: None)
    here.project.add_image(path)
    assert here.project.image(1).size_and_time is None
    client = annotating.client(here)
    assert image_of(client)["changed"] is None
    rewrite(tmp_path, noise(5))
    assert "its pixels are others" in image_of(client)["changed"]
    here.project.close()


def test_caches_of_earlier_versions_are_found_again(tmp_path):
    """What files made of a raster are called by."""
    file = tmp_path / "a.tif"
    file.write_bytes(b"abc")
    os.utime(file, ns=(5, 7))
    for path, words in ((file, "Stamp(size=3, modified=7)"), (tmp_path / "b.tif", "None")):
        name = hashlib.sha256(f"2|{path}|{words}".encode()).hexdigest()[:16]
        assert fingerprint_of(path) == name
