"""Normalised focal loss against numbers of the published training code."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.training.losses import normalized_focal_loss

focal_loss = jax.jit(normalized_focal_loss, static_argnums=(2, 3))
GOLDEN = np.load(Path(__file__).parent / "goldens/normalized_focal_loss.npz")


@pytest.mark.parametrize("name", ["a", "b", "c", "saturated", "all_ignored"])
def test_value_and_gradient(name: str) -> None:
    logits, label = (jnp.asarray(GOLDEN[f"{name}/{key}"][:, 0]) for key in ("logits", "label"))
    loss = focal_loss(logits, label, 0.5, 2.0)
    grad = jax.grad(lambda x: focal_loss(x, label, 0.5, 2.0).mean())(logits)
    np.testing.assert_allclose(loss, GOLDEN[name + "/loss_per_sample"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(grad, GOLDEN[name + "/grad_of_mean"][:, 0], atol=1e-7)


def test_by_hand_with_alpha() -> None:
    """One object pixel at 1/4 and one background pixel at 1/4, gamma 1: weights 3/4 and 1/4."""
    logits = jnp.full((1, 1, 2), -np.log(3.0), jnp.float32)
    loss = focal_loss(logits, jnp.asarray([[[1, 0]]]), 0.9, 1.0)
    expected = (0.9 * 0.75 * np.log(4) + 0.1 * 0.25 * np.log(4 / 3)) * 2 / 1.0 / 2
    np.testing.assert_allclose(loss, [expected], rtol=1e-6)


def test_ignored_pixels_have_no_say() -> None:
    logits = jax.random.normal(jax.random.key(0), (1, 4, 5))
    label = jnp.ones((1, 4, 5), jnp.int32).at[0, 0].set(-1)
    grad = jax.grad(lambda x: focal_loss(x, label).mean())(logits)
    assert not grad[0, 0].any()
    np.testing.assert_allclose(
        focal_loss(logits, label),
        focal_loss(logits[:, 1:], label[:, 1:]),
        rtol=1e-6,
    )
