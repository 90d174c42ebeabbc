"""Imports of many objects: how far they are, cancelling them, and files that are read once."""

import json
import threading

import numpy as np
import pytest

pytest.importorskip("fastapi")
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rsisrefiner_jax.annotate import imports
from rsisrefiner_jax.annotate.importing import reading
from rsisrefiner_jax.annotate.listing import prepare
from rsisrefiner_jax.annotate.replies import FlatObjectOut
from rsisrefiner_jax.annotate.views import object_out
from rsisrefiner_jax.formats import geometry, packing
from rsisrefiner_jax.formats.masks import Mask, areas_of
from rsisrefiner_jax.formats.outlines import along_pixels
from rsisrefiner_jax.formats.rings import from_rings, from_rings_each, single_ring, single_rings
from tests import annotating
from tests.annotating import HEIGHT, WIDTH
from tests.edits import ok
from tests.test_annotate_repeats import coco, send

BOXES = [(x, y, x + 4, y + 4) for x in range(0, 80, 6) for y in range(0, 50, 6)]


@pytest.fixture
def start(tmp_path):
    annotating.raster(tmp_path)
    here = annotating.context(tmp_path)
    here.project.add_image(tmp_path / "scene.tif")
    yield annotating.client(here), here
    here.project.close()


def test_a_file_that_was_previewed_is_read_once(start, monkeypatch):
    client, here = start
    read = []
    whole = reading.Reading.add
    monkeypatch.setattr(
        reading.Reading, "add", lambda self, *given: read.append(1) or whole(self, *given)
    )
    content = coco(BOXES[:5])
    assert ok(send(client, "a.json", content, "import/preview"))["objects"] == 5
    assert ok(send(client, "a.json", content))["objects"] == 5
    assert len(read) == 1
    assert ok(send(client, "a.json", content))["skipped"] == 5  # kept for one import alone
    assert len(read) == 2
    send(client, "a.json", content, "import/preview")
    assert ok(send(client, "a.json", coco(BOXES[5:8])))["objects"] == 3
    send(client, "a.json", coco(BOXES[8:9]), "import/preview")
    monkeypatch.setattr(imports, "KEPT", -1.0)  # too long ago
    assert ok(send(client, "a.json", coco(BOXES[8:9])))["objects"] == 1
    assert len(read) == 6
    assert len(here.project.objects(1)) == 9


@pytest.fixture
def halfway(monkeypatch):
    """Reading stops after the first twenty objects until `go` is set; `there` says that it has."""
    go, there = threading.Event(), threading.Event()
    monkeypatch.setattr(reading, "TOGETHER", 20)
    add = reading.Reading._add

    def slow(self, regions, info):
        add(self, regions, info)
        if len(self.items) == 40:
            there.set()
            assert go.wait(30)

    monkeypatch.setattr(reading.Reading, "_add", slow)
    yield there, go
    go.set()


@pytest.mark.parametrize("cancelled", [False, True])
def test_progress_of_an_import(start, halfway, cancelled):
    client, here = start
    there, go = halfway
    replies = []
    sending = threading.Thread(
        target=lambda: replies.append(send(client, "a.json", coco(BOXES), key="k1"))
    )
    before = {"done": 0, "total": 0, "seconds_left": None}
    assert client.get("/api/imports/k1").json() == before  # its file is not here yet
    sending.start()
    assert there.wait(30)
    found = client.get("/api/imports/k1").json()
    assert (found["done"], found["total"]) == (20, len(BOXES))
    if cancelled:
        assert client.delete("/api/imports/k1").status_code == 200
    go.set()
    sending.join(30)
    if cancelled:
        annotating.refused(replies[0], "the import was cancelled; nothing was added", 409)
        assert not here.project.objects(1)
    else:
        assert ok(replies[0])["objects"] == len(BOXES)
        assert client.get("/api/imports/k1").json()["done"] == len(BOXES)


def test_only_the_last_imports_are_known():
    known = imports.Imports()
    for number in range(imports.MOST + 1):
        known.begin(f"k{number}")
    assert len(known._progress) == imports.MOST
    assert "k0" not in known._progress


def test_an_import_cancelled_while_its_file_is_sent(start):
    client, here = start
    assert client.delete("/api/imports/k1").status_code == 200
    reply = send(client, "a.json", coco(BOXES), key="k1")
    annotating.refused(reply, "the import was cancelled; nothing was added", 409)
    assert not here.project.objects(1)
    assert ok(send(client, "a.json", coco(BOXES), key="k2"))["objects"] == len(BOXES)
    again = send(client, "a.json", coco(BOXES), key="k2")  # a key for the second time
    assert ok(again)["objects"] == 0


# Many at once: what comes of it is what comes of each by itself.


def test_boxes_side_by_side():
    rng = np.random.default_rng(0)
    sizes = np.concatenate([rng.integers(1, 300, (500, 2)), [(3000, 5), (5, 3000), (1, 1)]])
    seen = []
    for numbers, corners, (width, height) in packing.packed(sizes):
        ends = corners + sizes[numbers]
        assert (corners >= 0).all()
        assert (ends.max(axis=0) == (width, height)).all()
        assert max(width, height) <= packing.SIDE or len(numbers) == 1
        taken = np.zeros((height, width), bool)
        for (x, y), (right, bottom) in zip(corners, ends, strict=True):
            assert not taken[y:bottom, x:right].any()
            taken[y:bottom, x:right] = True
        seen += numbers.tolist()
    assert sorted(seen) == list(range(len(sizes)))


def stars(seed, count):
    """Polygons and MultiPolygons, some with holes, some beyond the image."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        centre, size = rng.uniform((-5, -5), (WIDTH + 5, HEIGHT + 5)), rng.uniform(1, 15)
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        radii = rng.uniform(size / 3, size, 9)
        corners = centre + np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)
        shape = geometry.united(geometry.flat(shapely.make_valid(shapely.Polygon(corners))))
        if number % 4 == 1:
            shape = shapely.difference(shape, shapely.Point(centre).buffer(size / 4))
        if number % 4 == 2:
            shape = shapely.union(shape, shapely.box(*(centre + size), *(centre + size + 2)))
        yield geometry.united(geometry.flat(shape))


@given(st.integers(0, 2**32))
@settings(max_examples=5, deadline=None)
def test_many_outlines_are_those_of_each(seed):
    shapes = np.array(list(stars(seed, 25)))
    masks = geometry.rasterised(shapes, WIDTH, HEIGHT)
    for shape, mask in zip(shapes, masks, strict=True):
        assert geometry.rasterise(shape, WIDTH, HEIGHT).same(mask)
    some = [mask for mask in masks if mask.area]
    encoded = [mask.encode() for mask in some]
    assert areas_of(encoded * 15) == [mask.area for mask in some] * 15
    traced = geometry.outlines_of(encoded)
    for outline, mask in zip(traced, some, strict=True):
        assert outline.equals_exact(geometry.polygons(mask), 0)
        assert outline.is_valid
    assert along_pixels(traced, some).all()
    moved = shapely.transform(traced, lambda xy: xy + 0.4)
    assert not along_pixels(moved, some).any()
    texts = geometry.to_json_all(shapes)
    for shape, text in zip(shapes, texts, strict=True):
        assert shapely.geometry.shape(text).equals_exact(shape, 0)
        assert text["type"] == shape.geom_type
    back = geometry.from_json_all(texts)
    assert all(one.equals_exact(other, 0) for one, other in zip(back, shapes, strict=True))
    several = geometry.several(shapes)
    assert {shape.geom_type for shape in several} == {"MultiPolygon"}
    assert shapely.equals(several, shapes).all()


def test_many_rings_are_those_of_each():
    shapes = np.array(list(stars(0, 60)))
    rings = single_rings(shapes)
    for shape, ring in zip(shapes, rings, strict=True):
        np.testing.assert_array_equal(ring, single_ring(shape))
    crossing = np.array([(0, 0), (9, 9), (9, 0), (0, 9.0)])
    given = [[ring] for ring in rings] + [[rings[0], rings[1]], [crossing], [crossing[:2]]]
    found = from_rings_each(given)
    for outline, own in zip(found, given, strict=True):
        assert outline.equals_exact(from_rings(own), 0) or outline.is_empty
    assert found[-1].is_empty
    assert from_rings_each([]).size == len(single_rings(shapes[:0])) == 0


def test_masks_cut_to_windows():
    mask = Mask(10, 20, np.random.default_rng(0).random((30, 40)) < 0.5)
    for window in ((0, 0, 90, 60), (15, 30, 10, 7), (0, 0, 5, 5), (45, 45, 40, 40)):
        part = mask.cut_to(*window)
        whole = part.within(0, 0, window[2], window[3])
        np.testing.assert_array_equal(whole, mask.within(*window))


@pytest.mark.parametrize("crs", [None, "EPSG:4326"])
def test_the_list_of_objects_is_that_of_each(start, crs):
    """The text of many is what the schema makes of each of them, also after a change."""
    client, here = start
    items = annotating.items(annotating.shapes(), attributes={"note": "größer", "floors": 3})
    items[1]["class"] = "roof"
    here.project.import_objects(1, items)
    query = {} if crs is None else {"crs": crs}
    for _ in range(2):
        found = client.get("/api/images/1/objects", params=query).json()
        expected = [object_out(one, crs).model_dump() for one in here.project.objects(1)]
        expected = json.loads(json.dumps(expected))
        assert found == expected
        if crs is None:
            assert flat_objects(client) == [flattened(one) for one in expected]
        ok(client.patch("/api/objects/1", json={"attributes": {"note": "other"}}))
    prepare(here.project)
    assert client.get("/api/images/1/objects").json()[0]["attributes"] == {"note": "other"}
    assert flat_objects(client)[0]["attributes"] == {"note": "other"}
    assert client.get("/api/images/1/objects?deleted=true").json() == []
    assert flat_objects(client, deleted=True) == []


def flat_objects(client, deleted=False):
    """The list of objects with their outlines as lists of numbers; as its schema says."""
    found = client.get("/api/images/1/objects/flat", params={"deleted": deleted}).json()
    assert [FlatObjectOut(**one).model_dump(mode="json") for one in found] == found
    return found


def flattened(given):
    """An object whose outline is GeoJSON as one whose outline is a list of numbers."""
    shape = given["geometry"]
    parts = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
    flat, ends = [], []
    for part in parts:
        ends.append([])
        for ring in part:
            for point in ring:
                flat += point
            ends[-1].append(len(flat))
    return given | {"geometry": {"flat": flat, "ends": ends}}
