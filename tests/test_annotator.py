"""Click strategies: the centre click equals the host's, the others stay inside the error."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rsisrefiner_jax.interaction import annotator
from rsisrefiner_jax.interaction.annotator import ClickRule
from rsisrefiner_jax.interaction.clicks import Click, Clicks
from rsisrefiner_jax.interaction.clicks import count as count_of
from rsisrefiner_jax.interaction.padding import pad
from tests import plain_annotator

GOLDEN = np.load(Path(__file__).parent / "goldens" / "clicker.npz")
CASES = sorted({key.split("/")[0] for key in GOLDEN if key[:3].isdigit()})
SHAPE, SLOTS, KEYS = (96, 96), 6, 96
STRATEGIES = ("centre", "random", "jitter", "human")
RANDOM = STRATEGIES[1:]


@functools.cache
def compiled(strategy: str, jitter: float):
    @jax.jit
    def next_click(target, mask, clicks, keys):
        errors = annotator.errors(target, mask)
        rule = ClickRule(strategy, jitter)
        return annotator.next_click(*errors, clicks, count_of(clicks), keys, rule)[:2]

    return next_click


def slots(clicks) -> Clicks:
    """[1, k]"""
    yx = np.full((1, SLOTS, 2), -1, np.float32)
    label = np.full((1, SLOTS), -1, np.int32)
    for i, click in enumerate(clicks):
        yx[0, i], label[0, i] = click[:2], click.positive
    return Clicks(jnp.asarray(yx), jnp.asarray(label))


def batched(target, mask, clicks, shape=SHAPE):
    """One object padded to `shape`, with a leading axis."""
    target = pad(np.asarray(target, np.int8), shape, -1)
    return target[None], pad(mask, shape)[None], slots(clicks)


def choose(strategy, objects, keys, jitter=3.0) -> list[Click]:
    yx, label = compiled(strategy, jitter)(*objects, keys)
    assert (yx.dtype, label.dtype) == (np.float32, np.int32)
    return [
        Click(y, x, bool(sign)) for (y, x), sign in zip(yx.tolist(), label.tolist(), strict=True)
    ]


def draw(
    strategy, target, mask, clicks=(), count=1, seed=0, jitter=3.0, shape=SHAPE
) -> list[Click]:
    """The next click for `count` keys, of an image padded to `shape`."""
    keys = jax.random.split(jax.random.key(seed), count)
    objects = batched(target, mask, clicks, shape)
    objects = jax.tree.map(lambda x: np.repeat(x, count, 0), objects)
    return choose(strategy, objects, keys, jitter)


def golden(case: str):
    target = GOLDEN[f"{case}/gt"]
    mask = np.unpackbits(GOLDEN[f"{case}/pred"])[: target.size].reshape(target.shape).astype(bool)
    y, x, positive = GOLDEN[f"{case}/next_y_x_pos"]
    clicks = [Click(y, x, True) for y, x in GOLDEN[f"{case}/clicked"]]
    return (target, mask, clicks), Click(y, x, bool(positive))


@pytest.mark.parametrize("case", CASES)
def test_centre_equals_the_reference(case):
    picture, expected = golden(case)
    assert draw("centre", *picture) == [expected]


@pytest.mark.parametrize("shape", [(96, 96), (150, 280)])
def test_many_objects_at_once_equal_the_reference(shape):
    pictures, expected = zip(*map(golden, CASES), strict=True)
    objects = [batched(*picture, shape) for picture in pictures]
    objects = jax.tree.map(lambda *x: np.concatenate(x), *objects)
    keys = jax.random.split(jax.random.key(0), len(CASES))
    assert choose("centre", objects, keys) == list(expected)


@st.composite
def pictures(draw, shapes=hnp.array_shapes(min_dims=2, max_dims=2, max_side=30)):
    shape = draw(shapes)
    target = draw(hnp.arrays(np.int8, shape, elements=st.sampled_from([-1, 0, 1])))
    mask = draw(hnp.arrays(bool, shape))
    place = st.tuples(st.integers(0, shape[0] - 1), st.integers(0, shape[1] - 1), st.booleans())
    return target, mask, [Click(*c) for c in draw(st.lists(place, max_size=SLOTS))]


@settings(deadline=None, max_examples=100)
@given(pictures())
def test_centre_equals_the_host(picture):
    assert draw("centre", *picture) == [plain_annotator.next_click(*picture)]


@settings(deadline=None, max_examples=30)
@given(pictures(st.just((17, 23))))
def test_padding_changes_nothing(picture):
    assert draw("centre", *picture, shape=(17, 23)) == draw("centre", *picture)


@settings(deadline=None, max_examples=40)
@given(pictures(), st.integers(0, 270), st.integers(0, 250))
def test_errors_anywhere_in_a_large_image(picture, top, left):
    target, mask, clicks = picture
    h, w = target.shape
    large, found = np.zeros((300, 280), np.int8), np.zeros((300, 280), bool)
    place = np.s_[top : top + h, left : left + w]
    large[place], found[place] = target[: 300 - top, : 280 - left], mask[: 300 - top, : 280 - left]
    clicks = [Click(min(y + top, 299), min(x + left, 279), sign) for y, x, sign in clicks]
    expected = plain_annotator.next_click(large, found, clicks)
    assert draw("centre", large, found, clicks, shape=large.shape) == [expected]


@settings(deadline=None, max_examples=30)
@given(pictures(), st.sampled_from(RANDOM), st.integers(0, 2**31))
def test_every_strategy_corrects_the_larger_error(picture, strategy, seed):
    target, mask, clicks = picture
    expected = plain_annotator.next_click(*picture)
    region = (target == 1) & ~mask if expected.positive else (target == 0) & mask
    for y, x, _ in clicks:
        region[int(y), int(x)] = False
    for click in draw(strategy, *picture, count=KEYS, seed=seed):
        assert click.positive == expected.positive
        if region.any():
            assert region[int(click.y), int(click.x)]
        else:
            assert click == Click(0, 0, False)


def error(positive: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A target, a prediction that misses (or adds) a rectangle, and its squared depths."""
    target, mask = np.zeros((60, 70), np.int8), np.zeros((60, 70), bool)
    (target if positive else mask)[11:40, 20:61] = 1
    y, x = np.mgrid[:60, :70]
    depth = np.minimum(np.minimum(y - 10, 40 - y), np.minimum(x - 19, 61 - x)).clip(0)
    return target, mask, depth.astype(np.int64) ** 2


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("strategy", RANDOM)
def test_draws_differ_between_keys_and_come_back(strategy, positive):
    target, mask, depth = error(positive)
    first = draw(strategy, target, mask, count=KEYS)
    assert draw(strategy, target, mask, count=KEYS) == first
    assert draw(strategy, target, mask, count=KEYS, seed=1) != first
    assert len(set(first)) > KEYS // 4
    assert {click.positive for click in first} == {positive}
    assert all(depth[int(click.y), int(click.x)] > 0 for click in first)


def test_random_stays_deeper_than_half_the_depth():
    target, mask, depth = error(True)
    places = [(int(c.y), int(c.x)) for c in draw("random", target, mask, count=KEYS)]
    assert min(depth[place] for place in places) * 4 > depth.max()
    assert min(depth[place] for place in places) < 0.5 * depth.max()


def test_jitter_misses_the_centre_by_its_step():
    target, mask, _ = error(True)
    centre = plain_annotator.next_click(target, mask)
    clicks = np.array([c[:2] for c in draw("jitter", target, mask, count=KEYS)])
    steps = clicks - centre[:2]
    np.testing.assert_allclose(steps.std(0), 3, rtol=0.25)
    assert np.abs(steps.mean(0)).max() < 1
    assert set(draw("jitter", target, mask, count=KEYS, jitter=0.0)) == {centre}
    # A step out of the error is not made.
    assert set(draw("jitter", target, mask, count=KEYS, jitter=1e6)) == {centre}


def test_human_prefers_the_middle_at_first_and_hits_it_from_then_on():
    target, mask, depth = error(True)
    clicks = [c for seed in range(6) for c in draw("human", target, mask, count=KEYS, seed=seed)]
    first = [depth[int(c.y), int(c.x)] for c in clicks]
    assert len(set(first)) > 10
    # Drawn with the squared depth as weight, not uniformly.
    weighted = (depth**2).sum() / depth.sum()
    np.testing.assert_allclose(np.mean(first), weighted, rtol=0.1)
    assert np.mean(first) > 1.3 * depth[depth > 0].mean()
    earlier = [Click(5, 5, False)]
    centre = plain_annotator.next_click(target, mask, earlier)
    assert set(draw("human", target, mask, earlier, count=KEYS)) == {centre}


def test_every_click_draws_anew():
    target, mask, _ = error(True)
    aside = [Click(50, 5, False), Click(51, 6, False)]
    drawn = [draw("random", target, mask, aside[:n]) for n in range(3)]
    assert len({clicks[0] for clicks in drawn}) == 3


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_perfect_prediction_gets_a_negative_click_in_the_corner(strategy):
    target, _, _ = error(True)
    assert set(draw(strategy, target, target == 1, count=KEYS)) == {Click(0, 0, False)}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_clicked_pixels_are_not_clicked_again(strategy):
    target, nothing = np.zeros((5, 5), np.int8), np.zeros((5, 5), bool)
    target[2, 1:3] = 1
    left = [Click(2, 1, True)]
    assert set(draw(strategy, target, nothing, left, count=KEYS)) == {Click(2, 2, True)}
    both = [*left, Click(2.0, 2.4, True)]
    assert set(draw(strategy, target, nothing, both, count=KEYS)) == {Click(0, 0, False)}
