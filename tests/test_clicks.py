import jax
import jax.numpy as jnp
import numpy as np

from rsisrefiner_jax.interaction import clicks


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
