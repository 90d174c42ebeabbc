"""The training step: it learns, it keeps its hands off what is frozen, it clicks as told."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict

from rsisrefiner_jax.config import Clicks, Config, Optim, Train, load
from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.interaction.clicks import add, count, empty
from rsisrefiner_jax.models.registry import abstract_variables
from rsisrefiner_jax.parallel import AXIS, DataParallel
from rsisrefiner_jax.training import step as training
from rsisrefiner_jax.training.optimizer import (
    as_tree,
    as_vectors,
    average,
    first_state,
    group_of,
    schedule,
    updated,
)
from rsisrefiner_jax.training.step import ClickStep, draw_iterations
from rsisrefiner_jax.weights import split
from tests import tiny

BASE = load("configs/base.py")


def test_it_learns_and_only_what_is_trainable():
    devices = DataParallel("shard_map", 4, jax.devices()[:1])
    state, frozen = tiny.start(devices)
    before = jax.tree.map(np.array, (state.params, frozen))
    # Without J = 1, which would be a second program to compile.
    config = dataclasses.replace(tiny.CONFIG, clicks=Clicks(iterations=(0.0, 0.8, 0.64)))
    step, batch = ClickStep(config, devices), devices.shard(tiny.batch())
    losses, iterations = [], []
    with tiny.quick_compilation():
        for k in range(16):
            state, metrics, shown = step(state, frozen, batch, k)
            losses.append(float(metrics["loss"]))
            iterations.append(int(metrics["iterations"]))
    assert iterations == [draw_iterations(config, k) for k in range(16)]
    assert set(iterations) == {2, 3}
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3]), losses
    assert int(state.step) == 16
    assert shown["prob"].shape == (4, 64, 64)
    assert (count(shown["clicks"]) <= iterations[-1]).all()

    after = jax.tree.map(np.asarray, (state.params, frozen))
    assert set(before[1]) == {"backbone", "patch_embed_coords", "neck"}
    jax.tree.map(np.testing.assert_array_equal, after[1], before[1])
    moved, start = flatten_dict(after[0], sep="/"), flatten_dict(before[0], sep="/")
    still = {path for path in start if np.array_equal(moved[path], start[path])}
    # Squeeze and excitation of 8 channels squeezes into one unit, which may be off.
    assert not {path for path in still if "/se/" not in path}


def test_the_optimizer_keeps_nothing_for_what_is_frozen():
    frozen, trainable = split(abstract_variables(BASE.model)["params"], BASE.model.frozen)
    assert "backbone" in frozen
    state = jax.eval_shape(lambda params: first_state(BASE, params), trainable)
    assert 0 <= sum(leaf.size for leaf in jax.tree.leaves(state)) - 2 * 41_487_927 < 100


def test_learning_rate_of_the_paper():
    rate = schedule(BASE)
    for epoch, expected in {0: 5e-5, 9: 5e-5, 10: 5e-6, 11: 5e-6, 49: 5e-6, 50: 5e-7}.items():
        for step in (epoch * 1875, epoch * 1875 + 1874):
            np.testing.assert_allclose(rate(step), expected, rtol=1e-5)


def test_warmup_ends_at_the_full_rate():
    rate = schedule(dataclasses.replace(BASE, optim=Optim(lr=1.0, warmup_steps=4)))
    np.testing.assert_allclose([rate(k) for k in range(6)], [0.25, 0.5, 0.75, 1, 1, 1])


def test_cosine_schedule():
    optim = Optim(lr=1.0, schedule="cosine", lr_end=0.1, warmup_steps=2)
    train = dataclasses.replace(BASE.train, epochs=2, samples_per_epoch=160)  # 20 steps
    rate = schedule(dataclasses.replace(BASE, optim=optim, train=train))
    expected = [0.5, 0.1 + 0.9 * (1 + np.cos(np.pi / 20)) / 2, 0.55, 0.1]
    np.testing.assert_allclose([rate(k) for k in (0, 1, 10, 20)], expected, rtol=1e-5)


def test_accumulated_gradients_are_one_update_by_their_mean():
    optim = Optim(lr=0.1, eps=0.5, accumulate=2, milestones=(1,), clip_norm=100.0)
    train = dataclasses.replace(BASE.train, samples_per_epoch=16 * 2)  # an epoch is one update
    config = dataclasses.replace(BASE, optim=optim, train=train)
    params, grads = {"decoder": jnp.ones(2)}, ([1.0, 3.0], [3.0, -1.0], [2.0, 2.0], [2.0, 2.0])
    state, seen = first_state(config, params), [params]
    for step, grad in enumerate(grads):
        params, state = updated(config, params, state, {"adapter": jnp.array(grad)}, step)
        seen.append(params)
    once = dataclasses.replace(config, optim=dataclasses.replace(optim, accumulate=1))
    start, mean = seen[0], {"adapter": jnp.array([2.0, 1.0])}
    expected = updated(once, start, first_state(once, start), mean, 0)[0]
    values = [np.asarray(params["decoder"]) for params in seen]
    np.testing.assert_array_equal(values[1], values[0])
    np.testing.assert_allclose(values[2], expected["decoder"], rtol=1e-6)
    np.testing.assert_array_equal(values[3], values[2])
    assert 0 < (values[3] - values[4]).max() < 0.02  # the rate of the second epoch


def test_moving_average():
    config = dataclasses.replace(BASE, optim=Optim(ema=0.9))
    mean = lambda step, config=config, done=None: float(average(config, 1.0, 2.0, step, done))  # noqa: E731
    np.testing.assert_allclose(mean(0), 0.1 * 1 + 0.9 * 2)  # a young one follows closely
    np.testing.assert_allclose(mean(10**6), 0.9 * 1 + 0.1 * 2, rtol=1e-6)
    assert average(BASE, None, 2.0, 0, None) is None
    slow = dataclasses.replace(config, optim=Optim(ema=0.9, accumulate=2))
    state = optax.MultiStepsState(jnp.int32(1), 0, None, None)
    assert mean(10**6, slow, state) == 1
    np.testing.assert_allclose(mean(10**6, slow, state._replace(mini_step=0)), 1.1, rtol=1e-6)


def first_update(optim: Optim, grad: float = 1.0) -> dict[str, float]:
    """How far Adam moves a backbone and an adapter parameter of value 10 in its first step."""
    config = dataclasses.replace(BASE, optim=optim)
    params = {"neck": {"w": jnp.full(3, 10.0)}, "decoder": {"up": {"w": jnp.full(6, 10.0)}}}
    grads = as_vectors(jax.tree.map(lambda p: jnp.full_like(p, grad), params))
    moved = updated(config, params, first_state(config, params), grads, 0)[0]
    return {
        "backbone": moved["neck"]["w"][0] - 10,
        "adapter": moved["decoder"]["up"]["w"][0] - 10,
    }


def test_a_vector_for_each_parameter_group():
    tree = {
        "neck": {"kernel": jnp.arange(6.0).reshape(2, 3)},
        "decoder": {"b": jnp.array(6.0), "a": jnp.arange(7.0, 9.0)},
        "backbone": jnp.arange(9.0, 10.0),
    }
    vectors = as_vectors(tree)
    expected = {"adapter": [7, 8, 6], "backbone": [9, 0, 1, 2, 3, 4, 5]}  # by the order of names
    assert {group: vector.tolist() for group, vector in vectors.items()} == expected
    jax.tree.map(np.testing.assert_array_equal, as_tree(vectors, tree), tree)
    assert as_vectors({"decoder": tree["decoder"]}).keys() == {"adapter"}


def test_parameter_groups():
    modules = abstract_variables(tiny.MODEL)["params"]
    assert {m for m in modules if group_of(m) == "backbone"} == set(BASE.model.frozen)
    move = first_update(Optim(lr=0.1))
    np.testing.assert_allclose([move["backbone"], move["adapter"]], [-0.1, -0.1], rtol=1e-4)
    move = first_update(Optim(lr=0.1, backbone_lr_scale=0.5, adapter_lr_scale=2))
    np.testing.assert_allclose([move["backbone"], move["adapter"]], [-0.05, -0.2], rtol=1e-4)


def test_weight_decay_and_clipping():
    decayed = first_update(Optim(lr=0.1, weight_decay=0.01))
    np.testing.assert_allclose(decayed["adapter"], -0.1 * (1 + 0.01 * 10), rtol=1e-5)
    # Nine gradients of 1 have norm 3; clipped to 0.03 each is 0.01: halfway to eps 0.01.
    clipped = first_update(Optim(lr=0.1, eps=0.01, clip_norm=0.03))
    np.testing.assert_allclose(clipped["backbone"], -0.05, rtol=1e-4)


def test_the_rate_is_that_of_the_step_however_many_gradients_it_has():
    optim, train = Optim(lr=1.0, milestones=(1,)), Train(batch_size=1, samples_per_epoch=2)
    config = dataclasses.replace(BASE, optim=optim, train=train)
    params = {"decoder": jnp.zeros(2)}
    state, moved = first_state(config, params), []
    for step in (0, 0, 0, 1, 1, 2, 2):  # two steps an epoch, the rate falls after the first
        before = params["decoder"][0]
        params, state = updated(config, params, state, {"adapter": jnp.ones(2)}, step)
        moved.append(float(params["decoder"][0] - before))
    np.testing.assert_allclose(moved, [-1, -1, -1, -1, -1, -0.1, -0.1], rtol=1e-3)


def test_how_often_each_number_of_iterations_is_drawn():
    drawn = [draw_iterations(BASE, step) for step in range(6000)]
    share = np.bincount(drawn, minlength=4) / len(drawn)
    np.testing.assert_allclose(share, [0, 0.4098, 0.3279, 0.2623], atol=0.02)
    assert drawn[:50] == [draw_iterations(BASE, step) for step in range(50)]
    other = dataclasses.replace(BASE, seed=1)
    assert drawn[:50] != [draw_iterations(other, step) for step in range(50)]


class Answering(ClickModel):
    """Its logits are made of the label, which it is given in place of the picture."""

    answer: Callable[[jax.Array], jax.Array]

    def encode_image(self, image):
        return image[..., 0]

    def predict(self, features, prev_mask, clicks, *, group=1):
        return self.answer(features)


def simulate(answer, clicks_wanted, devices=1):
    """So many clicks on 4 samples split over `devices`; the model is `answer`(label) -> logits."""
    batch = tiny.batch()

    def run(label, first_click):
        clicks = empty(len(label), tiny.CONFIG.clicks.max_clicks)
        positive = jnp.ones(len(label), jnp.int32)
        clicks = add(clicks, first_click, positive, positive == 1)
        image = jnp.stack([label] * 3, -1).astype(jnp.float32)
        return training.simulate_clicks(
            tiny.CONFIG,
            Answering(answer),
            {},
            image,
            label,
            clicks,
            jnp.int32(clicks_wanted - 1),
            jax.random.key(0),
        )

    split = lambda x: jnp.asarray(x).reshape(devices, -1, *x.shape[1:])  # noqa: E731
    label = split(batch["label"].astype(np.int32))
    prob, clicks = jax.vmap(run, axis_name=AXIS)(label, split(batch["first_click"]))
    clicks = jax.tree.map(lambda x: np.asarray(x).reshape(4, *x.shape[2:]), clicks)
    return clicks, np.asarray(prob).reshape(4, 64, 64)


NOTHING = lambda label: jnp.full(label.shape, -5.0)  # noqa: E731
RIGHT = lambda label: jnp.where(label == 1, 5.0, -5.0)  # noqa: E731
EVERYTHING = lambda label: jnp.full(label.shape, 5.0)  # noqa: E731


@pytest.mark.parametrize("iterations", [1, 3, 4])
def test_missed_objects_get_one_positive_click_an_iteration(iterations):
    clicks, prob = simulate(NOTHING, iterations)
    assert (clicks.label >= 0).sum(1).tolist() == [iterations] * 4
    label = tiny.batch()["label"]
    for i in range(4):
        np.testing.assert_array_equal(clicks.yx[i, 0], tiny.batch()["first_click"][i])
        for (y, x), sign in zip(clicks.yx[i, :iterations], clicks.label[i], strict=False):
            assert sign == 1
            assert label[i, int(y), int(x)] == 1
    assert (prob == 0).all() == (iterations == 1)


def test_false_objects_get_negative_clicks_that_avoid_what_is_right():
    clicks, _ = simulate(EVERYTHING, 4)
    label = tiny.batch()["label"]
    for i in range(4):
        assert clicks.label[i, :5].tolist() == [1, 0, 0, 0, -1]
        for y, x in clicks.yx[i, 1:4].astype(int):
            assert label[i, y, x] != 1


def test_a_right_answer_gets_no_click():
    clicks, _ = simulate(RIGHT, 5)
    assert (clicks.label >= 0).sum(1).tolist() == [1] * 4


def test_clicks_do_not_depend_on_how_the_batch_is_split():
    whole = simulate(NOTHING, 4)[0]
    assert len({tuple(yx) for yx in whole.yx[:, 1]}) == 4
    parts = simulate(NOTHING, 4, devices=4)[0]
    jax.tree.map(np.testing.assert_array_equal, parts, whole)


def test_a_config_of_one_iteration_only():
    config = dataclasses.replace(Config(), clicks=Clicks(iterations=(2.0,)))
    assert {draw_iterations(config, step) for step in range(20)} == {1}
