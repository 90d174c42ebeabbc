"""The window that the model looks at: where it lies, how it grows, that it changes no answer."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax import parallel  # noqa: F401  (jax before rasterio's threads)
from rsisrefiner_jax.annotate.pictures import ArrayPicture
from rsisrefiner_jax.annotate.segmenter import SegmentationTask, Segmenter
from rsisrefiner_jax.annotate.windows import LARGEST, Click, require_reach
from rsisrefiner_jax.annotate.worker import Worker
from rsisrefiner_jax.data.raster import Window
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.interaction.session import ClickSession
from tests import fakes, tiny


@pytest.fixture(scope="module")
def programs():
    with tiny.quick_compilation():
        yield fakes.programs(fakes.Mixed(), fakes.PAPER)


def picture(height=250, width=700):
    return ArrayPicture(np.random.default_rng(2).integers(0, 256, (height, width, 3), np.uint8))


def test_the_answer_depends_on_the_clicks_alone(programs):
    """However the clicks came about, and whatever is kept of earlier ones."""
    rng = np.random.default_rng(3)
    task = SegmentationTask(picture())
    clicks = [Click(*rng.uniform(0, (200, 249)), bool(n % 3 != 1)) for n in range(6)]
    wanders = Segmenter(programs, largest=256)
    for count in (1, 2, 3, 2, 1, 4, 6, 5, 6):
        answer = wanders.segment(task, clicks[:count])
    fresh = Segmenter(programs, largest=256, budget=0).segment(task, clicks)
    assert answer.window == fresh.window
    np.testing.assert_array_equal(answer.probabilities, fresh.probabilities)
    np.testing.assert_array_equal(answer.mask.pixels, fresh.mask.pixels)


def test_in_one_window_it_is_the_plain_session(programs):
    source = picture(64, 64)
    clicks = [Click(20.5, 30.5, True), Click(50, 12, False), Click(33.9, 60, True)]
    answer = Segmenter(programs).segment(SegmentationTask(source), clicks)
    plain = ClickSession(programs, source._rgb)
    for x, y, positive in clicks:
        expected = plain.click(int(y), int(x), positive)
    np.testing.assert_array_equal(answer.probabilities, expected)


def test_the_first_window_is_native_and_holds_the_click():
    segmenter = Segmenter(fakes.programs(fakes.Disks(), fakes.PAPER), largest=256)
    for x, y in [(350, 120), (0, 0), (699.9, 249.9), (5, 240)]:
        window = segmenter.segment(SegmentationTask(picture()), [Click(x, y, True)]).window
        assert (window.height, window.width) == (64, 64)
        assert window.x <= x < window.x + 64
        assert window.y <= y < window.y + 64
    two = [Click(350, 120, True), Click(250, 30, True)]
    answer = segmenter.segment(SegmentationTask(picture()), two)
    assert (answer.window.height, answer.window.width) == (250, 256)
    found = answer.mask.within(0, 0, 700, 250)
    assert found[120, 350]
    assert found[30, 250]
    assert not found[75, 300]


def test_a_mask_that_was_emptied_draws_no_window_to_the_corner():
    segmenter = Segmenter(fakes.programs(fakes.Disks(), fakes.PAPER), largest=256)
    task = SegmentationTask(picture(), start=Mask(0, 0, np.zeros((0, 0), bool)), start_name="none")
    answer = segmenter.segment(task, [Click(350, 120, True)])
    assert (
        answer.window
        == segmenter.segment(SegmentationTask(picture()), [Click(350, 120, True)]).window
    )
    assert answer.window.width == 64


def test_the_window_grows_to_hold_the_object():
    """Every click doubles it until the object no longer reaches its border."""
    rgb = np.zeros((250, 700, 3), np.uint8)
    rgb[100:130, 150:280] = rgb[20:30, 600:610] = 255
    segmenter = Segmenter(fakes.programs(fakes.Bright(), fakes.PAPER), largest=256)
    clicks = [Click(200, 110, True)]
    first = segmenter.segment(SegmentationTask(ArrayPicture(rgb)), clicks)
    assert first.window.width == 128
    answer = segmenter.segment(
        SegmentationTask(ArrayPicture(rgb)), [*clicks, Click(210, 110, True)]
    )
    assert answer.window.width == 256
    expected = rgb[..., 0] > 0
    expected[:, 600:] = False
    found = answer.mask.within(0, 0, 700, 250)
    assert (found ^ expected).sum() <= 2 * (30 + 130)  # the crop is resized to the network's input
    small = segmenter.segment(SegmentationTask(ArrayPicture(rgb)), [Click(605, 25, True)])
    assert small.window.width == 64


def test_an_object_goes_on_at_a_corner():
    """What touches at a corner is one object, as everywhere: its other half reaches the border."""
    segmenter = Segmenter(fakes.programs(fakes.Disks(), fakes.PAPER), largest=256)
    mask = np.zeros((64, 64), bool)
    mask[20:30, 20:30] = mask[30:, 30:40] = True
    for clicked, goes_on in (((125, 75), True), ((160, 60), False)):
        state = SimpleNamespace(window=Window(50, 100, 64, 64), session=SimpleNamespace(mask=mask))
        assert segmenter._cut_off(picture(), state, (Click(*clicked, True),)) == goes_on


def test_a_larger_window_answers_only_a_few_clicks_again():
    """Of many, the last; what the others have led to is taken along."""
    rgb = np.zeros((250, 700, 3), np.uint8)
    recorded = fakes.RecordingPrograms(fakes.Disks(radius=3.3), {}, fakes.PAPER)
    segmenter = Segmenter(recorded, largest=256)
    clicks = [Click(350 + 5 * n, 120, True) for n in range(5)]
    far = Click(420, 60, True)
    for count, passes in ((2, 3), (4, 1)):
        segmenter.segment(SegmentationTask(ArrayPicture(rgb)), clicks[:count])
        recorded.calls.clear()
        answer = segmenter.segment(SegmentationTask(ArrayPicture(rgb)), [*clicks[:count], far])
        assert answer.window.width > 64
        assert len(recorded.calls) == passes
        assert (recorded.calls[-1].clicks.label[0] == 1).sum() == count + 1
        found = answer.mask.within(0, 0, 700, 250)
        assert all(found[int(click.y), int(click.x)] for click in (*clicks[:count], far))


def test_clicks_are_answered_while_larger_windows_are_prepared(programs):
    asked, go_on, gone_on = threading.Event(), threading.Event(), threading.Event()

    class Slow(Segmenter):
        def warm_up(self):
            yield 64
            asked.set()
            assert go_on.wait(60)
            yield 128
            gone_on.set()

    worker = Worker(lambda: Slow(programs, largest=128))
    task, clicks = SegmentationTask(picture()), [Click(350, 120, True)]
    assert asked.wait(60)
    answer = worker.submit(lambda model: model.segment(task, clicks)).result(60)
    assert answer.mask.area
    threading.Timer(0.2, go_on.set).start()
    worker.stop()
    assert go_on.is_set()
    assert not gone_on.is_set()


def test_the_worker_looks_ahead_once_nobody_waits():
    looked = threading.Event()

    class Fake:
        warm_up = staticmethod(lambda: iter([1]))
        look_ahead = staticmethod(looked.set)

    worker = Worker(Fake)
    try:
        assert not looked.wait(0.05)
        assert worker.submit(lambda segmenter: 3).result(20) == 3
        assert looked.wait(20)
    finally:
        worker.stop()


def test_every_size_of_window_is_compiled_beforehand():
    programs = fakes.RecordingPrograms(fakes.Disks(), {}, fakes.PAPER)
    segmenter = Segmenter(programs, largest=700)
    assert list(segmenter.warm_up()) == [64, 128, 256, 512, 700]
    compiled = programs.compilations
    for height in (700, 30):
        corners = [Click(0, 0, True), Click(699, height - 1, True)]
        segmenter.segment(SegmentationTask(picture(height, 700)), corners)
    assert programs.compilations == compiled


def test_a_picture_smaller_than_the_first_window_compiles_nothing():
    programs = fakes.RecordingPrograms(fakes.Disks(image_size=300), {}, fakes.PAPER)
    segmenter = Segmenter(programs)
    next(segmenter.warm_up())
    compiled = programs.compilations
    segmenter.segment(SegmentationTask(picture(50, 40)), [Click(9, 9, True)])
    assert programs.compilations == compiled


def test_what_lies_outside_the_window_stays(programs):
    """A mask larger than any window is refined where it is clicked."""
    whole = np.ones((250, 700), bool)
    task = SegmentationTask(picture(), start=Mask(0, 0, whole), start_name="whole")
    answer = Segmenter(programs, largest=128).segment(task, [Click(600, 100, False)])
    y, x, height, width = answer.window
    assert max(height, width) == 128
    after = answer.mask.within(0, 0, 700, 250)
    inside = after[y : y + height, x : x + width].copy()
    after[y : y + height, x : x + width] = True
    assert after.all()
    np.testing.assert_array_equal(inside, answer.probabilities > 0.5)


def test_an_object_larger_than_any_window_keeps_its_parts():
    """Beyond the window of its last click it stays what it was, hole and all."""
    segmenter = Segmenter(fakes.programs(fakes.Disks(radius=3.3), fakes.PAPER), largest=128)
    plate = Mask(10, 10, np.ones((60, 60), bool))
    black = ArrayPicture(np.zeros((250, 700, 3), np.uint8))
    task = SegmentationTask(black, start=plate, start_name="plate")
    hole, dots = Click(40, 40, False), [Click(100 + 25 * n, 40, True) for n in range(17)]
    before, windows = plate.within(0, 0, 700, 250), []
    for count in range(1, len(dots) + 2):
        answer = segmenter.segment(task, [hole, *dots][:count])
        after = answer.mask.within(0, 0, 700, 250)
        y, x, height, width = answer.window
        beyond = np.ones_like(after)
        beyond[y : y + height, x : x + width] = False
        np.testing.assert_array_equal(after[beyond], before[beyond])
        before, windows = after, [*windows, answer.window]
    assert windows[-1].x > 3 * 128
    ring = after[10:70, 10:70]
    assert not ring[30, 30]
    assert ring[[0, 0, -1, -1], [0, -1, 0, -1]].all()
    assert all(after[int(dot.y), int(dot.x)] for dot in dots)
    # Back to the first part: what is taken away there is, and nothing beyond that window goes.
    back = segmenter.segment(task, [hole, *dots, Click(20, 20, False)])
    found = back.mask.within(0, 0, 700, 250)
    assert not found[20, 20]
    assert found[60, 60]
    y, x, height, width = back.window
    assert x + width < windows[-1].x
    after[y : y + height, x : x + width] = found[y : y + height, x : x + width]
    np.testing.assert_array_equal(found, after)


@pytest.mark.parametrize("start", [None, "a bar"])
def test_moved_windows_change_no_answer(programs, start):
    """Undo, redo and a segmenter that has kept nothing come to the same, probabilities and all."""
    rng = np.random.default_rng(7)
    bar = Mask(100, 90, np.ones((20, 500), bool))
    task = SegmentationTask(picture(), start=bar if start else None, start_name=start or "")
    clicks = [Click(*rng.uniform(0, (699, 249)), bool(n % 4 != 1)) for n in range(7)]
    wanders = Segmenter(programs, largest=128)
    for count in (1, 3, 2, 4, 5, 4, 3, 7, 6, 7):
        answer = wanders.segment(task, clicks[:count])
        fresh = Segmenter(programs, largest=128, budget=0).segment(task, clicks[:count])
        assert answer.window == fresh.window
        np.testing.assert_array_equal(answer.probabilities, fresh.probabilities)
        assert answer.mask.same(fresh.mask)
    # The same clicks elsewhere are another task.
    assert not answer.mask.same(wanders.segment(SegmentationTask(picture()), clicks[:5]).mask)


def test_few_clicks_are_given_again_only_where_nothing_is_left_behind():
    """Two far apart: the first one's answer stays, and the network hears of the second alone."""
    recorded = fakes.RecordingPrograms(fakes.Disks(radius=3.3), {}, fakes.PAPER)
    segmenter = Segmenter(recorded, largest=128)
    task = SegmentationTask(ArrayPicture(np.zeros((250, 700, 3), np.uint8)))
    clicks = [Click(30, 40, True), Click(600, 200, True)]
    segmenter.segment(task, clicks[:1])
    recorded.calls.clear()
    answer = segmenter.segment(task, clicks)
    assert len(recorded.calls) == 1
    assert (recorded.calls[0].clicks.label[0] >= 0).sum() == 1
    found = answer.mask.within(0, 0, 700, 250)
    assert found[40, 30]
    assert found[200, 600]


def test_what_is_kept_of_large_objects_counts(programs):
    """A budget for little more than one state is kept to."""
    task = SegmentationTask(
        picture(), start=Mask(0, 0, np.ones((250, 700), bool)), start_name="all"
    )
    clicks = [Click(60 + 8 * n, 100, False) for n in range(5)]
    segmenter = Segmenter(programs, largest=64, budget=0)
    segmenter.segment(task, clicks[:1])
    one = segmenter._size()
    assert one > 250 * 700
    segmenter = Segmenter(programs, largest=64, budget=one + 1000)
    segmenter.segment(task, clicks)
    assert segmenter._size() <= one + 100_000 < 2 * one


def test_objects_have_a_largest_box():
    far = Click(19_000, 19_000, True)
    require_reach([Click(3, 3, True), far], (20_000, 20_000))
    with pytest.raises(UserError, match="400 million"):
        require_reach([Click(3, 3, True), far], (30_000, 30_000))
    with pytest.raises(UserError, match="finish it"):
        require_reach([far], (50_000, 50_000), (40_000, 0, 40_010, 30_000))
    require_reach([Click(3, 3, True), Click(3, 10**6, True)], (300, 10**6 + 1))
    assert LARGEST == 4096
