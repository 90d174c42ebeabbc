"""Clicks on rasters through the HTTP interface, with a fake network that heeds all it is given."""

import base64

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi")
import rasterio
import rasterio.warp
from rasterio.features import rasterize

from rsisrefiner_jax import parallel  # noqa: F401  (jax before rasterio's threads)
from rsisrefiner_jax.annotate.segmenter import Segmenter
from rsisrefiner_jax.data.raster import read_window
from rsisrefiner_jax.formats.masks import Mask, expand
from tests import annotating, fakes, tiny

HEIGHT, WIDTH = 200, 250  # one padded shape, so that little is compiled


@pytest.fixture(scope="module")
def programs():
    with tiny.quick_compilation():
        yield fakes.programs(fakes.Mixed(), fakes.PAPER)


@pytest.fixture
def start(programs, tmp_path):
    """Starts the server on a project; again after a stop, too."""
    bands = np.random.default_rng(1).integers(1, 255, (3, HEIGHT, WIDTH), np.uint8)
    annotating.raster(tmp_path, bands=bands)
    running = []

    def start(largest=256):
        for here in running:
            here.project.close()
        here = annotating.context(tmp_path, lambda: Segmenter(programs, largest=largest))
        running.append(here)
        here.project.add_image(tmp_path / "scene.tif")
        return annotating.client(here)

    yield start
    running[-1].worker.stop()
    running[-1].project.close()


def ok(reply, status=200):
    assert reply.status_code == status, reply.text
    return reply.json()


def click(client, session, x, y, positive=True, **more):
    given = {"x": x, "y": y, "positive": positive, **more}
    return ok(client.post(f"/api/sessions/{session}/clicks", json=given))


def apply(canvas, changed):
    """The canvas with a reply's window of changes."""
    canvas = canvas.copy()
    if changed["w"]:
        data = np.frombuffer(base64.b64decode(changed["png"]), np.uint8)
        x, y, w, h = (changed[key] for key in "xywh")
        canvas[y : y + h, x : x + w] = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) > 0
    return canvas


def outline(session):
    return annotating.pixels(session, (HEIGHT, WIDTH))


def test_clicks_undo_redo_and_finish(start):
    client = start()
    session = ok(client.post("/api/sessions", json={"image_id": 1}))
    assert session["clicks"] == []
    assert session["geometry"] is None
    canvas = np.zeros((HEIGHT, WIDTH), bool)
    states = []
    for x, y, positive in [(100.5, 150.5, True), (130, 140, False), (120, 60.2, True)]:
        session = click(client, 1, x, y, positive)
        canvas = apply(canvas, session["changed"])
        np.testing.assert_array_equal(canvas, outline(session))
        assert session["area_px"] == canvas.sum()
        states.append(canvas)
    assert len({state.tobytes() for state in states}) == 3
    for expected in states[1::-1]:
        session = ok(client.post("/api/sessions/1/undo"))
        canvas = apply(canvas, session["changed"])
        np.testing.assert_array_equal(canvas, expected)
    assert (session["can_undo"], session["can_redo"]) == (True, True)
    session = ok(client.post("/api/sessions/1/redo"))
    np.testing.assert_array_equal(outline(session), states[1])
    assert session["clicks"][-1] == {"x": 130, "y": 140, "positive": False}
    ok(client.put("/api/project/classes", json=[{"name": "house", "colour": "#ff0000"}]))
    given = {"class_id": 1, "attributes": {"floors": 2}}
    made = ok(client.post("/api/sessions/1/finish", json=given))
    assert (made["area_px"], made["clicks"]) == (states[1].sum(), 2)
    assert ok(client.post("/api/sessions/1/finish", json=given)) == made
    assert ok(client.get("/api/images/1/objects")) == [made]
    assert client.post("/api/sessions/1/undo").status_code == 409
    assert ok(client.get("/api/sessions?image_id=1")) == []


def test_a_restart_changes_nothing(start):
    client = start()
    for _ in range(2):
        ok(client.post("/api/sessions", json={"image_id": 1}))
    for session in (1, 2):
        for x, y, positive in [(200, 150, True), (20, 30, False), (240, 190, True)]:
            click(client, session, x, y, positive)
    ok(client.post("/api/sessions/1/undo"))
    ok(client.post("/api/sessions/2/finish"))
    views = ["/api/sessions?image_id=1", "/api/images/1/objects", "/api/sessions/2"]
    before = [ok(client.get(view)) for view in views]
    later = [ok(client.post("/api/sessions/1/undo")), click(client, 1, 100, 100)]
    ok(client.post("/api/sessions/1/undo"))
    ok(client.post("/api/sessions/1/redo"))
    client = start()
    assert [ok(client.get(view)) for view in views][1:] == before[1:]
    again = [ok(client.post("/api/sessions/1/undo")), ok(client.post("/api/sessions/1/redo"))]
    assert again[0]["geometry"] == later[0]["geometry"]
    assert again[1]["geometry"] == later[1]["geometry"]
    deeper = click(client, 1, 30, 140)
    ok(client.post("/api/sessions/1/undo"))
    client = start()
    assert click(client, 1, 30, 140)["geometry"] == deeper["geometry"]


def test_a_restart_changes_nothing_about_objects_larger_than_a_window(start):
    client = start(largest=64)
    ok(client.post("/api/sessions", json={"image_id": 1}))
    places = [(20, 20), (90, 60), (160, 100), (230, 180), (25, 25), (235, 20)]
    for n, (x, y) in enumerate(places[:5]):
        last = click(client, 1, x, y, n != 2)
    back = ok(client.post("/api/sessions/1/undo"))
    assert ok(client.post("/api/sessions/1/redo"))["geometry"] == last["geometry"]
    later = click(client, 1, *places[5])
    ok(client.post("/api/sessions/1/undo"))
    client = start(largest=64)  # nothing is kept but the journal
    assert click(client, 1, *places[5])["geometry"] == later["geometry"]
    ok(client.post("/api/sessions/1/undo"))
    assert ok(client.post("/api/sessions/1/undo"))["geometry"] == back["geometry"]
    asked = {"image_id": 1, "clicks": back["clicks"]}
    found = ok(client.post("/api/predict", json=asked))
    assert found["geometry"] == back["geometry"]
    left, _, right, _ = Mask(found["x"], found["y"], np.zeros((found["h"], found["w"]))).box
    assert right - left > 3 * 64


def test_the_journal_is_exported(start):
    client = start()
    ok(client.post("/api/sessions", json={"image_id": 1}))
    first = click(client, 1, 100, 90)
    click(client, 1, 20, 30, False)
    ok(client.post("/api/sessions/1/undo"))
    click(client, 1, 40, 50.5)
    ok(client.post("/api/sessions/1/finish"))
    found = ok(client.get("/api/images/1/export?format=clicks"))
    assert found["image"] == {"name": "scene.tif", "width": WIDTH, "height": HEIGHT}
    (session,) = found["sessions"]
    assert (session["object_id"], session["state"]) == (1, "finished")
    steps = session["steps"]
    assert [(s["x"], s["y"], s["positive"], s["kept"]) for s in steps] == [
        (100, 90, True, True),
        (20, 30, False, False),
        (40, 50.5, True, True),
    ]
    assert [s["time"] for s in steps] == sorted(s["time"] for s in steps)
    mask = Mask.decode(steps[0]["mask"]).within(0, 0, WIDTH, HEIGHT)
    np.testing.assert_array_equal(mask, outline(first))
    assert all(Mask.decode(s["mask"]).area for s in steps)


def test_a_repeated_request_happens_once(start):
    client = start()
    ok(client.post("/api/sessions", json={"image_id": 1}))
    first = click(client, 1, 200, 150, key="a")
    assert click(client, 1, 200, 150, key="a")["clicks"] == first["clicks"]
    click(client, 1, 220, 150, key="b")
    for _ in range(3):
        session = ok(client.post("/api/sessions/1/undo", json={"key": "c"}))
    assert session["clicks"] == first["clicks"]
    client = start()
    assert click(client, 1, 200, 150, key="a")["clicks"] == first["clicks"]


def test_an_object_is_refined(start):
    client = start()
    ok(client.put("/api/project/classes", json=[{"name": "house"}]))
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[100:150, 180:230] = True
    ok(client.post("/api/sessions", json={"image_id": 1}))
    session = ok(
        client.put("/api/sessions/1/mask", json={"x": 0, "y": 0, "png": annotating.grey_png(mask)})
    )
    np.testing.assert_array_equal(apply(np.zeros_like(mask), session["changed"]), mask)
    given = {"class_id": 1, "attributes": {"name": "shed"}}
    made = ok(client.post("/api/sessions/1/finish", json=given))
    session = ok(client.post("/api/sessions", json={"image_id": 1, "object_id": made["id"]}))
    assert session["geometry"] == made["geometry"]
    refined = click(client, 2, 240, 160)
    assert refined["geometry"] != made["geometry"]
    back = ok(client.post("/api/sessions/2/undo"))
    assert back["geometry"] == made["geometry"]
    ok(client.post("/api/sessions/2/redo"))
    again = ok(client.post("/api/sessions/2/finish"))
    assert again["geometry"] == refined["geometry"]
    for key in ("id", "class_id", "attributes"):
        assert again[key] == made[key]
    assert len(ok(client.get("/api/images/1/objects"))) == 1


def test_a_negative_click_alone_makes_no_object(start):
    client = start()
    ok(client.post("/api/sessions", json={"image_id": 1}))
    for x, y in [(100, 90), (20, 30)]:
        session = click(client, 1, x, y, False)
        assert (session["area_px"], session["geometry"]) == (0, None)
    assert client.post("/api/sessions/1/finish").status_code == 409
    clicks = session["clicks"]
    assert ok(client.post("/api/predict", json={"image_id": 1, "clicks": clicks}))["w"] == 0
    assert click(client, 1, 150, 120)["area_px"] > 0
    again = {"image_id": 1, "clicks": [*clicks, {"x": 150, "y": 120}]}
    found = ok(client.post("/api/predict", json=again))
    assert found["geometry"] == ok(client.get("/api/sessions/1"))["geometry"]
    assert ok(client.post("/api/sessions/1/undo"))["area_px"] == 0


def test_a_box_starts_an_object(start):
    client = start()
    session = ok(client.post("/api/sessions", json={"image_id": 1, "box": [100, 80, 180, 120]}))
    assert session["clicks"] == [{"x": 140, "y": 100, "positive": True}]
    x, _, w, _ = session["window"]
    assert x <= 100
    assert x + w >= 180
    for box, words in [
        ([300, 0, 600, 10], "box: it covers nothing of the image of 250 x 200 pixels"),
        ([10, 10, 10, 20], "box: give x0, y0, x1, y1 with x0 < x1 and y0 < y1"),
        ([180, 120, 100, 80], "not 180, 120, 100, 80"),
        ([100, 120, 180, 80], "not 100, 120, 180, 80"),
    ]:
        for more in ({}, {"object_id": 1}):
            given = {"image_id": 1, "box": box, **more}
            annotating.refused(client.post("/api/sessions", json=given), words)
    cut = ok(client.post("/api/sessions", json={"image_id": 1, "box": [200, -50, 300, 100]}))
    assert cut["clicks"] == [{"x": 225, "y": 50, "positive": True}]


def test_a_box_without_a_session(start):
    client = start()
    box = [100, 80, 180, 120]
    session = ok(client.post("/api/sessions", json={"image_id": 1, "box": box}))
    asked = {"image_id": 1, "box": box}
    found = ok(client.post("/api/predict", json=asked))
    assert found["geometry"] == session["geometry"]
    session = click(client, session["id"], 130, 90, False)
    clicks = [{"x": 130, "y": 90, "positive": False}]
    found = ok(client.post("/api/predict", json={**asked, "clicks": clicks}))
    assert found["geometry"] == session["geometry"]
    for given, words in [
        ({}, "clicks: give at least one, or a box"),
        ({"box": [300, 0, 600, 10]}, "box: it covers nothing of the image of 250 x 200 pixels"),
        ({"box": [10, 10, 10, 20]}, "box: give x0, y0, x1, y1 with x0 < x1 and y0 < y1"),
    ]:
        annotating.refused(client.post("/api/predict", json={"image_id": 1} | given), words)


def test_the_schema_says_what_coordinates_mean(start):
    schemas = ok(start().get("/api/openapi.json"))["components"]["schemas"]
    for model, field, words in [
        ("SessionIn", "box", "x0, y0, x1, y1"),
        ("SessionOut", "window", "x, y, width, height"),
        ("ObjectOut", "bbox", "left, top, right, bottom"),
        ("MaskIn", "png", "0 and 1, or 0 and 255"),
        ("MaskIn", "geometry", "GeoJSON"),
        ("MaskIn", "mode", "subtract"),
        ("ObjectIn", "geometry", "GeoJSON"),
        ("ObjectPatch", "geometry", "GeoJSON"),
        ("PredictIn", "prev_mask", "0 and 1, or 0 and 255"),
        ("PredictIn", "box", "x0, y0, x1, y1"),
        ("ClickIn", "x", "edge"),
        ("Point", "y", "edge"),
    ]:
        assert words in schemas[model]["properties"][field]["description"], (model, field)


def test_clicks_in_coordinates(start):
    client = start()
    point = ok(client.get("/api/images/1/point", params={"x": 200.5, "y": 150.5}))
    assert point["coordinates"] == pytest.approx(annotating.TURNED @ (200.5, 150.5))
    for _ in range(3):
        ok(client.post("/api/sessions", json={"image_id": 1}))
    click(client, 1, 200.5, 150.5)
    click(client, 2, *point["coordinates"], crs="EPSG:32632")
    click(client, 3, *point["lonlat"], crs="EPSG:4326")
    plain, ground, degrees = ok(client.get("/api/sessions"))
    assert plain["geometry"] == ground["geometry"] == degrees["geometry"]
    assert degrees["clicks"][0]["x"] == pytest.approx(200.5, abs=1e-3)
    for x, y, crs in [(1e9, 0, None), (0, 0, "EPSG:4326"), (1, 1, "EPSG:none"), (500, 1e300, None)]:
        given = {"x": x, "y": y, "positive": True, "crs": crs}
        assert client.post("/api/sessions/1/clicks", json=given).status_code == 422


def test_outlines_in_coordinates(start):
    """Asked for in a system, they cover there what they cover in pixels; and back again."""
    client = start()
    system = "EPSG:3857"
    ok(client.post("/api/sessions", json={"image_id": 1}))
    plain = click(client, 1, 120.5, 90.5)
    path = _scene(client)
    with rasterio.open(path) as file:
        grid, own = file.transform, file.crs

    def covered(geometry):
        there = rasterio.warp.transform_geom(system, own, geometry)
        return rasterize([there], out_shape=(HEIGHT, WIDTH), transform=grid).astype(bool)

    expected = outline(plain)
    (x,), (y,) = rasterio.warp.transform(own, system, *([v] for v in grid @ (120.5, 90.5)))
    there = {"x": x, "y": y, "positive": True}
    asked = {"params": {"crs": system}}
    given = {"json": {"crs": system}}
    replies = [
        client.get("/api/sessions/1", **asked),
        client.post("/api/predict", json={"image_id": 1, "clicks": [there]} | given["json"]),
    ]
    client.post("/api/sessions/1/undo", **given)
    replies += [
        client.post("/api/sessions/1/redo", **given),
        client.post("/api/sessions/1/finish", **given),
    ]
    for reply in replies:
        np.testing.assert_array_equal(covered(ok(reply)["geometry"]), expected)
    (listed,) = ok(client.get("/api/images/1/objects", **asked))
    assert listed == ok(replies[-1])
    assert listed["bbox"] == ok(client.get("/api/images/1/objects"))[0]["bbox"]
    square = rasterio.warp.transform_geom(own, system, _square(grid, 40))
    changed = client.patch("/api/objects/1", json={"geometry": square, "crs": system})
    np.testing.assert_array_equal(covered(ok(changed)["geometry"]), _square_pixels(40))
    (listed,) = ok(client.get("/api/images/1/objects"))
    assert listed["bbox"] == pytest.approx([10, 20, 50, 60], abs=1e-3)


@pytest.mark.parametrize("crs", ["EPSG:none", "nonsense"])
def test_unknown_systems_are_refused_before_anything_is_done(start, crs):
    client = start()
    assert client.post("/api/sessions", json={"image_id": 1, "crs": crs}).status_code == 422
    assert ok(client.get("/api/sessions")) == []
    ok(client.post("/api/sessions", json={"image_id": 1}))
    before = click(client, 1, 120, 90)
    for step in ("undo", "redo", "finish"):
        assert client.post(f"/api/sessions/1/{step}", json={"crs": crs}).status_code == 422
    again = ok(client.get("/api/sessions/1"))
    assert again == {key: value for key, value in before.items() if key != "changed"}


def test_probabilities_and_prediction_agree_with_the_session(start):
    client = start()
    ok(client.post("/api/sessions", json={"image_id": 1}))
    assert client.get("/api/sessions/1/probability.png").status_code == 404
    click(client, 1, 200, 150)
    session = click(client, 1, 220, 190, False)
    png = client.get("/api/sessions/1/probability.png").content
    grey = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    x, y, w, h = session["window"]
    assert grey.shape == (h, w)
    inside = outline(session)[y : y + h, x : x + w]
    assert grey[inside].min() >= 127
    assert grey[~inside].max() <= 128
    rgb = read_window(str(_scene(client)), (0, 0, HEIGHT, WIDTH))[0]
    sent = base64.b64encode(cv2.imencode(".png", rgb[..., ::-1])[1]).decode()
    clicks = session["clicks"]
    for source in (
        {"image_id": 1},
        {"image": sent},
        {"path": f"{_scene(client).parent.name}/scene.tif"},
    ):
        found = ok(client.post("/api/predict", json={**source, "clicks": clicks}))
        assert found["geometry"] == session["geometry"]
        pixels = expand(found["mask"]["rle"], tuple(found["mask"]["size"]))
        whole = Mask(found["x"], found["y"], pixels).within(0, 0, WIDTH, HEIGHT)
        np.testing.assert_array_equal(whole, outline(session))
    start = annotating.grey_png(outline(session))
    more = ok(
        client.post("/api/predict", json={"image": sent, "clicks": clicks, "prev_mask": start})
    )
    assert more["geometry"] != session["geometry"]


def _square_pixels(side):
    square = np.zeros((HEIGHT, WIDTH), bool)
    square[20 : 20 + side, 10 : 10 + side] = True
    return square


def _square(grid, side):
    """On the ground: `side` pixels from (10, 20) on."""
    ring = [(10, 20), (10 + side, 20), (10 + side, 20 + side), (10, 20 + side), (10, 20)]
    return {"type": "Polygon", "coordinates": [[grid @ corner for corner in ring]]}


def _scene(client):
    return client.app._app.state.context.project.image(1).path.resolve()
