"""What the report shows of objects: the best and the worst, clicks one by one, modulation."""

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.evaluation.plan import target_of
from rsisrefiner_jax.evaluation.report import panels
from rsisrefiner_jax.evaluation.report.drawing import GREEN, RED, around, draw_object
from rsisrefiner_jax.evaluation.report.gallery import Gallery, best_and_worst
from rsisrefiner_jax.evaluation.report.panels import Modulation, draw_panels
from rsisrefiner_jax.evaluation.results import ObjectResult
from rsisrefiner_jax.interaction.clicks import Click
from rsisrefiner_jax.interaction.loop import ClickState, Loop
from rsisrefiner_jax.interaction.session import ClickSession, in_slots
from rsisrefiner_jax.interaction.simulate import Trace
from tests import tiny
from tests.fakes import PAPER, SHORT, Disks, evaluation, programs, scene, source


def fake_result(index, ious):
    clicks = tuple(Click(5, 5, True) for _ in ious)
    return ObjectResult("d", f"image{index}", 1, "", 4, ious, clicks)


# One for both tests: compiled once.
MODULATION = Modulation(Loop(Disks(), SHORT, 1), tiny.MODEL)
NOTHING = Trace((), np.zeros(1, np.float32), (), np.zeros((100, 120), np.float32))


def test_gallery_keeps_the_best_and_the_worst(tmp_path):
    finals = [0.95, 0.1, 0.6, 0.97, 0.3, 0.99, 0.92, 0.5]
    only = scene("a", [(4, 6, 4, 6)])
    target = np.zeros((100, 120), np.int8)
    results = [fake_result(index, (iou,)) for index, iou in enumerate(finals)]
    ious = dict(enumerate((iou,) for iou in finals))
    assert best_and_worst(ious, 0.9, 20, size=2) == ([5, 3], [1, 4])
    whole = Gallery(tmp_path / "whole", "d", PAPER, size=2)
    for index, result in enumerate(results):
        whole.add(index, result, only, target, NOTHING)
    kept = sorted(path.name for path in (tmp_path / "whole" / "d").iterdir())
    assert kept == ["000001.png", "000003.png", "000004.png", "000005.png"]
    # After a crash the gallery knows only of the objects that are left.
    for places in ((3, 0, 4, 2, 1), (7, 5, 6)):
        gallery = Gallery(tmp_path / "resumed", "d", PAPER, size=2)
        for index in places:
            gallery.add(index, results[index], only, target, NOTHING)
    assert all((tmp_path / "resumed" / "d" / name).exists() for name in kept)


def test_gallery_does_not_depend_on_the_order(tmp_path):
    only, target = scene("a", [(4, 6, 4, 6)]), np.zeros((100, 120), np.int8)
    ious = {index: (0.1 * (index // 2),) for index in range(9)}  # some are as good as others
    assert best_and_worst(ious, 0.9, 20, size=2) == ([8, 6], [1, 0])
    pictures = []
    for seed in range(3):
        gallery = Gallery(tmp_path / str(seed), "d", PAPER, size=2)
        for index in np.random.default_rng(seed).permutation(9).tolist():
            gallery.add(index, fake_result(index, ious[index]), only, target, NOTHING)
        pictures.append(sorted(path.name for path in (tmp_path / str(seed) / "d").iterdir()))
    assert pictures == [["000000.png", "000001.png", "000006.png", "000008.png"]] * 3


def test_clicks_are_drawn_where_they_were_made():
    target = np.zeros((100, 120), np.int8)
    target[40:60, 50:90] = 1
    clicks = (Click(50, 70, True), Click(45, 85, False))
    picture = draw_object(np.zeros((100, 120, 3), np.uint8), target, target == 1, clicks)
    assert max(picture.shape) == 320
    # The window is the object's box and a margin of 14 pixels: rows 26..73, columns 36..103.
    assert around(target == 1, clicks) == (slice(26, 74), slice(36, 104))
    scale = 320 / 68
    for click, color in zip(clicks, (GREEN, RED), strict=True):
        y, x = int((click.y - 26 + 0.5) * scale), int((click.x - 36 + 0.5) * scale)
        assert tuple(picture[y, x].tolist()) == color


def test_what_is_found_is_green_and_what_is_wrong_red():
    target = np.zeros((40, 40), np.int8)
    target[10:30, 10:30] = 1
    target[:, 35:] = -1
    mask = np.zeros((40, 40), bool)
    mask[10:30, 20:40] = True
    everything = np.s_[0:40, 0:40]
    picture = draw_object(np.full((40, 40, 3), 100, np.uint8), target, mask, (), 40, everything)
    found, missed, surplus, ignored, background = (
        picture[row, column].astype(int) - 100
        for row, column in ((15, 25), (15, 15), (15, 32), (15, 37), (5, 5))
    )
    assert found[1] > 0 > found[0]
    for wrong in (missed, surplus):
        assert wrong[0] > 0 > wrong[1]
    assert not np.stack([ignored, background]).any()


@pytest.mark.parametrize(("objects", "count", "places"), [
    (100, 4, [12, 37, 62, 87]), (3, 4, [0, 1, 2]), (1, 2, [0]), (5, 0, []),
])  # fmt: skip
def test_objects_of_panels_are_spread_evenly(objects, count, places):
    assert panels.chosen(objects, count) == places


def test_moments():
    assert [panels.moments(n) for n in (1, 4, 20)] == [[1], [1, 2, 3, 4], [1, 2, 3, 5, 10, 20]]


def test_panels_show_the_evaluation_click_by_click(tmp_path):
    last = {}
    keep = lambda index, result, scene, target, trace: last.update({index: trace.probs})  # noqa: E731
    scenes = source()
    run = evaluation(scenes, on_object=keep)
    compiled = programs(Disks(), SHORT)
    opened = []

    def open_session(image):
        opened.append(image)
        return ClickSession(compiled, image, keep_history=False)

    with tiny.quick_compilation():
        for _ in range(2):  # the second time everything is there
            draw_panels(tmp_path, run, scenes, SHORT, 2, open_session, MODULATION)
    assert len(opened) == 2
    names = {path.name for path in tmp_path.iterdir()}
    for index in (1, 3):
        result = run.results[index]
        n = len(result.clicks)
        assert n > 1
        steps = {f"{index:06d}-{k}.png" for k in panels.moments(n)}
        assert {name for name in names if name.startswith(f"{index:06d}")} == steps | {
            f"{index:06d}-{kind}.png" for kind in ("none", "original", "improved")
        }
        shown = cv2.imread(str(tmp_path / f"{index:06d}-{n}.png"))[..., ::-1]
        whose = scenes[run.scenes[index]]
        item = next(item for item in whose.objects if item.id == result.object_id)
        target = target_of(whose, item)
        window = around(target == 1, result.clicks)
        mask = last[index] > SHORT.pred_thr
        expected = draw_object(whose.image, target, mask, result.clicks, 200, window)
        np.testing.assert_array_equal(shown, expected)


def test_modulation_is_that_of_the_crop():
    probs = np.random.default_rng(0).uniform(0.1, 0.9, (1, 256, 256)).astype(np.float32)
    clicks = in_slots([Click(40, 30, True), Click(20, 50, False)])
    # A crop as large as the model's input is not resized.
    crop = jnp.array([[10, 73, 5, 68]], jnp.int32)
    now = ClickState(jnp.asarray(probs), clicks, crop, jnp.ones(1, bool))
    with tiny.quick_compilation():
        (before, original, improved), inside = panels._modulated(MODULATION, now)
    assert np.asarray(inside.yx)[:2].tolist() == [[30, 25], [10, 45]]
    np.testing.assert_allclose(before, probs[0, 10:74, 5:69], atol=1e-6)
    # The last click is negative: it lowers what is near, ours only what is not sure.
    y, x = np.mgrid[:64, :64]
    near = np.hypot(y - 10, x - 45) <= np.hypot(20, 20) / 2
    for after in (original, improved):
        changed = np.asarray(after) != np.asarray(before)
        assert after[10, 45] == 0
        assert changed[near].sum() > 100
        assert not changed[~near].any()
        assert (np.asarray(after) <= np.asarray(before) + 1e-6).all()
    assert np.abs(np.asarray(original) - np.asarray(improved)).max() > 0.1
