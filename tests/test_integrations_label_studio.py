"""Label Studio's ML backend: requests as Label Studio sends them, and its own libraries."""

import copy
import sys

import numpy as np
import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax.annotate.segmenter import Segmentation
from rsisrefiner_jax.annotate.windows import Click
from rsisrefiner_jax.data.raster import Window
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.masks import EMPTY, Mask
from tests import integrations
from tests.integrations import HEIGHT, WIDTH

RECORDED = integrations.recorded("label_studio")
CLICKS = [Click(30.25, 30.5, True), Click(37.0, 31.75, False)]
BOX = (20.0, 16.0, 60.0, 48.0)
LABELS = ["building", "water"]


@pytest.fixture(scope="module")
def regions():
    return integrations.load("label_studio", "regions")


def context(**changes):
    """The recorded one; changes: of its last region."""
    found = copy.deepcopy(RECORDED["params"]["context"])
    found["result"][-1].update(changes)
    return found


def answer():
    """An object with a hole, seen whole."""
    pixels = np.zeros((12, 20), bool)
    pixels[1:11, 2:19] = True
    pixels[4:6, 5:9] = False
    probabilities = np.full((HEIGHT, WIDTH), 0.75, np.float32)
    mask = Mask(30, 25, pixels).trimmed()
    return Segmentation(mask, Window(0, 0, HEIGHT, WIDTH), probabilities, 0.1)


def test_recorded_regions_are_clicks_and_a_box(regions):
    found = regions.prompts_in(context())
    assert list(regions.clicks_of(found)) == CLICKS
    assert regions.box_of(found) == BOX
    assert regions.label_of(found, LABELS) == "water"
    regions.require_size(found, WIDTH, HEIGHT)
    points = regions.prompts_in({"result": context()["result"][1:]})
    assert regions.box_of(points) is None
    plain = context()
    del plain["result"][-1]["is_positive"]  # a point that the smart tool did not make
    assert regions.clicks_of(regions.prompts_in(plain))[-1].positive


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": "brushlabels"}, "context.result.2"),
        ({"value": {"x": 1, "keypointlabels": ["water"]}}, "value.y"),
        ({"value": {"x": "a", "y": 1, "keypointlabels": ["water"]}}, "value.x"),
        ({"value": {"x": float("inf"), "y": 1, "keypointlabels": ["water"]}}, "value.x"),
        ({"value": {"x": 1, "y": 1, "keypointlabels": []}}, "value.keypointlabels"),
        ({"original_width": 0}, "original_width"),
        ({"image_rotation": 90}, "turn them back"),
    ],
)
def test_regions_that_are_not_understood(regions, changes, words):
    with pytest.raises(UserError, match=words):
        regions.prompts_in(context(**changes))


def test_a_turned_box(regions):
    turned = context()
    turned["result"][0]["value"]["rotation"] = 30
    with pytest.raises(UserError, match="turn them back"):
        regions.prompts_in(turned)


def test_another_label_and_another_size(regions):
    found = regions.prompts_in(context())
    with pytest.raises(UserError, match=r"'water' is none of .*\(ship\)"):
        regions.label_of(found, ["ship"])
    with pytest.raises(UserError, match="40 x 30 pixels, but Label Studio says 80 x 64"):
        regions.require_size(found, 40, 30)


def test_a_brush_region(regions):
    seen = []
    made = regions.prediction(
        answer(), (WIDTH, HEIGHT), ("mask", "image"), "water", lambda mask: seen.append(mask) or [7]
    )
    (region,) = made["result"]
    assert region["value"] == {"format": "rle", "rle": [7], "brushlabels": ["water"]}
    assert (region["type"], region["from_name"], region["to_name"]) == (
        "brushlabels",
        "mask",
        "image",
    )
    assert (region["original_width"], region["original_height"]) == (WIDTH, HEIGHT)
    assert made["score"] == region["score"] == 0.75
    (mask,) = seen
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask > 0, answer().mask.within(0, 0, WIDTH, HEIGHT))
    empty = Segmentation(EMPTY, Window(0, 0, 4, 4), np.zeros((4, 4), np.float32), 0.1)
    nothing = regions.prediction(empty, (WIDTH, HEIGHT), ("mask", "image"), "water", None)
    assert nothing == {"result": [], "score": 0.0}


def test_the_sdk_reads_the_mask_back(regions):
    brush = pytest.importorskip("label_studio_sdk.converter.brush", reason="needs its SDK")
    names = ("mask", "image")
    made = regions.prediction(answer(), (WIDTH, HEIGHT), names, "water", brush.mask2rle)
    pixels = brush.decode_rle(made["result"][0]["value"]["rle"])
    found = np.reshape(pixels, (HEIGHT, WIDTH, 4))[..., 3] > 0
    np.testing.assert_array_equal(found, answer().mask.within(0, 0, WIDTH, HEIGHT))


class Fake:
    """A segmenter that remembers what it was asked."""

    name = "fake"

    def __init__(self):
        self.asked = []

    def segment(self, *asked):
        self.asked.append(asked)
        return answer()


@pytest.fixture
def backend(regions, monkeypatch, tmp_path):
    """(the module of the backend, a client of its server, the segmenter behind it)."""
    pytest.importorskip("label_studio_ml.response", reason="needs label-studio-ml 2")
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    monkeypatch.setitem(sys.modules, "regions", regions)
    model = integrations.load("label_studio", "model")
    from label_studio_ml.api import init_app

    fake = Fake()
    monkeypatch.setattr(model, "segmenter", lambda: fake)
    file = tmp_path / "scene.png"
    file.write_bytes(integrations.png(integrations.picture()))
    monkeypatch.setattr(model.RSISRefiner, "get_local_path", lambda *_, **__: str(file))
    return model, init_app(model.RSISRefiner).test_client(), fake


def request(**changes):
    config = (integrations.FOLDER / "label_studio" / "label_config.xml").read_text()
    return copy.deepcopy(RECORDED) | {"label_config": config} | changes


def test_the_backend_answers_as_label_studio_expects(backend):
    from label_studio_sdk.converter import brush
    from label_studio_sdk.label_interface import LabelInterface

    _, client, fake = backend
    assert client.get("/health").json["status"] == "UP"
    given = request()
    ready = client.post("/setup", json={"project": "3.1", "schema": given["label_config"]})
    assert ready.json == {"model_version": "rsisrefiner fake"}
    reply = client.post("/predict", json=given)
    assert reply.status_code == 200, reply.text
    (made,) = reply.json["results"]
    assert made["model_version"] == "rsisrefiner fake"
    (region,) = made["result"]
    pixels = brush.decode_rle(region["value"]["rle"]).reshape(HEIGHT, WIDTH, 4)[..., 3]
    np.testing.assert_array_equal(pixels > 0, answer().mask.within(0, 0, WIDTH, HEIGHT))
    assert LabelInterface(given["label_config"]).validate_prediction(made)
    ((picture, clicks, box),) = fake.asked
    assert (list(clicks), box) == (CLICKS, BOX)
    np.testing.assert_array_equal(picture.read(Window(0, 0, HEIGHT, WIDTH)), integrations.picture())


def test_before_anything_is_drawn(backend):
    _, client, fake = backend
    reply = client.post("/predict", json=request(params={}))
    assert (reply.status_code, reply.json) == (200, {"results": []})
    assert fake.asked == []


def test_what_is_wrong_is_said_in_the_tools_own_form(backend):
    _, client, fake = backend
    other = request(label_config=request()["label_config"].replace("water", "sea"))
    turned = request(params={"context": context(image_rotation=90)})
    brushless = request(label_config="<View><Image name='image' value='$image'/></View>")
    nowhere = request(tasks=[{"id": 1, "data": {}}])
    for given, words in [
        (other, "'water' is none of the labels"),
        (turned, "turn them back"),
        (brushless, "no BrushLabels"),
        (nowhere, "no picture in 'image'"),
    ]:
        reply = client.post("/predict", json=given)
        assert reply.status_code == 422, reply.text
        assert words in reply.json["detail"]
    assert fake.asked == []


def test_a_picture_that_cannot_be_fetched(backend, monkeypatch):
    model, client, _ = backend

    def missing(*_, **__):
        raise FileNotFoundError("no host")

    monkeypatch.setattr(model.RSISRefiner, "get_local_path", missing)
    reply = client.post("/predict", json=request())
    assert reply.status_code == 422
    assert "LABEL_STUDIO_URL" in reply.json["detail"]
