"""The annotator of a training step, against the published code's clicks."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from rsisrefiner_jax.interaction import annotator
from rsisrefiner_jax.interaction.annotator import ClickRule

GOLDEN = np.load(Path(__file__).parent / "goldens/next_click.npz")


@jax.jit
def region_of(prob, target):
    """Where a click may fall: bool [b, h, w], and its label."""
    errors = annotator.training_errors(jnp.asarray(target, jnp.int32), prob, 0.49)
    depth = annotator.error_depth(*errors, None)
    deepest = depth.max((2, 3))
    positive = deepest[:, 0] > deepest[:, 1]
    chosen = jnp.where(positive[:, None, None], depth[:, 0], depth[:, 1])
    return chosen * 4 > deepest.max(1)[:, None, None], positive


@functools.partial(jax.jit, static_argnames="inner_k")
def draw(prob, target, keys, inner_k=2.0):
    errors = annotator.training_errors(jnp.asarray(target, jnp.int32), prob, 0.49)
    number = jnp.zeros(len(prob), jnp.int32)
    return annotator.next_click(*errors, None, number, keys, ClickRule("random", inner_k=inner_k))


def _reference_region() -> np.ndarray:
    width = GOLDEN["target"].shape[-1]
    return np.unpackbits(GOLDEN["region"], axis=-1, count=width).astype(bool)


def test_inner_region_is_the_exact_one() -> None:
    region, positive = region_of(GOLDEN["prob"], GOLDEN["target"])
    for i, (prob, target) in enumerate(zip(GOLDEN["prob"], GOLDEN["target"], strict=True)):
        missed, wrong = (target > 0) & (prob < 0.49), (target <= 0) & (prob > 0.49)
        far = [ndimage.distance_transform_edt(np.pad(m, 1))[1:-1, 1:-1] for m in (missed, wrong)]
        is_positive = far[0].max() > far[1].max()
        chosen = far[0] if is_positive else far[1]
        assert positive[i] == is_positive
        np.testing.assert_array_equal(region[i], chosen > max(f.max() for f in far) / 2)


def test_inner_region_is_the_published_one_but_for_its_distance() -> None:
    """The published code measures distance with a 5x5 stencil, which is good to a few percent."""
    expected = _reference_region()
    region, positive = map(np.asarray, region_of(GOLDEN["prob"], GOLDEN["target"]))
    union, common = (region | expected).sum((1, 2)), (region & expected).sum((1, 2))
    assert (common >= 0.95 * union).all()
    assert (union == common).sum() >= 25
    found = GOLDEN["label"] >= 0
    np.testing.assert_array_equal(region.any((1, 2)), found)
    np.testing.assert_array_equal(positive[found], GOLDEN["label"][found] == 1)


def test_next_click_lies_in_the_region_and_does_not_depend_on_the_batch() -> None:
    keys = jax.random.split(jax.random.key(0), len(GOLDEN["label"]))
    yx, label, found = draw(GOLDEN["prob"], GOLDEN["target"], keys)
    region, _ = region_of(GOLDEN["prob"], GOLDEN["target"])
    y, x = np.asarray(yx, int).T
    np.testing.assert_array_equal(region[np.arange(len(y)), y, x], found)
    np.testing.assert_array_equal(found, GOLDEN["label"] >= 0)
    np.testing.assert_array_equal(label[found], GOLDEN["label"][np.asarray(found)])
    reversed_yx, _, _ = draw(GOLDEN["prob"][::-1], GOLDEN["target"][::-1], keys[::-1])
    np.testing.assert_array_equal(reversed_yx[::-1], yx)


def test_next_click_is_uniform() -> None:
    """16 admissible pixels, 3000 draws: equally often, within five standard deviations."""
    target = np.zeros((3000, 9, 9), np.int8)
    target[:, 1:5, 2:5] = 1  # distances 1 and 2
    target[:, 6:8, 6:8] = 1  # distance 1
    prob = np.zeros(target.shape, np.float32)
    keys = jax.random.split(jax.random.key(1), len(target))
    y, x = np.asarray(draw(prob, target, keys, inner_k=2.5)[0], int).T
    times = np.bincount(y * 9 + x, minlength=81).reshape(9, 9)
    assert (times > 0).sum() == 16
    assert not times[target[0] == 0].any()
    expected = len(target) / 16
    assert np.abs(times[target[0] == 1] - expected).max() < 5 * expected**0.5
