"""The interactive session, with the tiny untrained network from a checkpoint."""

import dataclasses

import numpy as np
import pytest

from rsisrefiner_jax import Predictor
from rsisrefiner_jax.checkpoint.loading import load_model
from rsisrefiner_jax.checkpoint.runs import save_weights
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.interaction.loop import Loop
from rsisrefiner_jax.interaction.slots import Slots
from rsisrefiner_jax.protocol import PRESETS
from tests import tiny
from tests.fakes import smooth_object, traces
from tests.plain_annotator import next_click

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


def test_negative_clicks_alone_find_nothing(predictor):
    assert predictor.click(40, 50, positive=False).max() == 0
    assert predictor.click(20, 30).max() > 0
    predictor.set_mask(np.ones((HEIGHT, WIDTH)))
    assert predictor.click(40, 50, positive=False).max() > 0


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
        other = Predictor.from_checkpoint(checkpoint, protocol="simpleclick")
    outside = []
    for each in (predictor, other):
        each.set_image(np.random.default_rng(0).integers(0, 256, (250, 250, 3), np.uint8))
        mask = np.zeros((250, 250))
        mask[200:220, 200:220] = 1
        mask[5, 5] = 0.4
        each.set_mask(mask)
        outside.append(each.click(210, 210)[5, 5])
    assert outside == [np.float32(0.4), 0]  # what becomes of what is outside of the crop


def test_weights_know_their_channel_order(tmp_path, predictor):
    """Nobody has to say it: not to the Predictor, nor by a protocol."""
    model = dataclasses.replace(tiny.MODEL, channel_order="bgr")
    values = tiny.variables()
    config = dataclasses.replace(tiny.CONFIG, model=model)
    save_weights(tmp_path / "bgr", config, values["params"], values["batch_stats"])
    with tiny.quick_compilation():
        authors = Predictor.from_checkpoint(tmp_path / "bgr")
    rgb = picture()
    authors.set_image(rgb[..., ::-1].copy())
    np.testing.assert_allclose(authors.click(40, 50), predictor.click(40, 50), atol=1e-6)


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


def test_it_answers_as_the_batched_loop_does(checkpoint):
    """Bit by bit, for objects clicked together and pictures of other sizes."""
    protocol = dataclasses.replace(PRESETS["paper"], max_clicks=4, early_stop=None)
    model = load_model(checkpoint)
    objects = [smooth_object(h, w, i) for i, (h, w) in enumerate([(80, 100), (250, 241), (64, 64)])]
    with tiny.compilation(
        optimized=True
    ):  # as users compile it: else rounding depends on the batch
        predictor = Predictor(model)
        slots = Slots(Loop(model.model, protocol, 1), model.variables, 2, (256, 256))
        found = traces(slots, objects)
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


def masks(mask: np.ndarray) -> dict[str, object]:
    """The same mask in every form that means one."""
    return {
        "bool": mask,
        "uint8 0/1": mask.astype(np.uint8),
        "uint8 0/255": mask.astype(np.uint8) * 255,
        "int64": mask.astype(np.int64),
        "float16": mask.astype(np.float16),
        "float64": mask.astype(np.float64),
        "list": mask.tolist(),
    }


def test_every_form_of_a_mask_means_the_same(predictor):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[20:60, 30:70] = True
    answers = {}
    for name, form in masks(mask).items():
        predictor.set_mask(form)
        answers[name] = predictor.click(40, 50)
    for name, answer in answers.items():
        np.testing.assert_array_equal(answer, answers["bool"], err_msg=name)
    predictor.set_mask(np.zeros((HEIGHT, WIDTH), np.uint8))  # nothing yet: neither 0/1 nor 0/255
    predictor.set_mask(np.full((HEIGHT, WIDTH), 255, np.uint8))


def test_what_is_no_mask_is_refused(predictor):
    first = predictor.click(40, 50)
    whole = np.zeros((HEIGHT, WIDTH), np.float32)
    holes, ids, logits = whole.copy(), whole.astype(np.uint8), np.full_like(whole, -8)
    holes[0, 0], ids[5:9], logits[9] = np.nan, 7, 8
    mixed = ids.copy()
    mixed[0, 0] = 255
    for wrong in (
        holes,
        ids,
        logits,
        mixed,
        whole + np.inf,
        whole[..., None],
        whole[:5],
        whole.astype(complex),
        np.full(whole.shape, "a"),
        [[0, 1], [0]],
        "mask",
        None,
    ):
        with pytest.raises(UserError, match="the mask must"):
            predictor.set_mask(wrong)
    np.testing.assert_array_equal(predictor.undo(), np.zeros_like(first))  # all is as it was
    assert predictor.clicks == ()


@pytest.mark.parametrize(
    ("y", "x"),
    [
        (-5, 10), (-0.5, 10), (HEIGHT, 10), (10, WIDTH), (10, 1e9), (np.nan, 10), (10, np.inf),
        ("10", 10), (None, 10), ([1], 10), (True, 10),
    ],
)  # fmt: skip
def test_clicks_beside_the_picture_are_refused(predictor, y, x):
    first = predictor.click(40, 50)
    with pytest.raises(UserError, match=r"outside the picture|must be a number of pixels"):
        predictor.click(y, x)
    with pytest.raises(UserError, match="positive must be True or False"):
        predictor.click(40, 50, positive="no")
    assert predictor.clicks == ((40, 50, True),)
    np.testing.assert_array_equal(predictor.click(HEIGHT - 0.5, WIDTH - 0.5).shape, first.shape)


def test_what_is_returned_is_the_callers_own(predictor):
    first = predictor.click(40, 50)
    kept = first.copy()
    assert first.flags.writeable
    assert first.flags.c_contiguous
    predictor.click(10, 20)
    np.testing.assert_array_equal(first, kept)
    first[:] = 7
    again = predictor.undo()
    np.testing.assert_array_equal(again, kept)
    again[:] = 7
    np.testing.assert_array_equal(predictor.click(10, 20).shape, kept.shape)
    predictor.undo()
    np.testing.assert_array_equal(predictor.undo(), np.zeros_like(kept))


def test_undo_keeps_no_map_of_the_picture(predictor):
    """A click is remembered by its answer, which is as large as the network's input."""
    predictor.set_image(np.zeros((900, 1100, 3), np.uint8))
    for n in range(5):
        predictor.click(100 + 50 * n, 200)
    session = predictor._session
    kept = [leaf for answer in session._answers for leaf in answer]
    assert len(kept) == 5 * 3
    assert sum(leaf.nbytes for leaf in kept) < 5 * 3 * tiny.SIZE**2 * 4


def test_it_can_be_pickled_where_it_knows_its_checkpoint(checkpoint, predictor):
    import pickle

    with tiny.quick_compilation():
        copy = pickle.loads(pickle.dumps(Predictor.from_checkpoint(checkpoint, "simpleclick")))
        copy.set_image(picture())
        assert copy.protocol.name == "simpleclick"
        assert copy.click(40, 50).shape == (HEIGHT, WIDTH)
        own = Predictor(load_model(checkpoint))
    with pytest.raises(UserError, match="cannot be pickled; make it by"):
        pickle.dumps(own)


def test_a_fork_is_told(predictor):
    """Instead of hanging in a lock that only the parent can open."""
    import os

    predictor.click(40, 50)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            predictor.click(10, 20)
            said = "nothing"
        except UserError as error:
            said = str(error)
        except BaseException as error:
            said = repr(error)
        os.write(write, said.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert "before the process forked" in os.read(read, 1000).decode()


def test_without_a_name_the_protocol_is_the_checkpoints_own(tmp_path):
    """As in eval.py and the annotator."""
    own = dataclasses.replace(PRESETS["paper"], zoom_min_crop=48)
    values = tiny.variables()
    config = dataclasses.replace(tiny.CONFIG, protocol=own)
    save_weights(tmp_path / "own", config, values["params"], values["batch_stats"])
    with tiny.quick_compilation():
        assert Predictor.from_checkpoint(tmp_path / "own").protocol == own
        assert Predictor.from_checkpoint(tmp_path / "own", "paper").protocol == PRESETS["paper"]
    assert own.title == "paper with zoom_min_crop=48"
    assert PRESETS["ritm"].title == "ritm"
