"""Models of another kind: what surrounds them equals a plain loop; what is wrong is said."""

import dataclasses
import json
import sys

import numpy as np
import pytest

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation.evaluate import run_work
from rsisrefiner_jax.evaluation.external import (
    LoadedPredictor,
    evaluate_predictor,
    load_predictor,
)
from rsisrefiner_jax.evaluation.plan import target_of
from rsisrefiner_jax.interaction.clicks import Click
from rsisrefiner_jax.interaction.external import Asked, Question
from rsisrefiner_jax.interaction.external_views import ZoomIn
from rsisrefiner_jax.protocol import PRESETS
from tests import fakes, plain_session, tiny
from tests.external_fakes import SIDE, Batched, Single, answer, probability, scenes
from tests.plain_annotator import next_click
from tests.test_report import ROOT

SHORT = dataclasses.replace(PRESETS["paper"], max_clicks=4)
RITM = dataclasses.replace(PRESETS["ritm"], max_clicks=4, zoom_size=48, zoom_min_crop=40)


def loaded(predictor):
    size = getattr(predictor, "zoom_in_size", None)
    return LoadedPredictor("here:made", {}, predictor, size, {})


def evaluated(predictor, data, protocol=SHORT, **settings):
    """[(clicks, IoUs)] of every object."""
    with tiny.quick_compilation():
        run = evaluate_predictor(loaded(predictor), data, protocol, progress=False, **settings)
    return [(result.clicks, result.ious) for result in run.results]


def plain_loop(image, target, protocol, probability=probability):
    """What the harness must equal where whole pictures are shown."""
    clicks, ious, probs = [], [], np.zeros(target.shape, np.float32)
    while len(ious) < protocol.max_clicks:
        clicks.append(next_click(target, probs > protocol.pred_thr, clicks))
        probs = probability(image, clicks, probs).astype(np.float32)
        ious.append(np.float32(plain_session.iou(target, probs > protocol.pred_thr)))
        if ious[-1] >= np.float32(protocol.early_stop):
            break
    return tuple(clicks), tuple(ious)


def plain_zoomed_loop(image, target, protocol):
    """What it must equal with zoom-in."""

    def network(x, yx, label):
        return np.stack([one(*each) for each in zip(x, yx, label, strict=True)])

    def one(x, yx, label):
        used = label >= 0
        pairs = zip(yx[used].tolist(), label[used], strict=True)
        clicks = [Click(*place, bool(sign)) for place, sign in pairs]
        return answer(x[..., :3] * 255, clicks, x[..., 3]).astype(np.float32)

    trace = plain_session.simulate(network, image, target, protocol, SIDE)
    return trace.clicks, tuple(trace.ious)


@pytest.mark.parametrize("predictor", [Single, Batched])
def test_whole_pictures_as_a_plain_loop(predictor):
    data, made = scenes(), predictor()
    found = evaluated(made, data, batch_size=7)
    expected = [plain_loop(s.image, target_of(s, s.objects[0]), SHORT) for s in data]
    assert found == expected
    assert {len(ious) for _, ious in found} >= {1, 4}  # some stop early, some never
    if predictor is Batched:
        assert 1 < max(made.sizes) < 7  # of seven in flight, those of one size
    else:
        assert made.shown == len(data)  # a picture is shown once for all its clicks


@pytest.mark.parametrize(("predictor", "protocol"), [(Single, SHORT), (Batched, RITM)])
def test_zoomed_in_as_a_plain_loop(predictor, protocol):
    data = scenes()
    found = evaluated(predictor(SIDE), data, protocol, batch_size=7)
    for scene, (clicks, ious) in zip(data, found, strict=True):
        target = target_of(scene, scene.objects[0])
        expected = plain_zoomed_loop(scene.image, target, protocol)
        assert clicks == expected[0]
        np.testing.assert_allclose(ious, expected[1], atol=1e-6)
    assert any(len(ious) > 2 for _, ious in found)


class Disks:
    """A network of ours, asked as one of another kind."""

    zoom_in_size = SIDE

    def set_image(self, rgb):
        pass

    def predict(self, clicks, prev_mask):
        yx = np.full((1, 24, 2), -1, np.float32)
        label = np.full((1, 24), -1, np.int32)
        for slot, (y, x, positive) in enumerate(clicks):
            yx[0, slot], label[0, slot] = (y, x), positive
        features = np.zeros((1, SIDE, SIDE, 3), np.float32)
        given = fakes.Plain(fakes.Disks())
        logits = given(np.concatenate([features, prev_mask[None, ..., None]], -1), yx, label)
        return 1 / (1 + np.exp(-logits[0]))


def test_it_draws_as_our_own_loop():
    protocol = dataclasses.replace(SHORT, click_strategy="random")
    data = fakes.source()
    ours = fakes.evaluation(data, protocol, fakes.Disks(), seed=3)
    theirs = evaluated(Disks(), data, protocol, seed=3)
    assert theirs == [(result.clicks, result.ious) for result in ours.results]


def test_a_crop_is_shown_with_its_mirror_image():
    image = fakes.noise()
    loop = fakes.Loop(fakes.Disks(), SHORT, 1)
    with tiny.quick_compilation():
        view = ZoomIn(image, loop)
        plain, mirror = view.ask(Click(40, 50, True))
        view.take([np.ones((SIDE, SIDE)), np.ones((SIDE, SIDE))])
        (again, _), roi = view.ask(Click(20, 30, False)), view.roi
    np.testing.assert_array_equal(mirror.image, plain.image[:, ::-1])
    assert mirror.clicks[0].x == pytest.approx(SIDE - 1 - plain.clicks[0].x)
    assert (plain.image.dtype, plain.prev_mask.dtype) == (np.float32, np.float32)
    assert again.image is plain.image  # the crop has not moved
    assert again.prev_mask.min() > 1 - 1e-6
    assert roi == (0, 99, 0, 119)


class Says:
    """A predictor that always gives the same answer."""

    def __init__(self, said, batch=False):
        self.said = said
        if batch:
            self.predict_batch = lambda images, clicks, prev_masks: said

    def set_image(self, rgb):
        pass

    def predict(self, clicks, prev_mask):
        return self.said


class Graph:
    """A tensor that does not want to become an array."""

    def __array__(self, *args, **kwargs):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.\nmore")


@pytest.mark.parametrize(
    ("predictor", "message"),
    [
        (Says(np.zeros((4, 5))), r"predict must answer .*the mask must be \(6, 7\), not \(4, 5\)"),
        (Says(np.full((6, 7), np.nan)), "holds values from nan to nan"),
        (Says(np.full((6, 7), -3.5)), "holds values from -3.5 to -3.5"),
        (Says([[1, 2], [3]]), r"what predict answers must be an array \("),
        (Says(Graph()), r"must be an array \(Can't call numpy\(\) on Tensor that requires grad.\)"),
        (Says(None), "predict must answer probabilities"),
        (Says(np.zeros((2, 6, 7)), True), r"predict_batch must answer \[b, h, w\] with b = 1, not"),
        (Says(np.zeros((1, 6, 8)), True), r"predict_batch must answer .* not \(6, 8\)"),
    ],
)
def test_a_wrong_answer_is_one_sentence(predictor, message):
    asked = Asked(predictor, "here:made")
    question = Question(np.zeros((6, 7, 3), np.uint8), (), np.zeros((6, 7), np.float32))
    with pytest.raises(UserError, match=rf"^--predictor here:made: .*{message}") as caught:
        asked.answers([question])
    assert "\n" not in str(caught.value)


MODULE = """
import numpy
class Predictor:
    def __init__(self, **about): self.__dict__.update(about)
    def set_image(self, rgb): pass
    def predict(self, clicks, prev_mask): return prev_mask
def good(value="1"): return Predictor(about={"value": value}, zoom_in_size=int(value) * 64)
def other(): return 5
def small(): return Predictor(zoom_in_size=0.5)
def about(): return Predictor(about={"x": numpy.ones(2)})
class Own: pass
def broken(): raise ValueError("inside")
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of the shell's folder."""
    (tmp_path / "their_model.py").write_text(MODULE)
    (tmp_path / "needs.py").write_text("import surely_not_installed.part")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("their_model", "needs"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("their_model", [], "expected package.module:factory"),
        ("their_model.py:good", [], "there is no module their_model.py"),
        ("their model:good", [], "expected package.module:factory"),
        ("no_such.place:good", [], "there is no module no_such; run this where"),
        ("needs:good", [], "needs imports surely_not_installed, which is not installed"),
        ("their_model:bad", [], "their_model has no function bad"),
        ("their_model:good", ["size=3"], "takes other --options .*'size'"),
        ("their_model:good", ["value"], "--options value: expected NAME=VALUE"),
        ("their_model:other", [], "made a int, which lacks set_image"),
        ("their_model:small", [], "zoom_in_size=0.5 must be None or a whole number"),
        ("their_model:about", [], "`about` must be a dict of JSON values"),
    ],
)
def test_a_wrong_factory_is_one_sentence(module, name, options, message):
    with pytest.raises(UserError, match=message) as caught:
        load_predictor(name, options)
    assert "\n" not in str(caught.value)


def test_a_factory_is_called_with_its_options(module):
    found = load_predictor("their_model:good", ["value=2"])
    assert found.settings() == {
        "predictor": "their_model:good",
        "options": {"value": "2"},
        "zoom_in_size": 128,
        "about": {"value": "2"},
    }
    with pytest.raises(ValueError, match="inside"):  # its own errors are its author's to see
        load_predictor("their_model:broken")


def test_the_protocol_in_force():
    whole = loaded(Single()).in_force(PRESETS["ritm"])
    assert whole.title == "ritm with zoom_skip_clicks=20, zoom_size=None, flip=False"
    assert loaded(Single(448)).in_force(PRESETS["ritm"]) == PRESETS["ritm"]
    with pytest.raises(UserError, match=r"protocol.zoom_size=400 must lie in 2..64"):
        loaded(Single(64)).in_force(PRESETS["ritm"])


EVALUATED = """
from tests.external_fakes import Single
def factory(weights="a"):
    made = Single(64)
    made.about = {"weights": weights, "parameters": 7}
    return made
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """eval.main on `scenes()` in a folder with a factory; returns the number of objects."""
    import rsisrefiner_jax.data.spec
    from rsisrefiner_jax.evaluation.results import ResultLog

    (tmp_path / "evaluated_model.py").write_text(EVALUATED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    import eval as command

    logged, append = [], ResultLog.append
    monkeypatch.setattr(ResultLog, "append", lambda log, r: (logged.append(r), append(log, r)))
    monkeypatch.setattr(rsisrefiner_jax.data.spec, "open_source", lambda spec, recipe: scenes(5))

    def main(*arguments):
        logged.clear()
        monkeypatch.setattr(sys, "argv", ["eval.py", *map(str, arguments)])
        with tiny.quick_compilation():
            command.main()
        return len(logged)

    yield main
    sys.modules.pop("evaluated_model", None)


def test_eval_py_goes_on_and_does_not_mix(tmp_path, command, capsys):
    out = tmp_path / "out"
    arguments = [
        "--predictor", "evaluated_model:factory", "--data", "synthetic", "--out", out,
        "--limit", 3, "--set", "protocol.max_clicks=4",
    ]  # fmt: skip
    assert command(*arguments) == 3
    assert "Protocol: paper with max_clicks=4" in capsys.readouterr().out
    results = json.loads((out / "results.json").read_text())
    assert results["model"] == {
        "kind": "predictor",
        "parameters": 7,
        "trainable": None,
        "batched": False,
        "predictor": "evaluated_model:factory",
        "options": {},
        "zoom_in_size": 64,
        "about": {"weights": "a", "parameters": 7},
    }
    assert results["checkpoint"] == "evaluated_model:factory"
    entry = results["datasets"]["synthetic"]
    assert entry["objects"] == 3
    assert entry["seconds_per_click"] > 0
    assert (out / "report.html").stat().st_size > 0
    whole = (out / "objects.jsonl").read_text()
    (out / "objects.jsonl").write_text("".join(whole.splitlines(keepends=True)[:2]) + '{"torn')
    assert command(*arguments) == 1
    assert (out / "objects.jsonl").read_text() == whole
    with pytest.raises(UserError, match=r"options.weights was None, now b"):
        command(*arguments, "--options", "weights=b")
    with pytest.raises(UserError, match=r"only protocol\., data\. and eval\. fields"):
        command(*arguments, "model.theta=1")


def test_eval_py_repeats_what_is_random(tmp_path, command):
    out = tmp_path / "out"
    seeds = ["protocol.max_clicks=3", "protocol.click_strategy=random", "eval.seeds=2"]
    arguments = ["--predictor", "evaluated_model:factory", "--limit", "2", "--out", out]
    assert command(*arguments, "--data", "synthetic", "--set", *seeds) == 4
    entry = json.loads((out / "results.json").read_text())["datasets"]["synthetic"]
    assert entry["seeds"] == 2
    assert entry["noc_ci95"]["90"][0] <= entry["noc"]["90"]


def test_processes_share_the_objects():
    data = scenes(5)
    everything = evaluated(Single(), data)
    parts = [evaluated(Single(), data, rank=rank, count=2) for rank in (0, 1)]
    assert (parts[0], parts[1]) == (everything[::2], everything[1::2])


def test_run_work_needs_an_object():
    with pytest.raises(UserError, match="holds no object"):
        run_work(
            None, [], SHORT, dataset="", rank=0, count=1, seed=0, limit=None, finished=(),
            on_object=None, progress=False,
        )  # fmt: skip
