"""RS-ISRefiner on TinyViT: what clicks reach, and the training step with a loss at every click."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax import parallel
from rsisrefiner_jax.config import Clicks, Config, Data, Model, Optim, Train
from rsisrefiner_jax.data.pipeline import training_dataset
from rsisrefiner_jax.interaction.clicks import add, empty
from rsisrefiner_jax.models.refiner.pyramid import click_maps
from rsisrefiner_jax.models.registry import init_variables, make_model
from rsisrefiner_jax.training import step as training
from rsisrefiner_jax.weights import split
from tests import tiny

SIDE = 64
MODEL = Model(
    backbone="tiny_vit",
    image_size=SIDE,
    sam_mask=True,
    mask_channels=(4, 8, 8, 16),
    width=16,
    heads=2,
    adapter_heads=2,
    first_pass="single",
    frozen=("backbone", "prompt_encoder", "mask_decoder"),
)
CONFIG = Config(
    name="tiny_vit",
    model=MODEL,
    data=Data(train=("synthetic:train@96",), threads=1, min_object_area=64, targets=2),
    clicks=Clicks(iterations=(0.0, 0.0, 1.0), gradient="every", max_clicks=4),
    optim=Optim(lr=3e-3),
    train=Train(batch_size=2, epochs=1, samples_per_epoch=8),
)


@pytest.fixture(scope="module")
def variables(shallow_tiny_vit):
    with tiny.quick_compilation():
        return init_variables(MODEL, jax.random.key(0))


@pytest.fixture(scope="module")
def batch():
    return training_dataset(CONFIG)[0]


def test_a_picture_has_several_targets_in_a_row(batch):
    assert batch["image"].shape == (2, SIDE, SIDE, 3)
    assert batch["label"].shape == (4, SIDE, SIDE)
    for label, (y, x) in zip(batch["label"], batch["first_click"], strict=True):
        assert label[int(y), int(x)] == 1


def test_without_what_it_adds_it_answers_as_sam(variables):
    model, image = make_model(MODEL), jax.random.uniform(jax.random.key(1), (1, SIDE, SIDE, 3))
    one = jnp.ones(1, jnp.int32)
    clicks = add(empty(1, 3), jnp.array([[20.0, 30.0]]), one, one == 1)
    params = dict(variables["params"])
    pyramid = dict(params["pyramid"])
    for name in ("kernel_mlp_out", "fine"):
        pyramid[name] = jax.tree.map(jnp.zeros_like, pyramid[name])
    silent = {"params": params | {"pyramid": pyramid}}
    sam = make_model(dataclasses.replace(MODEL, network="sam"))
    parts = {"params": {name: params[name] for name in MODEL.frozen}}

    @functools.partial(jax.jit, static_argnums=0)
    def answer(model, variables, prev_mask):
        return model.apply(variables, image, prev_mask, clicks, first=True)

    for prev_mask in (jnp.zeros((1, SIDE, SIDE)), jnp.full((1, SIDE, SIDE), 0.3)):
        with tiny.quick_compilation():
            ours, theirs = answer(model, silent, prev_mask), answer(sam, parts, prev_mask)
        assert np.abs(theirs).max() < 8  # where nothing is clipped
        np.testing.assert_allclose(ours, theirs / 2, atol=1e-5)


def run(config, variables, batch, steps, backend="shard_map"):
    """Losses, the last state and what the last step showed."""
    devices = parallel.DataParallel(backend, 2, jax.devices()[:1])
    frozen, trainable = split(variables["params"], MODEL.frozen)
    state = devices.replicate(training.init_state(config, trainable, {}))
    frozen = devices.replicate(frozen)
    step, losses = training.ClickStep(config, devices), []
    with tiny.quick_compilation():
        for k in range(steps):
            state, metrics, shown = step(state, frozen, devices.shard(batch), k)
            losses.append(float(metrics["loss"]))
    return losses, jax.device_get(state), jax.device_get(shown)


def test_a_single_click_is_the_same_step_with_either_rule(variables, batch):
    one = dataclasses.replace(CONFIG.clicks, iterations=(1.0,))
    # With a large eps Adam moves by the gradient, not by its sign, which rounding may change.
    by_gradient = dataclasses.replace(CONFIG.optim, lr=1.0, eps=1.0)
    every = dataclasses.replace(CONFIG, clicks=one, optim=by_gradient)
    last = dataclasses.replace(every, clicks=dataclasses.replace(one, gradient="last"))
    (a, left, _), (b, right, _) = (run(c, variables, batch, 1) for c in (last, every))
    np.testing.assert_allclose(a, b, rtol=1e-5)
    assert left.step == right.step == 1
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), left.params, right.params
    )
    before = split(variables["params"], MODEL.frozen)[1]
    moved = jax.tree.map(lambda x, y: np.abs(x - y).max(), left.params, before)
    assert max(jax.tree.leaves(moved)) > 0.01


@pytest.mark.parametrize("backend", ["shard_map", "pmap"])
def test_it_learns_with_a_loss_at_every_click(variables, batch, backend):
    losses, state, shown = run(CONFIG, variables, batch, 6, backend)
    assert state.step == 6
    assert ((shown["clicks"].label >= 0).sum(-1) == 3).all()
    assert shown["prob"].shape == (4, SIDE, SIDE)
    assert losses[-1] < losses[0], losses


def test_wide_click_maps_fall_off_with_the_distance():
    one = jnp.ones(1, jnp.int32)
    clicks = add(empty(1, 3), jnp.array([[10.5, 20.5]]), one, one == 1)
    maps = np.asarray(click_maps(clicks, 64, 2, 5, 16))[0]
    assert maps.shape == (32, 32, 4)
    assert maps[5, 10].tolist() == [1, 0, 1, 0]
    assert maps[5, 13, 0] == 0
    np.testing.assert_allclose(maps[5, 18, 2], np.exp(-0.5), rtol=1e-5)
    assert not maps[..., 3].any()


def test_each_input_can_be_left_out(variables):
    alone = dataclasses.replace(MODEL, sam_mask=False, frozen=("backbone",))
    shapes = jax.eval_shape(lambda: init_variables(alone, jax.random.key(0)))
    assert set(shapes["params"]) == {"backbone", "picture", "pyramid"}
