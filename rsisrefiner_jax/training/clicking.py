"""Clicks of a training step that have no gradient, and the click that corrects an answer."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int, Key

from rsisrefiner_jax import parallel
from rsisrefiner_jax.config import Config
from rsisrefiner_jax.interaction import annotator
from rsisrefiner_jax.interaction.annotator import ClickRule
from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.interaction.clicks import Clicks, add, count


def encode(
    model: ClickModel,
    variables: Any,
    image: Float[Array, "p s s 3"],
    targets: int,
    fixed: Any = None,
) -> Any:
    """The features of every target; those of a picture are computed once."""
    given = (image,) if fixed is None else (image, fixed)
    return repeat(model.apply(variables, *given, method="encode_image"), targets)


def repeat(tree: Any, targets: int) -> Any:
    """Rows [p, ...] so often that there are `targets` of them."""
    return jax.tree.map(lambda x: jnp.repeat(x, targets // len(x), 0), tree)


def simulate_clicks(
    config: Config,
    model: ClickModel,
    variables: Any,
    image: Float[Array, "p s s 3"],
    label: Int[Array, "b s s"],
    clicks: Clicks,
    iterations: Int[Array, ""],
    key: Key[Array, ""],
    fixed: Any = None,
) -> tuple[Float[Array, "b s s"], Clicks]:
    """So many clicks answered and corrected by the next: (previous mask, clicks).

    clicks: the first ones. The picture is encoded once for all iterations.
    """
    keys = sample_keys(key, len(label))
    group = model.training_group(len(label))
    features = encode(model, variables, image, len(label), fixed)

    def click(_: Array, carry: tuple[Array, Clicks]) -> tuple[Array, Clicks]:
        prev_mask, clicks = carry
        inputs = (features, prev_mask, clicks)
        logits: Any = model.apply(variables, *inputs, group=group, method="predict")
        prob = nn.sigmoid(logits)
        return prob, add_next_click(config, label, prob, clicks, keys)

    return jax.lax.fori_loop(0, iterations, click, (jnp.zeros(label.shape), clicks))


def sample_keys(key: Key[Array, ""], batch: int) -> Key[Array, " {batch}"]:
    """A key for every sample, the same however a batch is spread over devices."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(parallel.sample_index(batch))


def add_next_click(
    config: Config,
    label: Int[Array, "b s s"],
    prob: Float[Array, "b s s"],
    clicks: Clicks,
    keys: Key[Array, " b"],
) -> Clicks:
    """The clicks, and the one that corrects an answer."""
    settings = config.clicks
    missed, surplus = annotator.training_errors(label, prob, settings.pred_thr)
    rule = ClickRule("random", inner_k=settings.inner_k)
    yx, sign, found = annotator.next_click(missed, surplus, None, count(clicks), keys, rule)
    return add(clicks, yx, sign, found)
