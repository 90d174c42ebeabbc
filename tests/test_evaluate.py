"""The click loop and the evaluation of data sets, with fake networks."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from rsisrefiner_jax.config import Config
from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation.clicker import Click
from rsisrefiner_jax.evaluation.evaluate import (
    ObjectResult,
    ResultLog,
    evaluate,
    summarize,
    target_of,
)
from rsisrefiner_jax.evaluation.simulate import ClickSession, simulate
from rsisrefiner_jax.protocol import PRESETS, preset

PAPER = PRESETS["paper"]
SIZE = 64


def disks(x, yx, label, double, radius=6.0):
    """A network that paints a disk at every click, later clicks over earlier ones."""
    y, c = np.mgrid[: x.shape[1], : x.shape[2]]
    logits = np.where(x[..., 3] > 0.5, 8.0, -8.0).astype(np.float32)
    for row, (points, signs) in enumerate(zip(yx, label, strict=True)):
        for (py, px), sign in zip(points, signs, strict=True):
            if sign >= 0:
                inside = (y - py) ** 2 + (c - px) ** 2 <= radius**2
                logits[row][inside] = 8.0 if sign else -8.0
    return logits


def everything(x, yx, label, double):
    """A network that answers "object" everywhere."""
    return np.full(x.shape[:3], 5.0, np.float32)


def bright(x, yx, label, double):
    """A network that answers "object" where the picture is bright."""
    return np.where(x[..., :3].mean(-1) > 0.5, 8.0, -8.0).astype(np.float32)


class Recorder:
    """Keeps what the network is given."""

    def __init__(self, network):
        self.network = network
        self.calls: list[tuple] = []

    def __call__(self, x, yx, label, double):
        assert (x.dtype, yx.dtype, label.dtype) == (np.float32, np.float32, np.int32)
        self.calls.append((x, yx, label, double))
        return self.network(x, yx, label, double)


def image(h=100, w=120, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8)


def rectangle(box, h=100, w=120):
    target = np.zeros((h, w), np.int8)
    target[box[0] : box[1], box[2] : box[3]] = 1
    return target


def test_what_the_network_is_given():
    network, picture = Recorder(disks), image(SIZE, SIZE)
    protocol = dataclasses.replace(PAPER, max_clicks=3, early_stop=None)
    target = rectangle((10, 21, 30, 51), SIZE, SIZE)
    trace = simulate(network, picture, target, protocol, SIZE)
    assert len(network.calls) == len(trace.ious) == len(trace.rois) == 3
    for step, (x, yx, label, double) in enumerate(network.calls):
        assert x.shape == (2, SIZE, SIZE, 4)
        assert yx.shape == (2, 24, 2)
        np.testing.assert_allclose(x[0, ..., :3], picture / 255, atol=1e-6)
        np.testing.assert_array_equal(x[1], x[0, :, ::-1])
        assert double == (step == 0) == (not x[..., 3].any())
        clicks = trace.clicks[: step + 1]
        np.testing.assert_allclose(yx[0, : step + 1], [(c.y, c.x) for c in clicks])
        np.testing.assert_allclose(
            yx[1, : step + 1], [(c.y, SIZE - c.x - 1) for c in clicks], atol=1e-5
        )
        assert label[0, : step + 1].tolist() == [c.positive for c in clicks]
        assert (label[:, step + 1 :] == -1).all()
        assert (yx[:, step + 1 :] == -1).all()
    assert trace.clicks[0] == Click(15, 35, True)
    assert trace.rois[0] == (0, SIZE - 1, 0, SIZE - 1)


def test_channel_order_and_single_call():
    network, picture = Recorder(disks), image(SIZE, SIZE)
    protocol = dataclasses.replace(PAPER, max_clicks=1, channel_order="bgr", flip=False)
    session = ClickSession(network, picture, protocol, SIZE)
    session.click(4, 5, True)
    x, yx, _, _ = network.calls[0]
    assert x.shape == (1, SIZE, SIZE, 4)
    assert yx.shape == (1, 24, 2)
    np.testing.assert_allclose(x[0, ..., :3], picture[..., ::-1] / 255, atol=1e-6)


def test_flipped_answers_are_averaged():
    def network(x, yx, label, double):
        left = np.zeros(x.shape[:3], np.float32)
        left[:, :, : SIZE // 2] = 4.0
        return left

    session = ClickSession(network, image(SIZE, SIZE), PAPER, SIZE)
    np.testing.assert_allclose(session.click(3, 3, True), 1 / (1 + np.exp(-2.0)), rtol=1e-6)


def test_the_object_is_found_with_zoom_in():
    picture, target = image(900, 1000), rectangle((400, 440, 500, 560), 900, 1000)
    picture[...] = 200 * target.astype(np.uint8)[..., None]
    trace = simulate(bright, picture, target, PAPER, SIZE)
    assert len(trace.ious) == 2
    assert trace.ious[0] < 0.9 < trace.ious[1]
    assert trace.rois[0] == (0, 899, 0, 999)
    assert trace.rois[1] is not None
    top, bottom, left, right = trace.rois[1]
    assert (bottom - top, right - left) == (200, 200)
    assert max(abs(top + bottom - 840), abs(left + right - 1060)) < 30


def test_keep_aspect_pads_below_and_to_the_right():
    network = Recorder(everything)
    protocol = dataclasses.replace(PRESETS["ritm"], zoom_size=40)
    session = ClickSession(network, image(100, 200) // 2 + 100, protocol, SIZE)
    probs = session.click(50, 199, True)
    x, yx, _, _ = network.calls[0]
    assert x[0, :20, :40, :3].min() > 0
    assert x[0, 20:].max() == x[0, :, 40:].max() == 0
    np.testing.assert_array_equal(x[1], x[0, :, ::-1])
    np.testing.assert_allclose(yx[0, 0], [10, 39.8], rtol=1e-6)
    np.testing.assert_allclose(yx[1, 0], [10, 63 - 39.8], rtol=1e-6)
    assert session.roi is None
    assert probs.min() > 0.9


def test_early_stop():
    target = rectangle((0, 100, 0, 60))
    assert simulate(everything, image(), target, PAPER, SIZE).ious.tolist() == [0.5] * 20
    stop = dataclasses.replace(PAPER, early_stop=0.5, noc_targets=(0.5,))
    assert simulate(everything, image(), target, stop, SIZE).ious.tolist() == [0.5]
    later = dataclasses.replace(stop, min_clicks=4)
    assert simulate(everything, image(), target, later, SIZE).ious.tolist() == [0.5] * 4


def test_ignored_pixels_do_not_count():
    target = rectangle((0, 100, 0, 60))
    target[:, 60:] = -1
    assert simulate(everything, image(), target, PAPER, SIZE).ious.tolist() == [1.0]


def test_a_single_pixel_in_the_corner():
    target = rectangle((99, 100, 119, 120))
    trace = simulate(disks, image(), target, PAPER, SIZE)
    assert trace.clicks[0] == Click(99, 119, True)
    assert trace.ious[0] > 0
    assert len(trace.ious) == 20
    assert np.isfinite(trace.ious).all()


def test_an_image_of_one_pixel():
    trace = simulate(everything, image(1, 1), np.ones((1, 1), np.int8), PAPER, SIZE)
    assert trace.ious.tolist() == [1.0]


def test_undo_and_reset_restore_every_state():
    session = ClickSession(disks, image(), PAPER, SIZE)
    states = [(session.clicks, session.probs.copy(), session.roi)]
    for click in [(30, 30, True), (90, 110, True), (31, 31, False)]:
        returned = session.click(*click)
        np.testing.assert_array_equal(returned, session.probs)
        states.append((session.clicks, session.probs.copy(), session.roi))
    for clicks, probs, roi in states[-2::-1]:
        np.testing.assert_array_equal(session.undo(), probs)
        assert (session.clicks, session.roi) == (clicks, roi)
    assert not session.undo().any()
    session.click(30, 30, True)
    session.reset()
    assert (session.clicks, session.roi, session.probs.any()) == ((), None, False)


def test_a_session_can_start_from_a_mask():
    network = Recorder(disks)
    session = ClickSession(network, image(500, 500), PAPER, SIZE)
    mask = rectangle((100, 120, 100, 120), 500, 500)
    session.set_mask(mask)
    np.testing.assert_array_equal(session.mask, mask == 1)
    session.click(110, 110, True)
    assert session.roi == (10, 210, 10, 210)
    assert network.calls[0][3] is False
    session.set_mask(mask)
    session.click(400, 400, False)
    empty = network.calls[1][0][..., 3]
    assert empty.any()


def test_more_clicks_than_slots():
    network = Recorder(disks)
    session = ClickSession(network, image(), PAPER, SIZE)
    for step in range(25):
        session.click(step, step, True)
    assert [call[1].shape[1] for call in network.calls[-2:]] == [24, 48]


def scene(name, objects, ignore=None, h=100, w=120):
    labels = np.zeros((h, w, 1), np.int32)
    for number, (top, bottom, left, right) in enumerate(objects, 1):
        labels[top:bottom, left:right] = number
    items = tuple(SceneObject(n, 0, "ship") for n in range(1, len(objects) + 1))
    ignored = np.zeros((h, w), bool) if ignore is None else ignore
    return Scene(name, image(h, w), labels, items, ignored)


def source():
    ignore = np.zeros((100, 120), bool)
    ignore[50:] = True
    return [
        scene("a", [(10, 20, 10, 20), (60, 80, 60, 90)]),
        scene("none", []),
        scene("b", [(10, 11, 10, 11), (60, 70, 10, 20), (40, 60, 40, 60)], ignore),
    ]


def test_every_object_in_order():
    seen = []
    evaluation = evaluate(
        disks,
        source(),
        PAPER,
        SIZE,
        dataset="mini",
        on_object=lambda result, scene, target, trace: seen.append((result, scene.name)),
        progress=False,
    )
    assert [(r.image, r.object_id, r.area_px) for r in evaluation.results] == [
        ("a", 1, 100),
        ("a", 2, 600),
        ("b", 1, 1),
        ("b", 3, 200),
    ]
    assert evaluation.left_out == 1  # all of it ignored
    assert [name for _, name in seen] == ["a", "a", "b", "b"]
    assert tuple(result for result, _ in seen) == evaluation.results
    assert evaluation.timed == evaluation.results[1:]
    assert evaluation.seconds > 0
    assert {result.category for result in evaluation.results} == {"ship"}


def test_limit_and_minimum_area():
    two = evaluate(disks, source(), PAPER, SIZE, limit=2, progress=False)
    assert [(r.image, r.object_id) for r in two.results] == [("a", 1), ("a", 2)]
    large = dataclasses.replace(PAPER, min_area=150)
    results = evaluate(disks, source(), large, SIZE, progress=False).results
    assert [r.area_px for r in results] == [600, 200]


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(UserError, match="'void' holds no object"):
        evaluate(disks, [scene("a", [])], PAPER, SIZE, dataset="void", progress=False)


def test_target():
    only = source()[2]
    target = target_of(only, only.objects[2])
    assert target.dtype == np.int8
    assert (target[45, 45], target[55, 45], target[5, 5]) == (1, -1, 0)


def test_summary_counts():
    traces = [(0.5, 0.8, 0.92), (0.1, 0.2, 0.3, 0.86), (0.95,)]
    results = tuple(
        ObjectResult("d", "a", i, "", 9, ious, (Click(0, 0, True),) * len(ious))
        for i, ious in enumerate(traces)
    )
    protocol = dataclasses.replace(PAPER, max_clicks=4)
    evaluation = evaluate(everything, source(), protocol, SIZE, progress=False)
    summary = summarize(
        dataclasses.replace(evaluation, results=results, timed=results[1:], seconds=2.5), protocol
    )
    assert summary["objects"] == 3
    assert summary["noc"] == pytest.approx({"80": 7 / 3, "85": 8 / 3, "90": 8 / 3})
    assert summary["nof"] == {"80": 0, "85": 0, "90": 1}
    assert summary["nof_at_max"] == {"80": 1, "85": 1, "90": 1}
    assert summary["miou"] == pytest.approx([1.55 / 3, 1.95 / 3, 2.17 / 3, 2.73 / 3])
    assert summary["seconds_per_click"] == 0.5
    assert summary["objects_per_second"] == 0.8
    json.dumps(summary, allow_nan=False)


def test_a_result_survives_json():
    result = evaluate(disks, source(), PAPER, SIZE, limit=1, progress=False).results[0]
    back = ObjectResult.from_json(result.to_json())
    assert np.array(back.ious, np.float32).tolist() == list(result.ious)
    assert dataclasses.replace(back, ious=result.ious) == result
    line = json.loads(result.to_json())
    assert list(line) == ["dataset", "image", "object_id", "class", "area_px", "ious", "clicks"]
    assert line["clicks"][0] == [14, 14, True]


class Crash(Exception):
    pass


def run_with_log(directory: Path, crash_after: int | None = None):
    log, calls = ResultLog(directory, {"protocol": {"max_clicks": 20}}), []

    def on_object(result, scene, target, trace):
        log.append(result)
        calls.append(result)
        if len(calls) == crash_after:
            raise Crash

    evaluation = evaluate(
        disks,
        source(),
        PAPER,
        SIZE,
        dataset="mini",
        finished=log.of("mini"),
        on_object=on_object,
        progress=False,
    )
    return summarize(evaluation, PAPER), calls


@pytest.mark.parametrize("torn", ["", '{"dataset": "mini", "ima'])
def test_a_crash_loses_no_finished_object(tmp_path, torn):
    whole, _ = run_with_log(tmp_path / "whole")
    with pytest.raises(Crash):
        run_with_log(tmp_path / "torn", crash_after=3)
    with (tmp_path / "torn" / "objects.jsonl").open("a") as file:
        file.write(torn)
    resumed, calls = run_with_log(tmp_path / "torn")
    assert len(calls) == 1
    for timing in ("seconds_per_click", "objects_per_second"):
        del whole[timing], resumed[timing]
    assert resumed == whole
    lines = [(tmp_path / run / "objects.jsonl").read_text() for run in ("whole", "torn")]
    assert lines[0] == lines[1]


def test_a_complete_run_is_not_repeated(tmp_path):
    run_with_log(tmp_path)
    summary, calls = run_with_log(tmp_path)
    assert calls == []
    assert summary["seconds_per_click"] is None


def test_other_settings_are_refused(tmp_path):
    run_with_log(tmp_path)
    with pytest.raises(UserError, match=r"protocol\.max_clicks was 20, now 10"):
        ResultLog(tmp_path, {"protocol": {"max_clicks": 10}})
    (tmp_path / "settings.json").unlink()
    with pytest.raises(UserError, match="other settings"):
        ResultLog(tmp_path, {"protocol": {"max_clicks": 20}})


def test_changed_data_are_refused(tmp_path):
    evaluation = evaluate(disks, source(), PAPER, SIZE, dataset="mini", progress=False)
    for other in ([source()[2]], source()[:1]):
        with pytest.raises(UserError, match="'mini' has changed"):
            evaluate(
                disks, other, PAPER, SIZE, finished=evaluation.results, dataset="mini",
                progress=False,
            )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noc_targets": (0.8, 0.95)}, "early_stop=0.9 would hide NoC at 0.95"),
        ({"min_clicks": 21}, "min_clicks=21"),
        ({"zoom_size": 100}, r"zoom_size=100 must lie in 2\.\.64"),
        ({"noc_targets": (85.0,)}, "noc_targets"),
    ],
)
def test_contradicting_settings_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        evaluate(disks, source(), dataclasses.replace(PAPER, **changes), SIZE, progress=False)


def test_presets():
    for name, protocol in PRESETS.items():
        assert protocol.name == name
        assert preset(name) is protocol
        protocol.check(Config().model.image_size)
    with pytest.raises(UserError, match="did you mean 'simpleclick'"):
        preset("simple-click")
