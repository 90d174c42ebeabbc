"""The requests of samgeo's clients (GeoLibre), answered by the annotator's server."""

import base64
import io
import json

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi")
import rasterio
import rasterio.warp
from rasterio.features import rasterize

from rsisrefiner_jax import parallel  # noqa: F401  (jax before rasterio's threads)
from rsisrefiner_jax.annotate import safety
from rsisrefiner_jax.annotate.access import Access
from rsisrefiner_jax.annotate.app import make_app
from rsisrefiner_jax.annotate.segmenter import Segmenter
from rsisrefiner_jax.formats.masks import Mask
from tests import annotating, fakes, integrations, tiny
from tests.annotating import refused
from tests.integrations import HEIGHT, WIDTH

RECORDED = integrations.recorded("geolibre")
TOKEN = "so secret that nobody guesses it"
PAGE = "https://viewer.example"
CLICKS = [(30.5, 30.5, 1), (37.5, 31.5, 0), (33.5, 36.5, 1)]


@pytest.fixture(scope="module")
def programs():
    with tiny.quick_compilation():
        yield fakes.programs(fakes.Disks(), fakes.PAPER)


@pytest.fixture
def here(programs, tmp_path):
    bands = np.moveaxis(integrations.picture(), -1, 0)
    annotating.raster(tmp_path, bands=bands)
    here = annotating.context(tmp_path, lambda: Segmenter(programs, largest=64))
    yield here
    here.worker.stop()
    here.project.close()


@pytest.fixture
def client(here):
    return annotating.client(here)


@pytest.fixture
def scene(tmp_path, here):
    return tmp_path / "scene.tif"


def ask(client, file, fields, path="/segment/predict", **options):
    return client.post(path, files={"file": file}, data=fields, **options)


def in_degrees(scene, points):
    """Pixels (x, y) as [longitude, latitude]."""
    with rasterio.open(scene) as file:
        eastings, northings = np.transpose([file.transform @ point for point in points])
        found = rasterio.warp.transform(file.crs, "EPSG:4326", eastings, northings)
    return np.transpose(found).tolist()


def points(scene, clicks=CLICKS):
    """GeoLibre's form for clicks (x, y, label) in pixels."""
    coords = in_degrees(scene, [click[:2] for click in clicks])
    labels = [click[2] for click in clicks]
    return RECORDED["points"] | {
        "point_coords": json.dumps(coords),
        "point_labels": json.dumps(labels),
    }


def covered(scene, geometry):
    """Which pixels a geometry in degrees covers, bool [HEIGHT, WIDTH]."""
    with rasterio.open(scene) as file:
        there = rasterio.warp.transform_geom("EPSG:4326", file.crs, geometry)
        shape = (HEIGHT, WIDTH)
        return rasterize([there], out_shape=shape, transform=file.transform).astype(bool)


def expected(client, clicks=CLICKS, **about):
    """The reply of our own API."""
    given = [{"x": x, "y": y, "positive": bool(label)} for x, y, label in clicks]
    found = client.post("/api/predict", json={"clicks": given} | about)
    assert found.status_code == 200, found.text
    return found.json()


def test_geolibres_points(client, scene):
    reply = ask(client, ("scene.tif", scene.read_bytes(), "image/tiff"), points(scene))
    assert reply.status_code == 200, reply.text
    found = reply.json()
    assert found["type"] == "FeatureCollection"
    assert "CRS84" in found["crs"]["properties"]["name"]
    (feature,) = found["features"]
    assert 0.5 < feature["properties"]["score"] <= 1
    plain = expected(client, path=f"{scene.parent.name}/scene.tif")
    pixels = covered(scene, feature["geometry"])
    mask = Mask.decode({key: plain[key] for key in "xywh"} | {"rle": plain["mask"]["rle"]})
    np.testing.assert_array_equal(pixels, mask.within(0, 0, WIDTH, HEIGHT))
    assert feature["properties"]["area_px"] == mask.area == pixels.sum()


def test_one_more_click_costs_one_click(client, scene, monkeypatch):
    """The picture is known again by its content, whatever it is called."""
    asked = []
    answer = Segmenter._next
    monkeypatch.setattr(
        Segmenter, "_next", lambda self, *given: asked.append(given) or answer(self, *given)
    )
    content = scene.read_bytes()
    for count, name in enumerate(("a.tif", "b.tif", "c.tiff"), 1):
        reply = ask(client, (name, content), points(scene, CLICKS[:count]))
        assert reply.status_code == 200, reply.text
        assert len(asked) == count
    assert not list((scene.parent / "project" / "cache").glob("import-*"))


def test_geolibres_boxes(client, scene):
    boxes = [[10.5, 12.5, 30.5, 40.5], [40.5, 20.5, 70.5, 50.5]]
    corners = [in_degrees(scene, [(l, t), (r, t), (r, b), (l, b)]) for l, t, r, b in boxes]
    around = [
        [*np.min(corner, axis=0).tolist(), *np.max(corner, axis=0).tolist()] for corner in corners
    ]
    fields = RECORDED["box"] | {"boxes": json.dumps(around)}
    found = ask(client, ("scene.tif", scene.read_bytes()), fields).json()["features"]
    assert [feature["properties"]["value"] for feature in found] == [1, 2]
    path = f"{scene.parent.name}/scene.tif"
    for feature, box in zip(found, around, strict=True):
        plain = expected(client, [], path=path, box=box, crs="EPSG:4326")
        assert feature["geometry"] == plain["geometry"]


def test_a_picture_without_a_place_is_asked_in_pixels(client):
    sent = ("photo.png", integrations.png(integrations.picture()), "image/png")
    fields = {"point_coords": json.dumps([click[:2] for click in CLICKS])}
    fields["point_labels"] = json.dumps([click[2] for click in CLICKS])
    found = ask(client, sent, fields).json()
    assert "crs" not in found
    image = base64.b64encode(sent[1]).decode()
    (feature,) = found["features"]
    plain = expected(client, image=image)
    assert feature["geometry"] == plain["geometry"]
    drawn = ask(client, sent, fields | {"output_format": "png"})
    assert drawn.headers["content-type"] == "image/png"
    pixels = cv2.imdecode(np.frombuffer(drawn.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (pixels.shape, pixels.sum()) == ((HEIGHT, WIDTH), feature["properties"]["area_px"])
    refused(ask(client, sent, fields | {"point_crs": "EPSG:4326"}), "no coordinate reference")


def test_a_geotiff_lies_where_the_raster_does(client, scene):
    form = points(scene) | {"output_format": "geotiff"}
    reply = ask(client, ("scene.tif", scene.read_bytes()), form)
    with rasterio.open(io.BytesIO(reply.content)) as file, rasterio.open(scene) as given:
        assert (file.crs, file.transform, file.shape) == (given.crs, given.transform, given.shape)
        assert set(np.unique(file.read(1))) == {0, 1}


@pytest.mark.parametrize(
    ("fields", "words", "status"),
    [
        ({}, "give point_coords or boxes", 422),
        ({"point_coords": "", "boxes": ""}, "give point_coords or boxes", 422),
        ({"point_coords": "[[1, 2]"}, "point_coords: Invalid JSON", 422),
        ({"point_coords": "[" * 10_000}, "point_coords: Invalid JSON", 422),
        ({"point_coords": "[[[1, 2]]]"}, "point_coords: ", 422),
        ({"point_coords": "[[1, NaN]]"}, "point_coords: ", 422),
        ({"point_coords": "[[1, 2]]", "point_labels": "[1, 0]"}, "one for each", 422),
        ({"point_coords": "[[1, 2]]", "point_labels": "[2]"}, "point_labels: ", 422),
        ({"point_coords": "[[1, 2000]]"}, "outside the image of 80 x 64", 422),
        ({"point_coords": "[[1, 2]]", "point_crs": "EPSG:none"}, "EPSG:none", 422),
        ({"boxes": "[1, 2, 3, 4]"}, "boxes: ", 422),
        ({"boxes": "[[5, 5, 1, 1]]"}, "box: give x0, y0, x1, y1", 422),
        ({"point_coords": "[[1, 2]]", "boxes": "[[1, 1, 5, 5], [2, 2, 6, 6]]"}, "at most", 422),
        ({"point_coords": "[[1, 2]]", "output_format": "shp"}, "output_format: one of", 422),
        ({"point_coords": "[[1, 2]]", "min_size": "x"}, "min_size: ", 422),
        ({"point_coords": "[[40, 30]]", "min_size": "9999"}, "no object at these", 404),
        ({"point_coords": "[[40, 30]]", "point_labels": "[0]"}, "no object at these", 404),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(client, scene, fields, words, status):
    refused(ask(client, ("scene.tif", scene.read_bytes()), fields), words, status)


def test_files_that_are_no_rasters(client, scene, monkeypatch):
    fields = {"point_coords": "[[1, 2]]"}
    refused(ask(client, ("notes.txt", b"hello"), fields), "not a raster file")
    refused(ask(client, ("../../x.tif", b"hello"), fields), "broken or no image")
    refused(client.post("/segment/predict", data=fields), "multipart/form-data")
    refused(client.post("/segment/predict", json=fields), "multipart/form-data")
    monkeypatch.setattr(safety, "UPLOAD_LIMIT", 1000)
    refused(ask(client, ("scene.tif", scene.read_bytes()), fields), "larger than the 0 MiB")
    assert not list((scene.parent / "project" / "cache").glob("import-*"))


def test_what_clients_ask_besides(client):
    assert client.get("/health").json().keys() == {"status", "version"}
    assert client.get("/health").json()["status"] == "ok"
    assert client.get("/models").json()["models"] == {"rsisrefiner": ["tiny"]}
    for mode in ("text", "automatic"):
        refused(
            client.post(f"/segment/{mode}", data={"prompt": "tree"}), "no text and no automatic"
        )


# Who may ask.


def test_the_token_is_asked_for(here):
    client = annotating.client(here, token=TOKEN)
    paths = [("get", "/health"), ("get", "/models"), ("post", "/segment/predict")]
    paths += [("post", "/segment/text"), ("post", "/segment/none")]
    for method, path in paths:
        assert client.request(method, path).status_code == 401, path
        assert client.request(method, f"{path}?token={TOKEN}").status_code == 401, path
    # As clients make it of http://any:TOKEN@localhost.
    assert client.get("/health", auth=("any", TOKEN)).status_code == 200
    assert client.get("/health", auth=("any", "wrong")).status_code == 401
    assert client.get("/health", auth=(TOKEN, "")).status_code == 401
    assert client.get("/health", headers={"authorization": "Basic %"}).status_code == 401
    assert client.get("/health", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_pages_of_other_sites_that_are_allowed_may_ask_for_this_alone(here, scene):
    access = Access(allowed=(PAGE, "tauri://localhost"))
    client = annotating.TestClient(
        make_app(here, access.hosts(8000), None, access.origins(8000)), base_url="http://localhost"
    )
    other = {"sec-fetch-site": "cross-site"}
    for origin in (PAGE, "tauri://localhost"):
        headers = {"origin": origin, **other}
        file = ("scene.tif", scene.read_bytes())
        reply = ask(client, file, points(scene), headers=headers)
        assert reply.status_code == 200, reply.text
        assert reply.headers["access-control-allow-origin"] == origin
        assert reply.headers["vary"] == "Origin"
        wrong = ask(client, file, {}, headers=headers)
        assert (wrong.status_code, wrong.headers["access-control-allow-origin"]) == (422, origin)
        project = client.get("/api/project", headers=headers)
        refused(project, "other sites", 403)
        assert "access-control-allow-origin" not in project.headers
    for headers in ({"origin": "https://evil.example"}, other):
        reply = client.get("/health", headers=headers)
        refused(reply, "other sites", 403)
        assert "access-control-allow-origin" not in reply.headers
