"""CVAT's interactor: requests as CVAT sends them, and the agent of its own SDK."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("fastapi")
import yaml

from rsisrefiner_jax.annotate.pictures import ArrayPicture
from rsisrefiner_jax.annotate.prompts import box_in_pixels, segmentation_task
from rsisrefiner_jax.annotate.segmenter import Segmenter
from rsisrefiner_jax.annotate.stateless import ClickOrder, StatelessSegmenter
from rsisrefiner_jax.annotate.windows import Click
from rsisrefiner_jax.errors import UserError
from tests import fakes, integrations, tiny
from tests.integrations import HEIGHT, WIDTH

RECORDED = integrations.recorded("cvat")
ORDER = [(30.25, 30.5, True), (37.0, 31.75, False), (33.5, 36.125, True), (26.5, 27.0, False)]
CLICKS = [Click(*click) for click in ORDER]


@pytest.fixture(scope="module")
def main():
    return integrations.load("cvat", "main")


@pytest.fixture(scope="module")
def make():
    """Makes segmenters of a network whose answer depends on the order of clicks."""
    with tiny.quick_compilation():
        programs = fakes.programs(fakes.Disks(), fakes.PAPER)
        yield lambda: Segmenter(programs, largest=64)


@pytest.fixture
def interactor(main, make):
    segmenter = StatelessSegmenter(make=make)
    yield main.Interactor(segmenter)
    segmenter.stop()


def expected(make, clicks, box=None, seed=0):
    """The mask, bool [HEIGHT, WIDTH], of clicks in their order."""
    task, whole = segmentation_task(ArrayPicture(integrations.picture(seed)), clicks, box)
    return make().segment(task, whole).mask.within(0, 0, WIDTH, HEIGHT)


def body(request, seed=0):
    return {"image": integrations.png_text(integrations.picture(seed))} | request


def masked(reply):
    """What CVAT draws: rows of the box `bounds`, whose last row and column are in it."""
    left, top, right, bottom = reply["bounds"]
    rows = np.array(reply["mask"])
    assert rows.shape == (bottom - top + 1, right - left + 1)
    assert set(np.unique(rows)) <= {0, 255}
    whole = np.zeros((HEIGHT, WIDTH), bool)
    whole[top : bottom + 1, left : right + 1] = rows > 0
    return whole


def test_recorded_clicks_are_answered_in_their_order(interactor, make):
    for count, request in enumerate(RECORDED["requests"], 1):
        found = masked(interactor.reply(body(request)))
        np.testing.assert_array_equal(found, expected(make, CLICKS[:count]))
    assert found.any()
    listed = sorted(CLICKS, key=lambda click: not click.positive)
    assert (found != expected(make, listed)).any()


def test_undo_and_another_object_and_another_picture(interactor, make):
    for request in RECORDED["requests"]:
        interactor.reply(body(request))
    undone = masked(interactor.reply(body(RECORDED["requests"][1])))
    np.testing.assert_array_equal(undone, expected(make, CLICKS[:2]))
    again = masked(interactor.reply(body(RECORDED["requests"][3])))
    np.testing.assert_array_equal(again, expected(make, CLICKS))
    # Where nothing is known of the order, positive clicks come first.
    listed = sorted(CLICKS, key=lambda click: not click.positive)
    other = masked(interactor.reply(body(RECORDED["requests"][3], seed=1)))
    np.testing.assert_array_equal(other, expected(make, listed, seed=1))


def test_a_box(interactor, make):
    left_top, right_bottom = RECORDED["with_box"]["obj_bbox"]
    box = box_in_pixels((*left_top, *right_bottom), (WIDTH, HEIGHT), None, None)
    found = masked(interactor.reply(body(RECORDED["with_box"])))
    np.testing.assert_array_equal(found, expected(make, [], box))
    turned = {"obj_bbox": [right_bottom, left_top]}
    np.testing.assert_array_equal(masked(interactor.reply(body(turned))), found)
    more = RECORDED["requests"][0] | turned
    found = masked(interactor.reply(body(more)))
    np.testing.assert_array_equal(found, expected(make, CLICKS[:1], box))


def test_nothing_is_an_answer_that_the_page_can_draw(interactor):
    reply = interactor.reply(body({"pos_points": [], "neg_points": [[3, 4]], "obj_bbox": []}))
    assert reply == {"mask": [[0]], "bounds": [0, 0, 0, 0], "points": []}


class Context:
    """Nuclio's, as far as the function uses it."""

    Response = SimpleNamespace

    def __init__(self, interactor):
        self.said = []
        self.logger = SimpleNamespace(info=self.said.append, warn=self.said.append)
        self.user_data = SimpleNamespace(interactor=interactor)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (b"not json", "body: "),
        (["image"], "body: "),
        ({"image": None}, "image: "),
        ({"image": "%%%"}, "image: not in base64"),
        ({"image": "bm8gcGljdHVyZQ=="}, "image: no picture"),
        ({"pos_points": [[1, 2, 3]]}, "pos_points.0"),
        ({"pos_points": [["a", 2]]}, "pos_points.0.0"),
        ({"pos_points": [[float("nan"), 2]]}, "pos_points.0.0"),
        ({"pos_points": [[1, 2]] * 201}, "pos_points: "),
        ({"pos_points": [[80, 2]]}, "outside the image of 80 x 64 pixels"),
        ({"pos_points": []}, "give at least one, or a box"),
        ({"obj_bbox": [[1, 1]]}, "box: "),
        ({"obj_bbox": [[-9, -9], [-1, -1]]}, "covers nothing"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(main, interactor, given, words):
    context = Context(interactor)
    event = SimpleNamespace(body=body(given) if isinstance(given, dict) else given)
    reply = main.handler(context, event)
    assert (reply.status_code, reply.content_type) == (400, "application/json")
    assert words in json.loads(reply.body)["message"]
    assert context.said == [json.loads(reply.body)["message"]]


def test_a_picture_that_is_too_large(interactor, monkeypatch):
    from rsisrefiner_jax.annotate import pictures

    monkeypatch.setattr(pictures, "SENT_LIMIT", 1000)
    with pytest.raises(UserError, match="80 x 64 pixels are too many"):
        interactor.reply(body(RECORDED["requests"][0]))


def test_the_function_that_nuclio_deploys(main):
    function = yaml.safe_load((integrations.FOLDER / "cvat" / "function.yaml").read_text())
    about = function["metadata"]["annotations"]
    assert (about["type"], about["version"]) == ("interactor", 2)
    assert (about["min_pos_points"], about["min_neg_points"]) == (0, 0)
    assert about["startswith_box_optional"] is True
    assert about["help_message"]
    assert function["spec"]["handler"] == "main:handler"
    assert callable(main.handler)
    assert callable(main.init_context)
    (trigger,) = function["spec"]["triggers"].values()
    assert (trigger["kind"], trigger["maxWorkers"]) == ("http", 1)


def test_with_nuclios_own_event_and_response(main, make, monkeypatch):
    nuclio = pytest.importorskip("nuclio_sdk")
    monkeypatch.setattr(main, "StatelessSegmenter", lambda: StatelessSegmenter(make=make))
    context = nuclio.Context(logger=Context(None).logger)
    main.init_context(context)
    event = nuclio.Event(body=body(RECORDED["requests"][0]), content_type="application/json")
    reply = main.handler(context, event)
    assert isinstance(reply, nuclio.Response)
    assert reply.status_code == 200
    assert masked(json.loads(reply.body)).any()


def test_the_order_of_clicks():
    order = ClickOrder()
    a, b, c, d = [(click.x, click.y) for click in CLICKS]
    # After a restart, and of clicks that came at once.
    assert order.restored("x", [a, c], [b]) == (CLICKS[0], CLICKS[2], CLICKS[1])
    assert order.restored("y", [a], []) == (CLICKS[0],)
    assert order.restored("y", [a], [b]) == tuple(CLICKS[:2])
    assert order.restored("y", [a, c], [b]) == tuple(CLICKS[:3])
    assert order.restored("y", [a, c], [b, d]) == tuple(CLICKS)
    # Another object that begins with the same click.
    assert order.restored("y", [a, d], [b]) == (*CLICKS[:2], Click(*d, True))
    assert order.restored("y", [c], [b]) == (CLICKS[2], CLICKS[1])


def test_few_orders_are_kept(monkeypatch):
    from rsisrefiner_jax.annotate import stateless

    monkeypatch.setattr(stateless, "REMEMBERED", 3)
    order = ClickOrder()
    a, b, c = [(click.x, click.y) for click in CLICKS[:3]]
    for about in "xyz":
        order.restored(about, [a], [])
        order.restored(about, [a], [b])
    assert len(order._known) == 3
    assert order.restored("z", [a, c], [b]) == tuple(CLICKS[:3])
    assert order.restored("x", [a, c], [b]) == (CLICKS[0], CLICKS[2], CLICKS[1])


@pytest.fixture
def agent():
    pytest.importorskip("cvat_sdk.auto_annotation", reason="needs cvat-sdk")
    return integrations.load("cvat", "agent")


def test_an_agent_of_cvats_sdk(agent, make):
    import attrs
    import PIL.Image
    from cvat_sdk import auto_annotation, masks

    @attrs.frozen
    class Prompts(auto_annotation.InteractionPrompts):
        pos_points = attrs.field()
        neg_points = attrs.field()
        bounding_box = attrs.field(default=None)

    function = agent.Interactor(None, make)
    image = function.preprocess_image(None, PIL.Image.fromarray(integrations.picture()))
    for count, request in enumerate(RECORDED["requests"], 1):
        points = [tuple(map(tuple, request[name])) for name in ("pos_points", "neg_points")]
        (shape,) = function.detect(None, image, Prompts(*points))
        found = masks.decode_mask(shape.points, image_width=WIDTH, image_height=HEIGHT)
        np.testing.assert_array_equal(found, expected(make, CLICKS[:count]))
    assert shape.type == "mask"
    box = tuple(map(tuple, RECORDED["with_box"]["obj_bbox"]))
    (shape,) = function.detect(None, image, Prompts((), (), box))
    assert function.detect(None, image, Prompts((), ((3.0, 4.0),))) == []
    with pytest.raises(UserError, match="outside the image"):
        function.detect(None, image, Prompts(((80.0, 2.0),), ()))
    function._segmenter.stop()


def test_cvats_command_line_loads_the_agent(agent):
    pytest.importorskip("cvat_cli", reason="needs cvat-cli")
    from cvat_cli._internal.agent import get_function_driver_class
    from cvat_cli._internal.common import FunctionLoader

    file = integrations.FOLDER / "cvat" / "agent.py"
    function = FunctionLoader(None, file, {"checkpoint": "small"}).load()
    fields = get_function_driver_class(function.spec).get_remote_function_fields(function.spec)
    assert fields == {"min_pos_points": 0, "min_neg_points": 0, "startswith_box_optional": True}
