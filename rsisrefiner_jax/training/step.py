"""The training step: a loop of simulated clicks, wholly on the device (paper section IV-B)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int, Key

from rsisrefiner_jax import parallel
from rsisrefiner_jax.config import Config
from rsisrefiner_jax.interaction import annotator, metrics
from rsisrefiner_jax.interaction.annotator import ClickRule
from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.interaction.clicks import Clicks, add, count, empty
from rsisrefiner_jax.models.registry import make_model
from rsisrefiner_jax.training.losses import normalized_focal_loss
from rsisrefiner_jax.training.optimizer import optimizer, schedule
from rsisrefiner_jax.weights import merge


class TrainState(NamedTuple):
    """Everything that a step changes. The frozen parameters are not in it."""

    step: Int[Array, ""]
    params: Any  # trainable parameters
    batch_stats: Any
    opt_state: Any


def init_state(config: Config, params: Any, batch_stats: Any) -> TrainState:
    """The state before the first step, from trainable parameters and BatchNorm statistics."""
    return TrainState(jnp.int32(0), params, batch_stats, optimizer(config).init(params))


class ClickStep:
    """The training step of a click loop, compiled for `devices`.

    The number of iterations J is drawn on the host and is an argument of the compiled step; only
    whether the last one is the first click (J = 1) is static, as a gradient inside a device-side
    branch runs several times slower on CPU.
    """

    def __init__(self, config: Config, devices: parallel.DataParallel):
        self._config = config
        self._alike = make_model(config.model).first_passes == 1  # first clicks and later ones
        self._steps = {first: devices.compile(make_step(config, first)) for first in (False, True)}

    def __call__(self, state: TrainState, frozen: Any, batch: Any, step: int) -> Any:
        """Step number `step`, counted from 0. Donates `state`; see `make_step`."""
        iterations = draw_iterations(self._config, step)
        first = iterations == 1 and not self._alike
        return self._steps[first](state, frozen, batch, jnp.int32(iterations))


def draw_iterations(config: Config, step: int) -> int:
    """J, the number of click iterations of a step, the same for the whole batch."""
    weights = np.asarray(config.clicks.iterations)
    rng = np.random.default_rng([config.seed, step])
    return 1 + int(rng.choice(len(weights), p=weights / weights.sum()))


def make_step(config: Config, first: bool) -> Any:
    """The per-device step for `parallel.DataParallel.compile`; first: for steps with J = 1.

    step(state, frozen, batch, iterations) with batch = {image uint8 [b, s, s, 3], label int8
    [b, s, s] in {1, 0, -1}, first_click float32 [b, 2]} -> (state, metrics, shown): scalars
    averaged over devices, and {"prob" [b, s, s], "clicks"} of the last forward pass.
    """
    tx, rate = optimizer(config), schedule(config)
    model = make_model(config.model, parallel.AXIS if config.parallel.sync_batch_norm else None)

    def step(state: TrainState, frozen: Any, batch: dict[str, Array], iterations: Array) -> Any:
        image = batch["image"].astype(jnp.float32) / 255
        label = batch["label"].astype(jnp.int32)
        key = jax.random.fold_in(jax.random.key(config.seed), state.step)
        clicks = empty(len(image), config.clicks.max_clicks)
        positive = jnp.ones(len(image), jnp.int32)
        clicks = add(clicks, batch["first_click"], positive, positive == 1)
        prev_mask = jnp.zeros(label.shape)

        # Iterations 1 .. J-1: no gradient, statistics as at test time.
        if not first:
            variables = {"params": merge(frozen, state.params), "batch_stats": state.batch_stats}
            prev_mask, clicks = simulate_clicks(
                config, model, variables, image, label, clicks, iterations - 1, key
            )
        # Iteration J: with gradient.
        sample = Sample(image, label, prev_mask, clicks)
        (loss, (batch_stats, logits)), grads = jax.value_and_grad(mean_loss, 2, has_aux=True)(
            config, model, state.params, frozen, state.batch_stats, sample, first
        )
        prob = nn.sigmoid(logits)
        grads, batch_stats = parallel.mean((grads, batch_stats))
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        iou = metrics.iou(label, prob > config.clicks.pred_thr)
        values = {
            "loss": loss,
            "iou": jnp.nan_to_num(iou).mean(),  # none where everything is ignored
            "grad_norm": optax.global_norm(grads),
            "lr": jnp.float32(rate(state.step)),
            "iterations": iterations.astype(jnp.float32),
        }
        state = TrainState(state.step + 1, params, batch_stats, opt_state)
        return state, parallel.mean(values), {"prob": prob, "clicks": clicks}

    return step


class Sample(NamedTuple):
    """What the pass with a gradient is given."""

    image: Float[Array, "b s s 3"]
    label: Int[Array, "b s s"]
    prev_mask: Float[Array, "b s s"]
    clicks: Clicks


def mean_loss(
    config: Config,
    model: ClickModel,
    params: Any,
    frozen: Any,
    batch_stats: Any,
    sample: Sample,
    first: bool,
) -> tuple[Float[Array, ""], tuple[Any, Float[Array, "b s s"]]]:
    """Mean loss of a batch; also the new BatchNorm statistics, and the logits.

    first: whether these are first clicks.
    """
    logits, updated = model.apply(
        {"params": merge(frozen, params), "batch_stats": batch_stats},
        sample.image,
        sample.prev_mask,
        sample.clicks,
        first=first,
        group=model.training_group(len(sample.image)),
        train=True,
        mutable=["batch_stats"],
    )
    loss = normalized_focal_loss(logits, sample.label, config.loss.alpha, config.loss.gamma)
    return loss.mean(), (updated["batch_stats"], logits)


def simulate_clicks(
    config: Config,
    model: ClickModel,
    variables: Any,
    image: Float[Array, "b s s 3"],
    label: Int[Array, "b s s"],
    clicks: Clicks,
    iterations: Int[Array, ""],
    key: Key[Array, ""],
) -> tuple[Float[Array, "b s s"], Clicks]:
    """So many clicks answered and corrected by the next: (previous mask, clicks).

    clicks: the first ones. The picture is encoded once for all iterations.
    """
    settings = config.clicks
    index = parallel.sample_index(len(image))
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(index)
    group = model.training_group(len(image))
    features = model.apply(variables, image, method="encode_image")

    def click(_: Array, carry: tuple[Array, Clicks]) -> tuple[Array, Clicks]:
        prev_mask, clicks = carry
        inputs = (features, prev_mask, clicks)
        logits: Any = model.apply(variables, *inputs, group=group, method="predict")
        prob = nn.sigmoid(logits)
        missed, surplus = annotator.training_errors(label, prob, settings.pred_thr)
        yx, sign, found = annotator.next_click(
            missed,
            surplus,
            None,
            count(clicks),
            keys,
            ClickRule("random", inner_k=settings.inner_k),
        )
        return prob, add(clicks, yx, sign, found)

    return jax.lax.fori_loop(0, iterations, click, (jnp.zeros(label.shape), clicks))
