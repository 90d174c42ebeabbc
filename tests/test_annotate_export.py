"""Exports that run by themselves: progress, cancel, failure, full disks, leftovers."""

import contextlib
import errno
import json
import os
import shutil
import subprocess
import threading
import time
import zipfile

import numpy as np
import pytest

pytest.importorskip("fastapi")
import shapely
from rasterio.errors import RasterioIOError

from rsisrefiner_jax.annotate import exports
from rsisrefiner_jax.annotate.export import FORMATS, checking, vectors
from rsisrefiner_jax.annotate.export import export as export_now
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.refusals import NoSpace
from rsisrefiner_jax.data.project import records
from rsisrefiner_jax.data.project.records import Object
from rsisrefiner_jax.formats import geometry, georeference
from rsisrefiner_jax.formats.layers import layers_of
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.formats.progress import Cancelled, Progress
from rsisrefiner_jax.formats.raster_info import Raster
from tests import annotating

VECTORS = ["gpkg", "shp"]


@pytest.fixture
def here(tmp_path):
    annotating.raster(tmp_path)
    here = annotating.context(tmp_path)
    here.project.add_image(tmp_path / "scene.tif")
    here.project.import_objects(1, annotating.items(annotating.shapes()))
    yield here
    here.exports.close()
    here.project.close()


@pytest.fixture
def client(here):
    return annotating.client(here)


@pytest.fixture
def held(monkeypatch):
    """Exports stop at their second object until this is set; `began` says that they are there."""
    gate, began = threading.Event(), threading.Event()
    step = Progress.each

    def slow(self, items):
        for number, item in enumerate(step(self, items)):
            if number == 1:
                began.set()
                gate.wait(30)
            yield item

    monkeypatch.setattr(Progress, "each", slow)
    gate.began = began
    yield gate
    gate.set()


def start(client, format="coco-polygons", **more):
    reply = client.post("/api/images/1/exports", json={"format": format, **more})
    assert reply.status_code == 202, reply.text
    return reply.json()


def ended(client, id):
    for _ in range(1000):
        found = client.get(f"/api/exports/{id}").json()
        if found["state"] != "running":
            return found
        time.sleep(0.01)
    raise AssertionError(found)


def left(here):
    """What exports have in the project's cache."""
    return list(here.project.cache.iterdir())


def empty_soon(here):
    for _ in range(500):
        if not left(here):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("name", FORMATS)
def test_a_job_gives_what_the_plain_export_gives(here, client, name):
    one = ended(client, start(client, name)["id"])
    assert (one["state"], one["error"], one["seconds_left"]) == ("done", None, None)
    assert one["done"] == one["total"] == one["total"] // 7 * 7  # each of the seven, some times
    assert one["total"] > 0 or name == "clicks"
    fetched = client.get(f"/api/exports/{one['id']}/file")
    plain = client.get("/api/images/1/export", params={"format": name})
    assert one["name"] in fetched.headers["content-disposition"]
    assert fetched.headers["content-disposition"] == plain.headers["content-disposition"]
    assert one["size"] == len(fetched.content)
    if name in ("coco", "coco-polygons", "geojson", "clicks"):
        assert json.loads(fetched.content) == json.loads(plain.content)
    client.delete(f"/api/exports/{one['id']}")
    assert client.get(f"/api/exports/{one['id']}").status_code == 404
    assert not left(here)


@pytest.mark.parametrize("name", FORMATS)
def test_without_objects(here, client, name):
    for object in here.project.objects(1):
        here.project.delete_object(object.id)
    one = ended(client, start(client, name)["id"])
    assert (one["state"], one["error"]) == ("done", None)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "clicks"])
def test_cancelled_in_the_middle(here, client, held, name):
    one = start(client, name)
    assert held.began.wait(30)
    now = client.get(f"/api/exports/{one['id']}").json()
    assert now["state"] == "running"
    assert 0 < now["done"] < now["total"]
    assert client.get(f"/api/exports/{one['id']}/file").status_code == 409
    assert client.delete(f"/api/exports/{one['id']}").status_code == 200
    held.set()
    assert ended(client, one["id"])["state"] == "cancelled"
    assert empty_soon(here)


def test_cancelled_too_late_to_stop(here, client, monkeypatch):
    """Its file goes all the same."""
    written, gate = exports.export, threading.Event()

    def late(*arguments):
        file = written(*arguments)
        gate.wait(30)
        return file

    monkeypatch.setattr(exports, "export", late)
    one = start(client)
    while not left(here):
        time.sleep(0.01)
    client.delete(f"/api/exports/{one['id']}")
    gate.set()
    assert ended(client, one["id"])["state"] == "cancelled"
    assert empty_soon(here)


def test_two_at_once_and_ten_in_all(here, client, held):
    ids = [start(client)["id"] for _ in range(exports.MOST)]
    assert held.began.wait(30)
    waiting = client.get(f"/api/exports/{ids[-1]}").json()
    assert (waiting["state"], waiting["total"], waiting["seconds_left"]) == ("running", 0, None)
    assert len(left(here)) <= exports.AT_ONCE
    refused = client.post("/api/images/1/exports", json={"format": "coco"})
    assert refused.status_code == 409
    assert "wait for one or cancel it" in refused.json()["detail"]
    client.delete(f"/api/exports/{ids[-1]}")
    held.set()
    states = [ended(client, id)["state"] for id in ids]
    assert states == ["done"] * 9 + ["cancelled"]
    last = start(client)["id"]
    assert client.get(f"/api/exports/{ids[0]}").status_code == 404  # the oldest made room
    assert ended(client, last)["state"] == "done"
    assert len(left(here)) <= exports.MOST


def test_finished_ones_are_forgotten(here, client, monkeypatch):
    monkeypatch.setattr(exports, "KEPT", 0.05)
    one = start(client)
    for _ in range(500):
        reply = client.get(f"/api/exports/{one['id']}")
        if reply.status_code == 404:
            break
        time.sleep(0.01)
    assert "kept for an hour" in reply.json()["detail"]
    assert not left(here)


def test_what_cannot_be_asked_for(here, client):
    for body in (
        {"format": "dwg"},
        {"format": "coco", "simplify": -1},
        {"format": "coco", "colour": 1},
        {},
    ):
        assert client.post("/api/images/1/exports", json=body).status_code == 422
    assert client.post("/api/images/9/exports", json={"format": "coco"}).status_code == 404
    for method in (client.get, client.delete):
        assert method("/api/exports/0123456789abcdef").status_code == 404
    assert client.get("/api/exports/..%2f..").status_code in (404, 422)
    assert not left(here)


def test_a_refusal_and_a_defect_are_said(here, client, monkeypatch, capsys):
    here.project.import_objects(
        1, [item | {"id": 70_000} for item in annotating.items(annotating.shapes()[:1])]
    )
    one = ended(client, start(client, "ids-png")["id"])
    assert (one["state"], one["name"]) == ("failed", None)
    assert "does not fit a PNG of 16 bits" in one["error"]
    monkeypatch.setitem(FORMATS, "coco", lambda job, folder: 1 / 0)
    one = ended(client, start(client, "coco")["id"])
    assert one["error"] == "a defect of this program (ZeroDivisionError); see its console"
    assert "1 / 0" in capsys.readouterr().err
    assert not left(here)


def test_a_job_has_the_objects_of_its_start(here, client, held):
    one = start(client, "coco")
    assert held.began.wait(30)
    for object in here.project.objects(1):
        here.project.delete_object(object.id)
    held.set()
    ended(client, one["id"])
    content = client.get(f"/api/exports/{one['id']}/file").json()
    assert len(content["annotations"]) == 7


def test_nothing_is_left_of_a_server_that_ended(here, client, held):
    start(client)
    assert held.began.wait(30)
    closing = threading.Thread(target=here.exports.close)
    closing.start()
    held.set()
    closing.join(30)
    assert not left(here)


def test_leftovers_of_a_killed_server_go(here):
    folder = here.project.folder
    here.project.close()
    rest = folder / "cache" / f"{exports.FOLDERS}abc"
    (rest / "labels").mkdir(parents=True)
    (rest / "labels" / "scene.txt").write_text("half")
    kept = folder / "cache" / "preview.tif"
    kept.write_text("")
    again = Project(folder, here.project.roots)
    assert left(here) == [kept]
    again.close()


def test_time_left():
    progress = Progress()
    assert progress.seconds_left is None
    progress.begin(4)
    steps = progress.each(range(4))
    next(steps), next(steps)
    assert progress.seconds_left is None  # too early to tell
    progress._began -= 10
    assert progress.seconds_left == pytest.approx(30, abs=1)
    progress.cancel()
    with pytest.raises(Cancelled):
        next(steps)


def raising(error):
    def write(*_, **__):
        raise error

    return write


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("place", "error", "status"),
    [
        ("rsisrefiner_jax.formats.json_stream.write", FULL, 507),
        ("rsisrefiner_jax.formats.json_stream.write", OSError(errno.EDQUOT, "quota"), 507),
        ("rsisrefiner_jax.annotate.exports.tempfile.mkdtemp", FULL, 507),
        (
            "rsisrefiner_jax.formats.json_stream.write",
            RasterioIOError("No space left on device"),
            507,
        ),
        ("rsisrefiner_jax.formats.json_stream.write", RasterioIOError("broken"), 422),
    ],
)
def test_errors_of_writers(here, client, monkeypatch, place, error, status):
    monkeypatch.setattr(place, raising(error))
    reply = client.get("/api/images/1/export?format=coco")
    assert reply.status_code == status
    said = reply.json()["detail"]
    assert ("the disk is full" if status == 507 else "broken") in said
    one = ended(client, start(client, "coco")["id"])
    assert (one["state"], one["error"]) == ("failed", said)
    assert not left(here)


def cut(file, keep):
    with open(file, "r+b") as content:
        content.truncate(int(file.stat().st_size * keep))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("gpkg", ".gpkg"),
        ("shp", ".shp"),
        ("shp", ".shx"),
        ("shp", ".dbf"),
        ("shp", ".prj"),
        ("ids-tif", ".tif"),
        ("classes-tif", ".tif"),
        ("ids-png", ".png"),
    ],
)
@pytest.mark.parametrize("keep", [0, 0.6])
def test_half_a_file_is_not_offered(here, client, monkeypatch, name, part, keep):
    """As GDAL leaves it, without an error, when the disk is full as it closes the file."""
    write = FORMATS[name]

    def half(job, folder):
        files = write(job, folder)
        for file in files:
            if file.suffix == part:
                cut(file, 0 if part == ".prj" else keep)
        return files

    monkeypatch.setitem(FORMATS, name, half)
    reply = client.get("/api/images/1/export", params={"format": name})
    assert reply.status_code == 507
    assert "whole" in reply.json()["detail"]
    assert not left(here)


def test_half_a_zip_or_a_database_that_lacks_rows(tmp_path, here):
    packed = tmp_path / "a.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.txt", "whole" * 1000)
    checking.require_whole(packed, 0)
    broken = packed.read_bytes().replace(b"whole", b"wrong", 1)
    for content in (broken, packed.read_bytes()[:-30], b""):
        packed.write_bytes(content)
        with pytest.raises(NoSpace):
            checking.require_whole(packed, 0)
    for name in VECTORS:
        folder = tmp_path / name
        folder.mkdir()
        (file, *_) = [
            f for f in FORMATS[name](here.exports.job(1), folder) if f.suffix in (".gpkg", ".shp")
        ]
        checking.require_whole(file, 7)
        with pytest.raises(NoSpace):
            checking.require_whole(file, 8)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB; skipped where none can be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "clicks"])
def test_a_full_disk(here, client, small_disk, name):
    """Whatever little room there is: a whole file or one sentence, and nothing of it left."""
    rng = np.random.default_rng(0)
    noise = [Mask(0, y, rng.random((40, 90)) < 0.5) for y in (0, 20) for _ in range(10)]
    here.project.import_objects(1, annotating.items(noise))
    here.project.cache = small_disk
    filler = small_disk / "filler"
    whole = client.get("/api/images/1/export", params={"format": name})
    assert whole.status_code in (200, 507), whole.text
    needed = min(len(whole.content) if whole.status_code == 200 else 2 << 20, 2 << 20)
    refused = 0
    for room in np.linspace(0, needed, 6).astype(int) // 4096 * 4096:
        with open(filler, "wb") as content, contextlib.suppress(OSError):
            content.write(bytes((2 << 20) - int(room)))
        reply = client.get("/api/images/1/export", params={"format": name})
        if reply.status_code == 200:
            assert len(reply.content) > 0.9 * len(whole.content)
        else:
            refused += 1
            assert reply.status_code == 507, reply.text
            assert "disk" in reply.json()["detail"]
        filler.unlink()
        assert not left(here), room
    assert refused


def test_objects_with_parts_are_bent_and_cut_as_single_ones(tmp_path):
    """Long edges get corners, and 180 degrees cuts, in every part of an object."""
    info = Raster("x", 1, 1, ("",), "uint8", None, "EPSG:3035", (1000, 0, 3e6, 0, -1000, 5e6))
    one, other = shapely.box(0, 0, 3000, 2000), shapely.box(3100, 0, 3110, 10)
    alone, both = georeference.shapes_in_crs(
        info, [one, shapely.MultiPolygon([one, other])], georeference.WGS84
    )
    assert shapely.get_num_coordinates(alone) > 100
    assert shapely.get_parts(both)[0].equals(alone)


def test_geojson_of_parts_across_the_antimeridian(tmp_path, here):
    import rasterio.warp
    from rasterio.transform import Affine

    (x,), (y,) = rasterio.warp.transform("EPSG:4326", "EPSG:32601", [-180], [50])
    annotating.raster(
        tmp_path, "far.tif", crs="EPSG:32601", transform=Affine(10, 0, x - 450, 0, -10, y + 300)
    )
    image = here.project.add_image(tmp_path / "far.tif")
    pixels = np.zeros((60, 90), bool)
    pixels[5:10, 20:70] = pixels[20:25, 20:70] = True
    here.project.import_objects(image.id, annotating.items([Mask(0, 0, pixels).trimmed()]))
    file = export_now(here.exports.job(image.id), "geojson", tmp_path)
    (feature,) = json.loads(file.read_text())["features"]
    shape = shapely.geometry.shape(feature["geometry"])
    assert shape.area < 1e-2  # degrees; no part goes round the earth
    assert len(shape.geoms) == 4


def test_coco_run_lengths_need_no_outlines(here, client, monkeypatch):
    monkeypatch.setattr(Object, "shape", property(raising(AssertionError)))
    for name in ("coco", "ids-tif", "ids-png", "classes-tif", "clicks"):
        assert client.get("/api/images/1/export", params={"format": name}).status_code == 200


def test_few_overlaps_are_few_comparisons(monkeypatch):
    """Only masks whose boxes meet are compared, and only where they do."""
    looked_at = []
    within = Mask.within

    def counted(self, x, y, width, height):
        looked_at.append(width * height)
        return within(self, x, y, width, height)

    monkeypatch.setattr(Mask, "within", counted)
    dots = [Mask(3 * x, 3 * y, np.ones((2, 2), bool)) for x in range(40) for y in range(40)]
    whole = Mask(0, 0, np.ones((120, 120), bool))
    assert layers_of(dots) == [0] * 1600
    assert not looked_at
    assert layers_of([*dots, whole]) == [0] * 1600 + [1]
    assert sum(looked_at) == 2 * 4 * 1600


def test_areas_are_found_many_at_a_time(here, client, monkeypatch):
    asked = []
    areas = georeference.areas_m2
    monkeypatch.setattr(
        records.georeference,
        "areas_m2",
        lambda info, shapes: asked.append(len(shapes)) or areas(info, shapes),
    )
    monkeypatch.setattr(vectors, "TOGETHER", 100)
    here.project.import_objects(1, annotating.items(annotating.shapes() * 30))
    assert client.get("/api/images/1/export?format=gpkg").status_code == 200
    assert max(asked) == 100
    assert len(asked) == 3


def test_outlines_of_many_rings_are_those_of_each(here):
    mask = annotating.shapes()[5]
    shape = geometry.polygons(mask)
    assert [part.geom_type for part in geometry.flat(shape)] == ["Polygon", "Polygon"]
    assert geometry.polygons(Mask(0, 0, np.zeros((3, 3), bool))).is_empty
