"""Masks and outlines that clients send: what they mean, where they are cut."""

import base64
import json

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi")
import shapely

from rsisrefiner_jax.annotate import pictures
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats import geometry, georeference
from rsisrefiner_jax.formats.masks import Mask
from tests import annotating
from tests.annotating import HEIGHT, WIDTH, refused


@pytest.fixture
def client(here, data):
    """A client of a server with one image and no model."""
    here.project.add_image(data / "scene.tif")
    yield annotating.client(here)
    here.worker.stop()


def ok(reply):
    assert reply.status_code == 200, reply.text
    return reply.json()


def png(pixels, ending=".png"):
    return base64.b64encode(cv2.imencode(ending, pixels)[1]).decode()


def box(left, top, right, bottom):
    """bool [h, w]."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


def session(client, mask=None, **about):
    """The id of a new one, with a mask in it."""
    id = ok(client.post("/api/sessions", json={"image_id": 1, **about}))["id"]
    if mask is not None:
        put(client, id, png=annotating.grey_png(mask))
    return id


def put(client, id, **given):
    return ok(client.put(f"/api/sessions/{id}/mask", json=given))


def forms(mask):
    """A mask as every picture that means one."""
    grey = mask.astype(np.uint8)
    return {
        "0 and 1": png(grey),
        "0 and 255": png(255 * grey),
        "16 bits": png(mask.astype(np.uint16)),
        "colours": png(np.dstack([255 * grey] * 3)),
        "transparent": png(np.dstack([255 * grey] * 4)),
        "named": "data:image/png;base64," + png(grey),
        "probabilities": png(mask.astype(np.float32), ".tiff"),
    }


@pytest.mark.parametrize("form", forms(box(0, 0, 1, 1)))
def test_every_form_of_a_mask_means_the_same(client, form):
    mask = box(10, 5, 30, 20)
    found = put(client, session(client), png=forms(mask)[form])
    np.testing.assert_array_equal(annotating.pixels(found), mask)
    sent = pictures.mask_sent(forms(mask)[form], "prev_mask")
    np.testing.assert_array_equal(sent.pixels, mask)


def test_what_is_no_mask_is_refused_and_changes_nothing(client):
    mask = box(10, 5, 30, 20)
    id = session(client, mask)
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    ids = mask.astype(np.uint8) * 7
    for wrong, words in [
        (noise, "png: the mask must hold"),
        (ids, "values from 0 to 7"),
        (np.dstack([noise, noise // 2, noise]), "png: a picture in colours is no mask"),
    ]:
        refused(client.put(f"/api/sessions/{id}/mask", json={"png": png(wrong)}), words)
        with pytest.raises(UserError, match="prev_mask: "):
            pictures.mask_sent(png(wrong), "prev_mask")
    np.testing.assert_array_equal(annotating.pixels(ok(client.get(f"/api/sessions/{id}"))), mask)
    for value in (255, 1):
        whole = put(client, id, png=png(np.full((HEIGHT, WIDTH), value, np.uint8)))
        assert whole["area_px"] == HEIGHT * WIDTH
    assert put(client, id, png=png(np.zeros((4, 4), np.uint8)))["area_px"] == 0


def polygon(*corners):
    """GeoJSON of a ring."""
    return geometry.to_json(shapely.Polygon(corners))


def wide(left=70.5):
    """A bar that leaves the image on the right, from within."""
    return polygon((left, 10), (500, 10), (500, 30), (left, 30))


CUT = {"type": "Polygon", "coordinates": [[[70.5, 10], [90, 10], [90, 30], [70.5, 30]]]}
NOTE = "went beyond the image"


def exported(client, format):
    """Of every exported outline its box in pixels: left, top, right, bottom."""
    found = ok(client.get("/api/images/1/export", params={"format": format}))
    if format == "geojson":
        info = client.app._app.state.context.project.image(1).info
        shapes = [shapely.geometry.shape(f["geometry"]) for f in found["features"]]
        return [
            s.bounds
            for s in georeference.shapes_in_pixels(info, georeference.WGS84, np.array(shapes))
        ]
    rings = [np.reshape(one["segmentation"][0], (-1, 2)) for one in found["annotations"]]
    return [(*ring.min(0).tolist(), *ring.max(0).tolist()) for ring in rings]


def is_cut(client, one):
    """Whether an object ends where the image does, in every reply and file."""
    assert shapely.geometry.shape(one["geometry"]).equals(shapely.geometry.shape(CUT))
    assert one["bbox"] == [70.5, 10, 90, 30]
    assert ok(client.get("/api/images/1/objects"))[-1]["bbox"] == one["bbox"]
    for format in ("coco-polygons", "geojson"):
        assert exported(client, format)[-1] == pytest.approx(one["bbox"], abs=1e-2)
    return True


@pytest.mark.parametrize("crs", [None, "EPSG:32632"])
def test_an_outline_that_is_changed_is_cut_to_the_image(client, crs):
    info = client.app._app.state.context.project.image(1).info

    def there(shape):
        if crs is None:
            return shape
        (placed,) = georeference.shapes_in_crs(info, [geometry.from_json(shape)], crs)
        return geometry.to_json(placed)

    ok(client.post(f"/api/sessions/{session(client, box(5, 5, 20, 20))}/finish"))
    inside = polygon((1, 1), (90, 1), (90, 60), (1, 60))
    changed = ok(client.patch("/api/objects/1", json={"geometry": there(inside), "crs": crs}))
    assert changed["notes"] == []
    changed = ok(client.patch("/api/objects/1", json={"geometry": there(wide()), "crs": crs}))
    assert len(changed["notes"]) == 1
    assert NOTE in changed["notes"][0]
    (one,) = ok(client.get("/api/images/1/objects"))
    assert one["bbox"] == pytest.approx([70.5, 10, 90, 30], abs=1e-6)
    if crs is None:
        assert is_cut(client, one)
    for gone in (wide(100), polygon((-9, -9), (0, -9), (0, 0), (-9, 0))):
        reply = client.patch("/api/objects/1", json={"geometry": there(gone), "crs": crs})
        refused(reply, "geometry: it lies outside the image of 90 x 60 pixels")
    thin = polygon((10.6, 10), (10.9, 10), (10.9, 50), (10.6, 50))
    reply = client.patch("/api/objects/1", json={"geometry": there(thin), "crs": crs})
    refused(reply, "the centre of no pixel")
    assert ok(client.get("/api/images/1/objects")) == [one]


def test_parts_and_holes_are_cut_as_shapes(client):
    ok(client.post(f"/api/sessions/{session(client, box(5, 5, 20, 20))}/finish"))
    ring = shapely.box(-10, -10, 30, 30).difference(shapely.box(-5, -5, 10, 10))
    both = geometry.to_json(shapely.MultiPolygon([ring, shapely.box(95, 0, 99, 9)]))
    changed = ok(client.patch("/api/objects/1", json={"geometry": both}))
    np.testing.assert_array_equal(
        annotating.pixels(changed), box(0, 0, 30, 30) & ~box(0, 0, 10, 10)
    )
    assert changed["area_px"] == 800
    assert geometry.from_json(changed["geometry"]).area == 800


@pytest.mark.parametrize("name", ["a.geojson", "a_coco.json", "a.txt"])
def test_outlines_that_are_imported_are_cut_to_the_image(client, name):
    info = client.app._app.state.context.project.image(1).info
    outer = np.array([(100, 1), (120, 1), (120, 9), (100, 9)], float)
    inner = np.array([(1, 1), (9.5, 1), (9.5, 9), (1, 9)], float)
    bar = np.array(wide()["coordinates"][0][:4])
    rings = [inner, outer, bar]
    if name == "a.geojson":
        shapes = [
            georeference.shapes_in_crs(info, [shapely.Polygon(r)], georeference.WGS84)[0]
            for r in rings
        ]
        content = {
            "type": "FeatureCollection",
            "features": [
                {"type": "Feature", "properties": {}, "geometry": geometry.to_json(shape)}
                for shape in shapes
            ],
        }
        content = json.dumps(content)
    elif name == "a_coco.json":
        image = {"id": 1, "file_name": "scene.tif", "width": WIDTH, "height": HEIGHT}
        annotations = [{"image_id": 1, "segmentation": [r.ravel().tolist()]} for r in rings]
        content = json.dumps({"images": [image], "annotations": annotations})
    else:
        lines = [(r / [WIDTH, HEIGHT]).ravel().tolist() for r in rings]
        content = "".join(f"0 {' '.join(map(str, line))}\n" for line in lines)
    path = "/api/images/1/import"
    reply = ok(annotating.upload(client, name, content.encode(), path))
    assert (reply["objects"], reply["skipped"]) == (2, 1)
    assert reply["notes"][-1] == f"1 outlines {NOTE} and were cut to it"
    first, last = ok(client.get("/api/images/1/objects"))
    assert first["bbox"] == pytest.approx([1, 1, 9.5, 9], abs=1e-2)
    assert last["bbox"] == pytest.approx([70.5, 10, 90, 30], abs=1e-2)
    for format in ("coco-polygons", "geojson"):
        assert exported(client, format)[1] == pytest.approx(last["bbox"], abs=1e-2)


def test_an_outline_by_hand_has_come_of_no_click(client, here):
    item = annotating.items([Mask(5, 5, np.ones((15, 15), bool))], clicks=4)
    here.project.import_objects(1, item)
    ok(client.patch("/api/objects/1", json={"attributes": {"a": 1}}))
    assert ok(client.get("/api/images/1/objects"))[0]["clicks"] == 4
    changed = ok(client.patch("/api/objects/1", json={"geometry": wide()}))
    assert changed["clicks"] == 0
    found = ok(client.get("/api/images/1/export?format=coco"))
    assert found["annotations"][0]["clicks"] == 0
    (back,) = ok(client.post("/api/images/1/undo"))["changed"]
    assert back["clicks"] == 4


def start_all(client):
    """A session with a mask, and what is added and taken away."""
    return session(client, box(10, 10, 40, 30)), box(30, 20, 60, 40), box(0, 0, 20, 15)


@pytest.mark.parametrize("form", ["png", "geometry", "placed"])
@pytest.mark.parametrize("mode", ["replace", "add", "subtract", None])
def test_a_mask_is_replaced_added_or_taken_away(client, form, mode):
    id, more, less = start_all(client)
    before = box(10, 10, 40, 30)
    change = less if mode == "subtract" else more
    left, top, right, bottom = Mask(0, 0, change).trimmed().box
    given = {
        "png": {"png": annotating.grey_png(change)},
        "geometry": {"geometry": geometry.to_json(shapely.box(left, top, right, bottom))},
        "placed": {"png": annotating.grey_png(change[top:bottom, left:right]), "x": left, "y": top},
    }[form]
    found = put(client, id, **given, **({"mode": mode} if mode else {}))
    expected = {"add": before | more, "subtract": before & ~less}.get(mode, more)
    np.testing.assert_array_equal(annotating.pixels(found), expected)
    np.testing.assert_array_equal(
        annotating.pixels(ok(client.post(f"/api/sessions/{id}/undo"))), before
    )
    np.testing.assert_array_equal(
        annotating.pixels(ok(client.post(f"/api/sessions/{id}/redo"))), expected
    )
    made = ok(client.post(f"/api/sessions/{id}/finish"))
    assert made["area_px"] == expected.sum()


def test_outlines_of_a_session_lie_on_the_ground(client, here):
    info = here.project.image(1).info
    (shape,) = georeference.shapes_in_crs(info, [shapely.box(30, 20, 60, 40)], "EPSG:32632")
    given = {"geometry": geometry.to_json(shape), "crs": "EPSG:32632", "mode": "add"}
    id, more, _ = start_all(client)
    put(client, id, **given)
    found = ok(client.get(f"/api/sessions/{id}"))
    np.testing.assert_array_equal(annotating.pixels(found), box(10, 10, 40, 30) | more)
    found = put(client, id, geometry=wide())
    np.testing.assert_array_equal(annotating.pixels(found), box(71, 10, 90, 30))


def test_added_twice_by_one_key_is_added_once(client):
    id, more, _ = start_all(client)
    given = {"png": annotating.grey_png(more), "mode": "add", "key": "a"}
    once = put(client, id, **given)
    ok(client.post(f"/api/sessions/{id}/undo"))
    again = put(client, id, **given)
    assert again["area_px"] < once["area_px"]  # the undo came after it
    assert again["can_redo"]


def test_a_mask_is_added_to_what_was_seen_or_not_at_all(client, here, monkeypatch):
    """Another client's step in between is not lost."""
    id, more, less = start_all(client)
    result = here.results.result

    async def slow(session):
        found = await result(session)
        monkeypatch.setattr(here.results, "result", result)
        here.project.sessions.step(id, "mask", {"mask": Mask(0, 0, less).encode()})
        return found

    monkeypatch.setattr(here.results, "result", slow)
    given = {"png": annotating.grey_png(more), "mode": "add"}
    refused(client.put(f"/api/sessions/{id}/mask", json=given), "meanwhile", 409)
    np.testing.assert_array_equal(annotating.pixels(ok(client.get(f"/api/sessions/{id}"))), less)


def test_masks_that_cannot_be_meant(client):
    id, more, _ = start_all(client)
    mask, shape = annotating.grey_png(more), wide()
    for given, words in [
        ({}, "give one of png and geometry"),
        ({"png": mask, "geometry": shape}, "give one of png and geometry"),
        ({"geometry": shape, "x": 3}, "x and y: a geometry has its own place; leave them out"),
        ({"png": mask, "mode": "xor"}, "mode: "),
        ({"geometry": wide(95), "mode": "add"}, "geometry: it lies outside"),
        ({"geometry": {"type": "Point", "coordinates": [1, 1]}}, "geometry: give a GeoJSON"),
        ({"png": mask, "x": 1}, "png: 90 x 60 pixels at (1, 0) go beyond the image"),
    ]:
        refused(client.put(f"/api/sessions/{id}/mask", json=given), words)
    assert ok(client.get(f"/api/sessions/{id}"))["area_px"] == 600


def test_objects_that_are_too_large_together_are_refused(client, here, monkeypatch):
    from rsisrefiner_jax.formats import masks

    monkeypatch.setattr(masks, "BOX_LIMIT", 3000)
    id = session(client, box(0, 0, 9, 9))
    given = {"geometry": geometry.to_json(shapely.box(80, 50, 85, 55)), "mode": "add"}
    refused(client.put(f"/api/sessions/{id}/mask", json=given), "85 x 55 pixels is larger than")


def test_clicks_count_since_all_was_replaced(client, here):
    """By hand nothing is left of them; what is added or taken away leaves them."""
    sessions = here.project.sessions
    masks = [Mask(5, 5, np.ones((9, 9), bool)).encode()] * 2
    kept = {"replace": 1, "add": 3, "subtract": 3}
    for number, (mode, expected) in enumerate(kept.items(), 1):
        id = session(client)
        for step in ("click", "click", "mask", "click"):
            about = {"mask": masks[0], "mode": mode}
            fields = about if step == "mask" else {"x": 1, "y": 1, "positive": True}
            sessions.step(id, step, fields)
        here.project.journal.keep_result(
            sessions.get(id).steps[-1].event,
            {"mask": masks[0], "window": [0, 0, 9, 9], "seconds": 0},
        )
        assert ok(client.post(f"/api/sessions/{id}/finish"))["clicks"] == expected
        again = session(client, object_id=number)
        put(client, again, geometry=wide(), mode=mode)
        steps = ok(client.get("/api/images/1/export?format=clicks"))["sessions"][-1]["steps"]
        assert [one["mode"] for one in steps] == [mode]
        if mode != "subtract":
            refined = ok(client.post(f"/api/sessions/{again}/finish"))
            assert refined["clicks"] == (0 if mode == "replace" else expected)


def test_an_object_is_made_of_an_outline(client, here, data):
    ok(client.put("/api/project/classes", json=[{"name": "pier"}]))
    given = {"geometry": wide(), "class_id": 1, "attributes": {"a": 1}, "key": "a"}
    made = ok(client.post("/api/images/1/objects", json=given))
    assert NOTE in made["notes"][0]
    assert (made["class_id"], made["attributes"], made["clicks"]) == (1, {"a": 1}, 0)
    assert is_cut(client, made)
    assert ok(client.post("/api/images/1/objects", json=given)) == made
    given_less = {"geometry": polygon((1, 1), (9, 1), (1, 9))}
    plain = ok(client.post("/api/images/1/objects", json=given_less))
    assert (plain["id"], plain["class_id"], plain["notes"]) == (2, None, [])
    history = ok(client.get("/api/images/1/history"))
    assert history["undo"]["label"] == "object 2"
    assert ok(client.post("/api/images/1/undo"))["removed"] == [2]
    assert ok(client.post("/api/images/1/undo"))["removed"] == [1]
    refused(client.post("/api/images/1/objects", json=given), "object 1 is deleted", 404)
    ok(client.post("/api/images/1/redo"))
    before = ok(client.get("/api/images/1/objects"))
    assert [one["id"] for one in before] == [1]
    for wrong, words, status in [
        ({"geometry": wide(), "class_id": 7}, "class_id 7: there is no such class", 422),
        ({"geometry": wide(95)}, "geometry: it lies outside", 422),
        ({"geometry": wide(), "crs": "EPSG:none"}, "EPSG:none", 422),
        ({"class_id": 1}, "geometry: ", 422),
    ]:
        refused(client.post("/api/images/1/objects", json=wrong), words, status)
    assert client.post("/api/images/9/objects", json=given | {"key": "b"}).status_code == 404
    here.project.close()
    again = annotating.context(data)
    assert [one.id for one in again.project.objects(1)] == [1]
    assert again.project.objects(1)[0].shape.bounds == tuple(made["bbox"])
    again.project.close()


def test_outlines_in_pixels_come_to_a_thousandth_and_are_kept_as_they_are(client, here):
    corners = ((1.23456789, 2.00049), (9.87654321, 2), (5, 7.1234567))
    made = ok(client.post("/api/images/1/objects", json={"geometry": polygon(*corners)}))
    expected = {(1.235, 2.0), (9.877, 2.0), (5.0, 7.123)}
    (listed,) = ok(client.get("/api/images/1/objects"))
    for reply in (made, listed):
        assert set(map(tuple, reply["geometry"]["coordinates"][0])) == expected
    kept = shapely.get_coordinates(here.project.object(1).shape)
    assert set(map(tuple, kept)) == set(corners)
    (placed,) = ok(client.get("/api/images/1/objects?crs=EPSG:32632"))
    back = georeference.shapes_in_pixels(
        here.project.image(1).info,
        "EPSG:32632",
        np.array([geometry.from_json(placed["geometry"])]),
    )
    difference = shapely.get_coordinates(back[0])[:, None] - np.array(corners)
    assert abs(difference).max(axis=2).min(axis=1).max() < 1e-6
