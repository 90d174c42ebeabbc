"""The interactive session, with the tiny untrained network from a checkpoint."""

import dataclasses

import numpy as np
import pytest

from rsisrefiner_jax import Predictor
from rsisrefiner_jax.checkpoint import save_weights
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation.click_loop import Loop
from rsisrefiner_jax.evaluation.clicker import next_click
from rsisrefiner_jax.evaluation.lane import Lane
from rsisrefiner_jax.inference import load_model
from rsisrefiner_jax.protocol import PRESETS
from tests import tiny
from tests.fakes import smooth_object, traces

HEIGHT, WIDTH = 80, 100


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    directory = tmp_path_factory.mktemp("net") / "checkpoint"
    values = tiny.variables()
    save_weights(directory, tiny.CONFIG, values["params"], values["batch_stats"])
    return directory


@pytest.fixture(scope="module")
def loaded(checkpoint):
    with tiny.quick_compilation():
        return Predictor.from_checkpoint(checkpoint)


@pytest.fixture
def predictor(loaded):
    with tiny.quick_compilation():
        loaded.set_image(picture())
        yield loaded


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def test_clicks_answer_with_probabilities(predictor):
    first = predictor.click(40, 50)
    assert (first.shape, first.dtype) == ((HEIGHT, WIDTH), np.float32)
    assert 0 < first.min() < first.max() < 1
    second = predictor.click(10.5, 90.25, positive=False)
    assert np.abs(second - first).max() > 1e-4
    assert predictor.clicks == ((40, 50, True), (10.5, 90.25, False))


def test_undo_is_exact(predictor):
    first = predictor.click(40, 50, True).copy()
    second = predictor.click(60, 20, False).copy()
    np.testing.assert_array_equal(predictor.undo(), first)
    assert predictor.clicks == ((40, 50, True),)
    np.testing.assert_array_equal(predictor.click(60, 20, False), second)
    predictor.undo()
    assert predictor.undo().max() == 0
    assert predictor.undo().max() == 0  # nothing left to take back
    assert predictor.clicks == ()


def test_reset_and_a_new_picture_start_over(predictor):
    first = predictor.click(40, 50).copy()
    predictor.click(60, 20)
    predictor.reset()
    assert predictor.clicks == ()
    np.testing.assert_array_equal(predictor.click(40, 50), first)
    predictor.set_image(picture(1))
    assert predictor.clicks == ()
    assert np.abs(predictor.click(40, 50) - first).max() > 1e-4


def test_a_mask_is_refined(predictor):
    plain = predictor.click(40, 50).copy()
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[20:60, 30:70] = True
    predictor.set_mask(mask)
    assert predictor.clicks == ()
    refined = predictor.click(40, 50).copy()
    assert np.abs(refined - plain).max() > 1e-4
    predictor.set_mask(mask.astype(np.float64))
    np.testing.assert_array_equal(predictor.click(40, 50), refined)


def test_the_protocol_is_that_of_its_name(checkpoint, predictor):
    with tiny.quick_compilation():
        released = Predictor.from_checkpoint(checkpoint, protocol="refiner-as-released")
    rgb = picture()
    released.set_image(rgb[..., ::-1].copy())  # it reads channels the other way round
    np.testing.assert_allclose(released.click(40, 50), predictor.click(40, 50), atol=1e-6)


def test_grey_and_transparent_pictures_are_as_their_colors(predictor):
    grey = picture()[..., 0]
    predictor.set_image(np.stack([grey] * 3, -1))
    expected = predictor.click(40, 50).copy()
    predictor.set_image(grey)
    np.testing.assert_array_equal(predictor.click(40, 50), expected)
    predictor.set_image(picture())
    expected = predictor.click(40, 50).copy()
    predictor.set_image(np.dstack([picture(), picture(1)[..., 0]]))
    np.testing.assert_array_equal(predictor.click(40, 50), expected)


def test_nothing_is_compiled_once_it_is_warm(predictor):
    predictor.click(40, 50)
    compiled = predictor.compilations
    assert compiled <= 6
    rng = np.random.default_rng(0)
    for number, (h, w) in enumerate([(80, 100), (200, 64), (256, 256), (1, 1), (33, 240)]):
        predictor.set_image(rng.integers(0, 256, (h, w, 3), np.uint8))
        if number == 2:
            predictor.set_mask(np.ones((h, w)))
        for click in range(9):
            predictor.click(*rng.uniform(0, (h - 1, w - 1)), positive=click % 3 != 2)
        predictor.undo()
        predictor.reset()
        predictor.click(0, 0)
    assert predictor.compilations == compiled


def test_it_answers_as_the_batched_loop_does(checkpoint, predictor):
    """Bit by bit, for objects clicked together and pictures of other sizes."""
    protocol = dataclasses.replace(PRESETS["paper"], max_clicks=4, early_stop=None)
    model = load_model(checkpoint)
    objects = [smooth_object(h, w, i) for i, (h, w) in enumerate([(80, 100), (250, 241), (64, 64)])]
    with tiny.quick_compilation():
        lane = Lane(Loop(model.network, protocol, 1), model.variables, 2, (256, 256))
        found = traces(lane, objects)
    for (image, target), trace in zip(objects, found, strict=True):
        predictor.set_image(image)
        mask, clicks = np.zeros(target.shape, bool), []
        for expected in trace.clicks:
            clicks.append(next_click(target, mask, clicks))
            assert clicks[-1] == expected
            probs = predictor.click(*expected)
            mask = probs > 0.5
        np.testing.assert_array_equal(probs, trace.probs)


def test_errors(checkpoint, tmp_path):
    with pytest.raises(UserError, match="holds no checkpoint"):
        Predictor.from_checkpoint(tmp_path / "nowhere")
    with pytest.raises(UserError, match="papr: did you mean 'paper'"):
        Predictor.from_checkpoint(checkpoint, protocol="papr")
    with tiny.quick_compilation():
        fresh = Predictor.from_checkpoint(checkpoint)
    for call in (lambda: fresh.click(1, 1), fresh.undo, fresh.reset, lambda: fresh.clicks):
        with pytest.raises(UserError, match="set_image"):
            call()
    sizes = [(5, 5, 2), (5, 5, 5), (5,), (1, 5, 5, 3), (0, 5, 3), (5, 0)]
    for wrong in (picture() / 255, picture() > 9, *(np.zeros(size, np.uint8) for size in sizes)):
        with pytest.raises(UserError, match=r"uint8 \[h, w, 3\]"):
            fresh.set_image(wrong)
    fresh.set_image(picture())
    with pytest.raises(UserError, match=r"\(80, 100\), not \(100, 80\)"):
        fresh.set_mask(np.zeros((WIDTH, HEIGHT)))
