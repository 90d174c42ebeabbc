"""Losses: one number per sample; the caller takes the mean."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from rsisrefiner_jax.ops.precision import wide


def normalized_focal_loss(
    logits: Float[Array, "b h w"],
    label: Int[Array, "b h w"],
    alpha: float = 0.5,
    gamma: float = 2.0,
) -> Float[Array, " b"]:
    """Focal loss whose weights are rescaled to sum to the number of valid pixels.

    (Sofiiuk et al., "AdaptIS", 2019; here with the factor held constant.)
    Bounded, with finite gradients for any logits: as in the published code the logarithm stops at
    log(1e-12), so a log-sigmoid would give other values for saturated logits.

    Args:
        label: 1 object, 0 background, -1 ignored.
        alpha: weight of object pixels; background pixels weigh 1 - alpha.
        gamma: exponent of the focal weight.
    Returns:
        float32 or wider; 0 for a sample whose pixels are all ignored.
    """
    eps = 1e-12
    valid = (label >= 0).astype(jnp.float32)
    prob = jax.nn.sigmoid(wide(logits))
    is_object = label == 1
    right = jnp.where(is_object, prob, 1 - prob)  # probability of the true class
    right = jnp.where(label >= 0, right, 1.0)
    focal = (1 - right) ** gamma
    valid_count = valid.sum((1, 2))
    factor = jax.lax.stop_gradient(valid_count / (focal.sum((1, 2)) + eps))
    weight = jnp.where(is_object, alpha, 1 - alpha) * valid * focal * factor[:, None, None]
    loss = -weight * jnp.log(jnp.minimum(right + eps, 1.0))
    return loss.sum((1, 2)) / (valid_count + eps)
