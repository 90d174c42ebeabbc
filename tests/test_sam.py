"""TinyViT and SAM's decoder as click models."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.config import Model
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.interaction.clicks import add, empty
from rsisrefiner_jax.models.registry import init_variables, make_model
from rsisrefiner_jax.models.sam.mask_decoder import Answer
from rsisrefiner_jax.models.sam.network import best, mask_prompt
from rsisrefiner_jax.models.tiny_vit import TinyViT, WindowAttention
from tests import tiny

SIDE = 64
MODEL = Model(
    network="sam",
    backbone="tiny_vit",
    image_size=SIDE,
    frozen=("backbone", "prompt_encoder", "mask_decoder"),
)


def clicks(*points, slots=4):
    """Clicks (y, x, positive) of one sample."""
    made = empty(1, slots)
    for y, x, positive in points:
        label = jnp.array([int(positive)])
        made = add(made, jnp.array([[y, x]], jnp.float32), label, label >= 0)
    return made


@pytest.fixture(scope="module")
def sam(shallow_tiny_vit):
    """predict(prev_mask, clicks) of a SAM with random weights, on a random picture."""
    with tiny.quick_compilation():
        variables = init_variables(MODEL, jax.random.key(0))
        model = make_model(MODEL)
        image = jax.random.uniform(jax.random.key(1), (1, SIDE, SIDE, 3))
        encode = jax.jit(functools.partial(model.apply, method="encode_image"))
        features = encode(variables, image)
        run = jax.jit(lambda *given: model.apply(variables, features, *given, method="predict"))
        yield lambda *given: np.asarray(run(*given))


def test_stages_have_the_strides_and_channels_of_mobilesam():
    shapes = jax.eval_shape(
        lambda: TinyViT().init_with_output(jax.random.key(0), jnp.zeros((2, 448, 448, 3)))[0]
    )
    assert [s.shape[1:] for s in shapes] == [
        (112, 112, 64),
        (56, 56, 128),
        (28, 28, 160),
        (28, 28, 320),
        (28, 28, 256),
    ]


def test_attention_stays_in_its_window():
    attention = WindowAttention(heads=1, window=4)
    x = jax.random.normal(jax.random.key(0), (1, 10, 6, 8))
    variables = attention.init(jax.random.key(1), x)
    base = attention.apply(variables, x)
    changed = attention.apply(variables, x.at[0, 5, 2, 0].add(1.0))
    moved = np.abs(np.asarray(changed - base))[0].max(-1) > 1e-7
    expected = np.zeros((10, 6), bool)
    expected[4:8, 0:4] = True
    np.testing.assert_array_equal(moved, expected)


def test_free_slots_change_nothing(sam):
    prev_mask = jnp.full((1, SIDE, SIDE), 0.2)
    points = ((10, 20, True), (40, 50, False))
    few, many = (sam(prev_mask, clicks(*points, slots=slots)) for slots in (2, 9))
    np.testing.assert_allclose(many, few, atol=1e-5)


def test_clicks_and_previous_mask_matter(sam):
    nothing = jnp.zeros((1, SIDE, SIDE))
    one = clicks((10, 20, True))
    first = sam(nothing, one)
    assert first.shape == (1, SIDE, SIDE)
    assert np.abs(sam(nothing, clicks((11, 20, True))) - first).max() > 1e-4
    assert np.abs(sam(nothing, clicks((10, 20, False))) - first).max() > 1e-4
    assert np.abs(sam(nothing.at[0, 5, 5].set(1e-6), one) - first).max() > 1e-4


def test_a_single_click_takes_the_best_of_three_readings():
    iou = jnp.array([[0.9, 0.1, 0.3, 0.2]])
    answer = Answer(jnp.zeros((1, 1, 1, 4)), iou, jnp.zeros((1, 1, 1, 32)))
    assert int(best(answer, clicks((1, 1, True)))[0]) == 2
    assert int(best(answer, clicks((1, 1, True), (2, 2, False)))[0]) == 0


def test_a_mask_prompt_is_the_logit_of_the_mean():
    prob = jnp.zeros((1, 8, 8)).at[0, :4, :4].set(0.5).at[0, 4:, 4:].set(1.0)
    logits = np.asarray(mask_prompt(prob))[0]
    np.testing.assert_allclose(logits, [[0, -10], [-10, 10]], atol=1e-3)


def test_sam_has_tiny_vit():
    with pytest.raises(UserError, match=r"model\.network=sam has model\.backbone=tiny_vit"):
        Model(network="sam")
    with pytest.raises(UserError, match="may name only backbone, prompt_encoder, mask_decoder"):
        Model(network="sam", backbone="tiny_vit")
