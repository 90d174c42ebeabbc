"""One object clicked interactively: what the network is given, and every state's way back."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.interaction.clicks import Click
from rsisrefiner_jax.interaction.session import ClickSession, Programs
from rsisrefiner_jax.interaction.simulate import simulate
from rsisrefiner_jax.protocol import PRESETS
from tests import tiny
from tests.fakes import (
    PAPER,
    SIZE,
    Bright,
    Disks,
    Everything,
    Mixed,
    RecordingPrograms,
    noise,
    programs,
    rectangle,
)


@pytest.fixture(autouse=True)
def quick():
    with tiny.quick_compilation():
        yield


def test_what_the_network_is_given():
    picture = noise(SIZE, SIZE)
    protocol = dataclasses.replace(PAPER, max_clicks=3, early_stop=None)
    recorded = RecordingPrograms(Disks(), {}, protocol)
    target = rectangle((10, 21, 30, 51), SIZE, SIZE)
    trace = simulate(ClickSession(recorded, picture), target, protocol)
    assert len(recorded.calls) == len(trace.ious) == len(trace.rois) == 3
    (pixels,) = recorded.pictures  # the crop has not moved
    assert (pixels.shape, pixels.dtype) == ((2, SIZE, SIZE, 3), np.float32)
    np.testing.assert_allclose(pixels[0], picture / 255, atol=1e-6)
    np.testing.assert_array_equal(pixels[1], pixels[0, :, ::-1])
    for step, (prev_mask, (yx, label)) in enumerate(recorded.calls):
        assert (prev_mask.dtype, yx.dtype, label.dtype) == (np.float32, np.float32, np.int32)
        assert prev_mask.shape == (2, SIZE, SIZE)
        assert yx.shape == (2, 24, 2)
        np.testing.assert_array_equal(prev_mask[1], prev_mask[0, :, ::-1])
        assert (step == 0) == (not prev_mask.any())
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


def test_one_call_an_answer_and_one_encoding_a_crop():
    recorded = RecordingPrograms(Mixed(), {}, PAPER)
    session = ClickSession(recorded, noise(SIZE, SIZE))
    for _ in range(2):
        session.reset()
        recorded.calls.clear()
        session.click(20, 20, True)
        session.click(50, 50, False)
        assert [call.prev_mask.any() for call in recorded.calls] == [False, True]
    session.set_mask(np.ones((SIZE, SIZE)))
    session.click(20, 20, True)
    assert recorded.calls[-1].prev_mask.all()
    assert len(recorded.pictures) == 1


def test_looking_ahead_encodes_the_next_crop_and_changes_no_answer():
    picture = noise(4 * SIZE, 4 * SIZE)
    protocol = dataclasses.replace(PAPER, zoom_min_crop=SIZE)
    plain, ahead = (RecordingPrograms(Disks(), {}, protocol) for _ in range(2))
    sessions = [ClickSession(one, picture) for one in (plain, ahead)]
    sessions[1].look_ahead()  # nothing to see yet
    for click in ((40, 40, True), (44, 40, True), (40, 44, False)):
        encoded = len(ahead.pictures)
        answers = [session.click(*click) for session in sessions]
        np.testing.assert_array_equal(*answers)
        assert sessions[0].roi == sessions[1].roi
        if encoded:
            assert len(ahead.pictures) == encoded
        sessions[1].look_ahead()
    assert len(plain.pictures) == len(ahead.pictures) == 2  # the whole, and the object


def test_single_call():
    picture = noise(SIZE, SIZE)
    recorded = RecordingPrograms(Disks(), {}, dataclasses.replace(PAPER, flip=False))
    ClickSession(recorded, picture).click(4, 5, True)
    (pixels,), ((prev_mask, clicks),) = recorded.pictures, recorded.calls
    assert pixels.shape == (1, SIZE, SIZE, 3)
    assert prev_mask.shape == (1, SIZE, SIZE)
    assert clicks.yx.shape == (1, 24, 2)
    np.testing.assert_allclose(pixels[0], picture / 255, atol=1e-6)


class LeftHalf(Everything):
    """Answers "object" on the left, whatever it sees."""

    def predict(self, features, prev_mask, clicks, *, group=1):
        assert group == 2
        left = jnp.arange(self.image_size) < self.image_size // 2
        return jnp.broadcast_to(jnp.where(left, 4.0, 0.0)[None, None], prev_mask.shape)


def test_flipped_answers_are_averaged():
    session = ClickSession(Programs(LeftHalf(), {}, PAPER), noise(SIZE, SIZE))
    np.testing.assert_allclose(session.click(3, 3, True), 1 / (1 + np.exp(-2.0)), rtol=1e-6)


def test_the_object_is_found_with_zoom_in():
    picture, target = noise(900, 1000), rectangle((400, 440, 500, 560), 900, 1000)
    picture[...] = 200 * target.astype(np.uint8)[..., None]
    trace = simulate(ClickSession(programs(Bright(), PAPER), picture), target, PAPER)
    assert len(trace.ious) == 2
    assert trace.ious[0] < 0.9 < trace.ious[1]
    assert trace.rois[0] == (0, 899, 0, 999)
    assert trace.rois[1] is not None
    top, bottom, left, right = trace.rois[1]
    assert (bottom - top, right - left) == (200, 200)
    assert max(abs(top + bottom - 840), abs(left + right - 1060)) < 30


def test_keep_aspect_pads_below_and_to_the_right():
    protocol = dataclasses.replace(PRESETS["ritm"], zoom_size=40)
    recorded = RecordingPrograms(Everything(), {}, protocol)
    session = ClickSession(recorded, noise(100, 200) // 2 + 100)
    probs = session.click(50, 199, True)
    (x,), ((_, (yx, _)),) = recorded.pictures, recorded.calls
    assert x[0, :20, :40].min() > 0
    assert x[0, 20:].max() == x[0, :, 40:].max() == 0
    np.testing.assert_array_equal(x[1], x[0, :, ::-1])
    np.testing.assert_allclose(yx[0, 0], [10, 39.8], rtol=1e-6)
    np.testing.assert_allclose(yx[1, 0], [10, 63 - 39.8], rtol=1e-6)
    assert session.roi is None
    assert probs.min() > 0.9
    assert probs.shape == (100, 200)


def test_undo_and_reset_restore_every_state():
    session = ClickSession(programs(Disks(), PAPER), noise())
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
    assert not session.undo().any()


def test_a_state_that_was_gone_back_to_goes_on_as_it_did():
    """Also where the click that was taken back had moved the crop."""
    session = ClickSession(programs(Mixed(), PAPER), noise(500, 500))
    session.set_mask(rectangle((100, 120, 100, 120), 500, 500))
    session.click(110, 110, True)
    roi = session.roi
    second = session.click(105, 118, False).copy()
    session.undo()
    session.click(450, 450, True)
    assert session.roi != roi
    session.undo()
    np.testing.assert_array_equal(session.click(105, 118, False), second)
    assert session.roi == roi


def test_without_history_nothing_is_taken_back():
    session = ClickSession(programs(Disks(), PAPER), noise(), keep_history=False)
    probs = session.click(30, 30, True).copy()
    np.testing.assert_array_equal(session.undo(), probs)


def test_a_session_can_start_from_a_mask():
    recorded = RecordingPrograms(Mixed(), {}, PAPER)
    session = ClickSession(recorded, noise(500, 500))
    mask = rectangle((100, 120, 100, 120), 500, 500)
    session.set_mask(mask)
    np.testing.assert_array_equal(session.mask, mask == 1)
    session.click(110, 110, True)
    assert session.roi == (10, 210, 10, 210)
    assert len(recorded.calls) == 1
    session.set_mask(mask)
    assert session.clicks == ()
    session.click(400, 400, False)
    assert recorded.calls[-1].prev_mask.any()


@pytest.mark.parametrize("count", [1, 24, 25])
def test_a_session_can_start_from_a_mask_and_its_clicks(count):
    """They are given to the network with the next click, and only then."""
    recorded = RecordingPrograms(Disks(), {}, dataclasses.replace(PAPER, flip=False))
    session = ClickSession(recorded, noise(SIZE, SIZE))
    mask = rectangle((10, 30, 10, 30), SIZE, SIZE)
    clicks = [Click(n, 2 * n, n % 2 == 0) for n in range(count)]
    session.set_mask(mask, clicks)
    assert not recorded.calls
    assert session.clicks == tuple(clicks)
    session.click(50, 60, False)
    (call,) = recorded.calls
    np.testing.assert_array_equal(call.prev_mask[0], mask)
    expected = [*clicks, Click(50, 60, False)]
    used = call.clicks.label[0] >= 0
    assert used.sum() == count + 1
    assert call.clicks.yx[0, used].tolist() == [[c.y, c.x] for c in expected]
    assert call.clicks.label[0, used].tolist() == [c.positive for c in expected]


def test_a_square_of_padding_changes_nothing():
    with tiny.compilation(optimized=True):
        sessions = [
            ClickSession(programs(Mixed(), PAPER, optimized=True), noise(90, 300), square=square)
            for square in (None, 64, 520)
        ]
        for yx in [(40, 150), (80, 20), (10, 290)]:
            plain, *squares = (session.click(*yx, True) for session in sessions)
            for square in squares:
                np.testing.assert_array_equal(plain, square)


def test_more_clicks_than_slots():
    recorded = RecordingPrograms(Disks(), {}, PAPER)
    session = ClickSession(recorded, noise())
    for step in range(24):
        session.click(2 * step, 3 * step, True)
    session.click(90, 10, True)
    assert [len(call.clicks.label[0]) for call in recorded.calls[-2:]] == [24, 48]
    assert (recorded.calls[-1].clicks.label[0] == 1).sum() == 25
    assert len(session.clicks) == 25
    assert session.mask[90, 10]
    session.undo()
    assert not session.mask[90, 10]
    assert session.mask[46, 69]


def test_sessions_share_programs_but_no_state():
    shared = Programs(Disks(), {}, PAPER)
    assert shared.compilations == 2  # those that hold the model
    first = ClickSession(shared, noise(100, 120))
    alone = [first.click(30, 30, True).copy(), first.click(80, 90, False).copy()]
    compiled = shared.compilations
    first, second = (ClickSession(shared, noise(h, w)) for h, w in [(100, 120), (200, 77)])
    np.testing.assert_array_equal(first.click(30, 30, True), alone[0])
    assert second.click(150, 40, True).shape == (200, 77)
    np.testing.assert_array_equal(first.click(80, 90, False), alone[1])
    assert second.clicks == (Click(150, 40, True),)
    assert shared.compilations == compiled
    ClickSession(shared, noise(300, 300)).click(9, 9, True)  # another padded shape
    assert compiled < shared.compilations <= compiled + 4


def test_contradicting_settings_are_refused():
    with pytest.raises(UserError, match="zoom_size=100"):
        Programs(Disks(), {}, dataclasses.replace(PAPER, zoom_size=100))


def test_without_a_positive_click_or_a_mask_there_is_no_object():
    """Whatever the network would say of negative clicks alone."""
    recorded = RecordingPrograms(Everything(), {}, PAPER)
    session = ClickSession(recorded, noise())
    for start in (session.reset, lambda: session.set_mask(np.zeros((100, 120)))):
        start()
        for _ in range(2):
            assert not session.click(30, 30, False).any()
        assert not recorded.calls
        assert len(session.clicks) == 2
    assert session.click(60, 60, True).min() > 0.9
    (call,) = recorded.calls
    assert call.clicks.label[0, :3].tolist() == [0, 0, 1]
    for left in (2, 1, 0):
        assert not session.undo().any()
        assert len(session.clicks) == left
    session.set_mask(rectangle((10, 20, 10, 20)))
    assert session.click(30, 30, False).max() > 0.9  # a mask there is: the network is asked


def test_negative_clicks_first_change_no_way_back():
    session = ClickSession(programs(Mixed(), PAPER), noise(500, 500))
    states = [session.probs.copy()]
    for click in [(30, 30, False), (110, 110, True), (105, 118, False)]:
        states.append(session.click(*click).copy())
    assert states[2].any()
    for state in states[-2::-1]:
        np.testing.assert_array_equal(session.undo(), state)
