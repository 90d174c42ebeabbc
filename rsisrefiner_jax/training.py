"""The training step: a loop of simulated clicks, wholly on the device (paper section IV-B)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from rsisrefiner_jax import parallel
from rsisrefiner_jax.clicks import Clicks, add, empty, next_click
from rsisrefiner_jax.config import Config
from rsisrefiner_jax.losses import normalized_focal_loss
from rsisrefiner_jax.models.refiner import apply
from rsisrefiner_jax.optim import optimizer, schedule
from rsisrefiner_jax.weights import merge


class TrainState(NamedTuple):
    """Everything that a step changes. The frozen parameters are not in it."""

    step: jax.Array  # int32 scalar
    params: Any  # trainable parameters
    batch_stats: Any
    opt_state: Any


def init_state(config: Config, params: Any, batch_stats: Any) -> TrainState:
    """The state before the first step, from trainable parameters and BatchNorm statistics."""
    return TrainState(jnp.int32(0), params, batch_stats, optimizer(config).init(params))


class ClickStep:
    """The training step of a click loop, compiled for `devices`.

    The number of iterations J is drawn on the host and is an argument of the compiled step; only
    whether the last pass is a double one (J = 1) is static, as a gradient inside a device-side
    branch runs several times slower on CPU.
    """

    def __init__(self, config: Config, devices: parallel.DataParallel):
        self._config = config
        self._steps = {
            double: devices.compile(make_step(config, double)) for double in (False, True)
        }

    def __call__(self, state: TrainState, frozen: Any, batch: Any, step: int):
        """Step number `step`, counted from 0. Donates `state`; see `make_step`."""
        iterations = draw_iterations(self._config, step)
        double = iterations == 1 and self._config.model.first_pass == "double"
        return self._steps[double](state, frozen, batch, jnp.int32(iterations))


def draw_iterations(config: Config, step: int) -> int:
    """J, the number of click iterations of a step, the same for the whole batch."""
    weights = np.asarray(config.clicks.iterations)
    rng = np.random.default_rng([config.seed, step])
    return 1 + int(rng.choice(len(weights), p=weights / weights.sum()))


def make_step(config: Config, double: bool):
    """The per-device step for `parallel.DataParallel.compile`.

    step(state, frozen, batch, iterations) with batch = {image uint8 [b, s, s, 3], label int8
    [b, s, s] in {1, 0, -1}, first_click float32 [b, 2]} -> (state, metrics, shown): scalars
    averaged over devices, and {"prob" [b, s, s], "clicks"} of the last forward pass.
    """
    tx, rate = optimizer(config), schedule(config)
    axis_name = parallel.AXIS if config.parallel.sync_batch_norm else None

    def step(state: TrainState, frozen: Any, batch: dict[str, jax.Array], iterations: jax.Array):
        image = batch["image"].astype(jnp.float32) / 255
        label = batch["label"].astype(jnp.int32)
        key = jax.random.fold_in(jax.random.key(config.seed), state.step)

        # Iterations 1 .. J-1: no gradient, statistics as at test time.
        clicks = empty(len(image), config.clicks.max_clicks)
        positive = jnp.ones(len(image), jnp.int32)
        clicks = add(clicks, batch["first_click"], positive, positive == 1)
        prev_mask = jnp.zeros(label.shape)
        if not double:
            variables = {"params": merge(frozen, state.params), "batch_stats": state.batch_stats}
            prev_mask, clicks = simulate_clicks(
                config, variables, image, label, prev_mask, clicks, iterations, key
            )

        # Iteration J: with gradient.
        def loss_fn(params: Any):
            logits, updated = apply(
                config.model,
                {"params": merge(frozen, params), "batch_stats": state.batch_stats},
                image,
                prev_mask,
                clicks,
                double=double,
                train=True,
                axis_name=axis_name,
                mutable=("batch_stats",),
            )
            loss = normalized_focal_loss(logits, label, config.loss.alpha, config.loss.gamma)
            return loss.mean(), (updated["batch_stats"], nn.sigmoid(logits))

        value, grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
        loss, (batch_stats, prob) = value
        grads, batch_stats = parallel.mean((grads, batch_stats))
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = parallel.mean(
            {
                "loss": loss,
                "iou": batch_iou(prob > config.clicks.pred_thr, label).mean(),
                "grad_norm": optax.global_norm(grads),
                "lr": jnp.float32(rate(state.step)),
                "iterations": iterations.astype(jnp.float32),
            }
        )
        state = TrainState(state.step + 1, params, batch_stats, opt_state)
        return state, metrics, {"prob": prob, "clicks": clicks}

    return step


def simulate_clicks(
    config: Config, variables, image, label, prev_mask, clicks: Clicks, iterations, key
) -> tuple[jax.Array, Clicks]:
    """Iterations 1 .. J-1: (previous mask [b, s, s], clicks) that iteration J starts from.

    With the double first pass, forward pass 0 only drafts a mask and adds no click.
    """
    drafts = 1 if config.model.first_pass == "double" else 0
    index = parallel.sample_index(len(image))

    def forward(k, carry):
        prev_mask, clicks = carry
        is_draft = k < drafts
        modulated = apply(config.model, variables, prev_mask, clicks, method="modulate")
        modulated = jnp.where(is_draft, prev_mask, modulated)
        logits = apply(
            config.model, variables, image, prev_mask, modulated, clicks, method="one_pass"
        )
        prob = nn.sigmoid(logits)
        keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.fold_in(key, k), i))(index)
        yx, sign, found = next_click(
            prob, label, keys, config.clicks.pred_thr, config.clicks.inner_k
        )
        return prob, add(clicks, yx, sign, found & ~is_draft)

    passes = jnp.where(iterations > 1, iterations - 1 + drafts, 0)
    return jax.lax.fori_loop(0, passes, forward, (prev_mask, clicks))


def batch_iou(pred, label) -> jax.Array:
    """IoU [b] of bool masks [b, s, s] with labels in {1, 0, -1}; -1 does not count."""
    target, valid = label == 1, label != -1
    union = ((pred | target) & valid).sum((1, 2))
    return (pred & target).sum((1, 2)) / jnp.maximum(union, 1)
