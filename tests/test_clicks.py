from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from rsisrefiner_jax import clicks

GOLDEN = np.load(Path(__file__).parent / "goldens/next_click.npz")

region_of = jax.jit(clicks.inner_region)
draw = jax.jit(clicks.next_click, static_argnames="inner_k")


def test_add_fills_slots_in_order() -> None:
    made = clicks.empty(2, 2)
    assert clicks.count(made).tolist() == [0, 0]
    yx = jnp.asarray([[1.0, 2.0], [3.0, 4.0]])
    both, label = jnp.asarray([True, True]), jnp.asarray([1, 0])
    made = jax.jit(clicks.add)(made, yx, label, jnp.asarray([True, False]))
    assert made.label.tolist() == [[1, -1], [-1, -1]]
    made = clicks.add(made, yx + 10, 1 - label, both)
    assert made.label.tolist() == [[1, 0], [1, -1]]
    assert made.yx.tolist() == [[[1, 2], [11, 12]], [[13, 14], [-1, -1]]]
    full = clicks.add(made, yx + 20, label, both)
    assert full.yx.tolist() == [[[1, 2], [11, 12]], [[13, 14], [23, 24]]]
    assert clicks.count(full).tolist() == [2, 2]


def test_disks_by_hand() -> None:
    """Radius 2 around (2, 3), a fractional negative click, and one that is outside."""
    made = clicks.Clicks(
        yx=jnp.asarray([[[2.0, 3.0], [0.5, 0.0], [-1.0, -1.0]]]),
        label=jnp.asarray([[1, 0, 1]]),
    )
    positive, negative = np.asarray(clicks.disks(made, (6, 7), 2.0)[0].transpose(2, 0, 1))
    assert positive.astype(int).tolist() == [
        [0, 0, 0, 1, 0, 0, 0],
        [0, 0, 1, 1, 1, 0, 0],
        [0, 1, 1, 1, 1, 1, 0],
        [0, 0, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ]
    assert negative.astype(int)[:4, :3].tolist() == [[1, 1, 0], [1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert negative.sum() == 6


def test_no_clicks_draw_nothing() -> None:
    assert not clicks.disks(clicks.empty(2, 3), (8, 8), 5.0).any()


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
