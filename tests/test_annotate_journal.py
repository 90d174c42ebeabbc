"""Nothing is lost: the project after a kill, and requests that make no sense."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rsisrefiner_jax.annotate import journal
from rsisrefiner_jax.annotate.lease import Lease
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.refusals import Conflict
from rsisrefiner_jax.annotate.routes import files
from rsisrefiner_jax.annotate.safety import Roots
from rsisrefiner_jax.annotate.segmenter import Segmenter
from rsisrefiner_jax.data.project import raster_paths
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.formats.outlines import outlined
from tests import annotating

# Says the number of every click once the project has taken it.
CLICKER = """
import sys
from pathlib import Path
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.refusals import Conflict
from rsisrefiner_jax.annotate.safety import Roots
folder = Path(sys.argv[1])
project = Project(folder / "project", Roots([folder]))
for number in range(int(sys.argv[2]), 100_000):
    if number % 5 == 4:
        project.sessions.step(1, "undo", key=f"undo {number}")
    project.sessions.step(1, "click", {"x": number, "y": 1, "positive": True}, key=str(number))
    print(number, flush=True)
"""


def test_no_click_is_lost_by_kills(tmp_path):
    annotating.raster(tmp_path)
    project = Project(tmp_path / "project", Roots([tmp_path]))
    project.add_image(tmp_path / "scene.tif")
    project.sessions.start(1)
    project.close()
    rng = np.random.default_rng(0)
    acknowledged = -1
    for _ in range(3):
        command = [sys.executable, "-c", CLICKER, str(tmp_path), str(acknowledged + 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            first = process.stdout.readline()
            time.sleep(rng.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
            said = [first, *process.stdout.readlines()]
        acknowledged = int([line for line in said if line.endswith("\n")][-1])
        project = Project(tmp_path / "project", Roots([tmp_path]))
        everything = [int(step.x) for step in project.sessions.get(1).everything]
        assert everything in (list(range(acknowledged + 1)), list(range(acknowledged + 2)))
        last = len(everything)
        undone = {n - 1 for n in range(last) if n % 5 == 4}
        kept = [int(step.x) for step in project.sessions.get(1).steps]
        expected = [n for n in range(last) if n not in undone]
        # It may have been stopped after an undo, before the click that follows.
        assert kept in (expected, expected[:-1])
        project.close()


def test_a_project_opens_as_it_was(tmp_path):
    annotating.raster(tmp_path)
    project = Project(tmp_path / "project", Roots([tmp_path]))
    project.add_image(tmp_path / "scene.tif")
    project.set_classes(
        [{"name": "house", "colour": "#ff0000"}, {"name": "b", "colour": "#00ff00"}]
    )
    project.set_recipe(1, {"bands": [2], "percentiles": [1, 99], "stretch_8bit": True})
    found = annotating.items(annotating.shapes())
    found[1]["class"] = "lake"
    for id, item in zip([1, 2, 77, 3, 4, 5, 6], found, strict=True):
        item["id"] = id
    assert project.import_objects(1, found) == 0
    project.delete_object(3)
    project.delete_object(4)
    project.restore_object(4)
    square = outlined(shapely.box(1.5, 1, 9, 9), project.image(1).info)
    project.change_object(1, {"attributes": {"a": 1}, "class_id": 2}, square)
    session = project.sessions.start(1, object_id=77)
    project.sessions.step(session.id, "click", {"x": 1, "y": 2, "positive": False})
    project.sessions.finish(
        project.sessions.get(session.id), Mask(3, 4, np.ones((2, 2), bool)), None, {}
    )
    session = project.sessions.start(1, box=(1, 2, 30, 40), click=(15, 20))
    project.sessions.step(session.id, "click", {"x": 1, "y": 2, "positive": False})
    project.sessions.step(session.id, "undo")

    def everything(project):
        objects = [
            (o.id, o.class_id, o.attributes, o.clicks, o.encoded, o.drawn, o.shape.wkt)
            for o in project.objects(1)
        ]
        steps = [
            [(s.event, s.time, s.x, s.y, s.positive) for s in (*d.steps, None, *d.undone) if s]
            + [(d.id, d.box, d.start, d.open, bool(d.made), d.object_id, len(d.undone))]
            for d in project.sessions.all(only_open=False)
        ]
        return objects, steps, project.classes(), project.images()

    before = everything(project)
    assert [item[0] for item in before[0]] == [1, 2, 77, 4, 5, 6]
    project.close()
    again = Project(tmp_path / "project", Roots([tmp_path]))
    assert everything(again) == before
    again.close()


def test_what_is_still_at_work_when_the_project_is_closed(tmp_path, monkeypatch):
    """Closing takes a moment, in which the journal is closed and the lease is still held."""
    annotating.raster(tmp_path)
    release = Lease.release
    seen = []

    def late(lease):
        project.files.remember(1)  # says nothing: nobody asked for it
        with pytest.raises(Conflict, match="the server is stopping"):
            project.sessions.start(1)
        seen.append(lease.held)
        release(lease)

    monkeypatch.setattr(Lease, "release", late)
    project = Project(tmp_path / "project", Roots([tmp_path]))
    project.add_image(tmp_path / "scene.tif")
    project.close()
    assert seen == [True]


def test_project_and_rasters_may_be_moved_together(tmp_path):
    annotating.raster(tmp_path / "old")
    project = Project(tmp_path / "old" / "project", Roots([tmp_path / "old"]))
    project.add_image(tmp_path / "old" / "scene.tif")
    project.close()
    (tmp_path / "old").rename(tmp_path / "new")
    project = Project(tmp_path / "new" / "project", Roots([tmp_path / "new"]))
    assert project.source(project.image(1)).height == annotating.HEIGHT
    project.close()


def opens(project, root):
    """Whether the only image of a project is found."""
    opened = Project(project, Roots([root]))
    try:
        return opened.source(opened.image(1)).height == annotating.HEIGHT
    except UserError:
        return False
    finally:
        opened.close()


def add(project, scene, root):
    opened = Project(project, Roots([root]))
    opened.add_image(scene)
    assert opened.source(opened.image(1)).height == annotating.HEIGHT
    opened.close()
    assert opens(project, root)


def test_a_link_to_the_project_folder(tmp_path):
    """Say, on a larger disk than that of the raster."""
    scene = annotating.raster(tmp_path / "data")
    real, link = tmp_path / "large" / "disk" / "project", tmp_path / "data" / "project"
    real.mkdir(parents=True)
    link.symlink_to(real)
    add(link, scene, tmp_path)
    assert opens(real, tmp_path)
    (tmp_path / "other").symlink_to(real)
    assert opens(tmp_path / "other", tmp_path)
    # The raster is moved with the link, or all with the real folder.
    (tmp_path / "data").rename(tmp_path / "data moved")
    assert opens(tmp_path / "data moved" / "project", tmp_path)
    (tmp_path / "data moved").rename(tmp_path / "data")
    (tmp_path / "all").mkdir()
    for name in ("data", "large"):
        (tmp_path / name).rename(tmp_path / "all" / name)
    assert opens(tmp_path / "all" / "large" / "disk" / "project", tmp_path)


def test_a_link_to_the_parent_of_the_project_folder(tmp_path):
    real, link = tmp_path / "large" / "disk" / "data", tmp_path / "data"
    scene = annotating.raster(real)
    link.symlink_to(real)
    add(link / "project", link / scene.name, tmp_path)
    assert opens(real / "project", tmp_path)
    real.rename(tmp_path / "elsewhere")
    assert opens(tmp_path / "elsewhere" / "project", tmp_path)


def test_a_link_to_the_raster(tmp_path):
    scene = annotating.raster(tmp_path / "archive")
    data = tmp_path / "data"
    data.mkdir()
    (data / "scene.tif").symlink_to(scene)
    add(data / "project", data / "scene.tif", tmp_path)
    data.rename(tmp_path / "deep")
    assert opens(tmp_path / "deep" / "project", tmp_path)


def test_a_folder_named_from_where_one_is(tmp_path, monkeypatch):
    annotating.raster(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "project").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    add(Path("project"), Path("scene.tif"), Path())
    monkeypatch.chdir("/")
    assert opens(tmp_path / "real", tmp_path)


def test_projects_of_earlier_versions_with_links(tmp_path, monkeypatch):
    """Their paths are told from the folder as it was called."""
    scene = annotating.raster(tmp_path / "data")
    (tmp_path / "large" / "disk").mkdir(parents=True)
    (tmp_path / "data" / "project").symlink_to(tmp_path / "large" / "disk")
    told = {"path": os.path.join("..", scene.name)}
    monkeypatch.setattr(raster_paths, "relative_paths", lambda *_: told)
    add(tmp_path / "data" / "project", scene, tmp_path)


def test_a_full_disk(tmp_path):
    """What is refused did not take effect; what comes when there is room again does."""
    annotating.raster(tmp_path)
    here = annotating.context(tmp_path)
    here.project.add_image(tmp_path / "scene.tif")
    client = annotating.client(here)
    names = ["a" * 200 + str(number) for number in range(100)]
    many = [{"name": name[-200:], "colour": "#000000"} for name in names]
    here.project.journal._db.execute("PRAGMA max_page_count = 1")  # beyond those that there are
    for _ in range(3):
        reply = client.put("/api/project/classes", json=many)
        assert reply.status_code == 507
        assert "is full; nothing was done" in reply.json()["detail"]
        assert here.project.classes() == []
    assert client.post("/api/sessions", json={"image_id": 1, "key": "a"}).status_code == 200
    here.project.journal._db.execute("PRAGMA max_page_count = 1000000")
    assert len(client.put("/api/project/classes", json=many).json()) == len(many)
    here.worker.stop()
    here.project.close()
    again = Project(tmp_path / "project", Roots([tmp_path]))
    assert len(again.sessions.all()) == 1
    assert len(again.classes()) == len(many)
    again.close()


def test_an_import_on_a_full_disk(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    annotating.raster(tmp_path)
    here = annotating.context(tmp_path)
    here.project.add_image(tmp_path / "scene.tif")
    monkeypatch.setattr(files, "copy_limited", full)
    sent = {"file": ("a.geojson", b"{}")}
    reply = annotating.client(here).post("/api/images/1/import", files=sent)
    assert reply.status_code == 507
    assert reply.json()["detail"] == "a.geojson: the disk is full; nothing of it was kept"
    assert list(here.project.cache.iterdir()) == []
    here.worker.stop()
    here.project.close()


def test_a_result_that_cannot_be_kept(tmp_path):
    project = Project(tmp_path / "project", Roots([tmp_path]))
    project.journal._db.execute("PRAGMA max_page_count = 1")
    project.journal.keep_result(1, {"mask": "x" * 100_000})
    assert project.journal.result(1) is None
    project.set_classes([{"name": "a", "colour": "#000000"}])
    project.close()


def test_the_file_alone_is_nearly_the_whole_project(tmp_path, monkeypatch):
    """While a server runs; without events nothing is written."""
    monkeypatch.setattr(journal, "FOLDING", 0.05)
    project = Project(tmp_path / "project", Roots([tmp_path]))
    file = project.folder / "project.sqlite"
    for name in ("a", "b"):
        project.set_classes([{"name": name, "colour": "#000000"}])
        wal = file.with_name(f"{file.name}-wal")
        while wal.stat().st_size:
            time.sleep(0.01)
        copy = tmp_path / name
        copy.mkdir()
        shutil.copy(file, copy)
        copied = Project(copy, Roots([tmp_path]))
        assert [item.name for item in copied.classes()] == [name]
        copied.close()
    statements = []
    project.journal._db.set_trace_callback(statements.append)
    time.sleep(0.2)
    assert statements == []
    project.close()
    assert [path.name for path in project.folder.glob("project*")] == ["project.sqlite"]


NUMBERS = st.one_of(
    st.integers(-3, 5),
    st.floats(),
    st.sampled_from([2**31, 2**53, 2**63, -(2**63), 10**30, 44.5, 20, 59.999]),
)
TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["", "coco", "ids-png", "EPSG:4326", "../x", "data/scene.tif", "\ud800", "a"]),
)
ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=6,
)


def value(schema, components, draw):
    """A value that mostly fits a schema of the OpenAPI document."""
    if draw(st.integers(0, 19)) == 0:
        return draw(ANY)
    if "$ref" in schema:
        return value(components[schema["$ref"].rpartition("/")[2]], components, draw)
    if "anyOf" in schema:
        return value(draw(st.sampled_from(schema["anyOf"])), components, draw)
    kind = schema.get("type")
    if kind == "object":
        named = schema.get("properties", {})
        wanted = [n for n in named if n in schema.get("required", ()) or draw(st.booleans())]
        return {name: value(named[name], components, draw) for name in wanted} or draw(
            st.dictionaries(TEXTS, ANY, max_size=2)
        )
    if kind == "array":
        parts = schema.get("prefixItems") or [schema.get("items", {})] * draw(st.integers(0, 3))
        return [value(part, components, draw) for part in parts]
    if kind in ("integer", "number"):
        return draw(st.one_of(st.integers(1, 3), st.integers(0, 50), NUMBERS))
    return draw({"boolean": st.booleans(), "string": TEXTS, "null": st.none()}.get(kind, ANY))


def request(document, draw):
    """A method, a path and its parts, at random from the OpenAPI document."""
    path = draw(st.sampled_from(sorted(document["paths"])))
    method = draw(st.sampled_from(sorted(document["paths"][path])))
    about = document["paths"][path][method]
    components = document["components"]["schemas"]
    query = {}
    for parameter in about.get("parameters", ()):
        if parameter["in"] == "path":
            number = draw(
                st.one_of(st.integers(1, 3), st.sampled_from([1, 0, 10**20, -1, "x", "%00"]))
            )
            path = path.replace(f"{{{parameter['name']}}}", str(number))
        elif parameter["required"] or draw(st.booleans()):
            text = str(value(parameter["schema"], components, draw))
            query[parameter["name"]] = text.encode("utf-8", "replace").decode()
    options = {"params": query}
    content = about.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        options["json"] = value(content["application/json"]["schema"], components, draw)
    if "multipart/form-data" in content and ("json" not in options or draw(st.booleans())):
        options.pop("json", None)
        name = draw(st.sampled_from(["a.tif", "a.png", "a.json", "a.zip", "a.gpkg", "a.txt", "a"]))
        options["files"] = {"file": (name, draw(st.binary(max_size=60)))}
    if "json" in options:
        import json

        body = json.dumps(options.pop("json"))  # also what is no JSON by the letter, as NaN
        options |= {"content": body, "headers": {"content-type": "application/json"}}
    return method, path, options


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A server with a raster, objects and sessions, whose model is a fake."""
    from tests import fakes, tiny

    folder = tmp_path_factory.mktemp("busy") / "data"
    annotating.raster(folder)
    with tiny.quick_compilation():
        programs = fakes.programs(fakes.Mixed(), fakes.PAPER)
        here = annotating.context(folder, lambda: Segmenter(programs, largest=256))
        here.project.add_image(folder / "scene.tif")
        here.project.import_objects(1, annotating.items(annotating.shapes()))
        for _ in range(3):
            here.project.sessions.start(1)
        client = annotating.client(here)
        reply = client.post("/api/sessions/1/clicks", json={"x": 4, "y": 5, "positive": True})
        assert reply.status_code == 200
        yield client, here
        here.worker.stop()
        here.project.close()


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_breaks_the_server(busy, data):
    client, _ = busy
    document = client.get("/api/openapi.json").json()
    method, path, options = request(document, data.draw)
    reply = client.request(method, path, **options)
    assert reply.status_code < 500, (method, path, options, reply.text)
    if reply.status_code >= 400:
        assert set(reply.json()) == {"detail"}
        assert isinstance(reply.json()["detail"], str)


def test_clients_at_the_same_time(busy):
    """Five of them clicking, undoing and looking; every session ends as its own client left it."""
    client, _ = busy

    def work(seed):
        rng = np.random.default_rng(seed)
        session = client.post("/api/sessions", json={"image_id": 1}).json()["id"]
        clicks = []
        for _ in range(12):
            chance = rng.random()
            if chance < 0.25 and clicks:
                reply = client.post(f"/api/sessions/{session}/undo")
                clicks.pop()
            elif chance < 0.5:
                reply = client.get("/api/images/1/tiles/0/0/0.png")
            elif chance < 0.6:
                reply = client.get("/api/images/1/objects")
            else:
                given = {"x": rng.uniform(0, 90), "y": rng.uniform(0, 60), "positive": True}
                reply = client.post(f"/api/sessions/{session}/clicks", json=given)
                clicks.append(given)
            assert reply.status_code == 200, reply.text
        return session, clicks

    with ThreadPoolExecutor(5) as pool:
        for session, clicks in pool.map(work, range(5)):
            assert client.get(f"/api/sessions/{session}").json()["clicks"] == clicks
