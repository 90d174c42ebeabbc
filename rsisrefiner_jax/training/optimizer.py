"""Learning rate and optimizer of the trainable parameters (paper section IV-B)."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

from rsisrefiner_jax.config import PRETRAINED, Config


def schedule(config: Config) -> optax.Schedule:
    """Learning rate of step k: multiplied by `decay` after each milestone epoch, or a cosine."""
    optim, per_epoch = config.optim, config.train.steps_per_epoch
    if optim.schedule == "cosine":
        steps = optax.cosine_decay_schedule(optim.lr, max(config.train.steps, 1), optim.lr_end)
    else:
        steps = optax.piecewise_constant_schedule(
            optim.lr, {epoch * per_epoch: optim.decay for epoch in optim.milestones}
        )
    if not optim.warmup_steps:
        return steps
    return lambda k: steps(k) * optax.linear_schedule(0.0, 1.0, optim.warmup_steps)(k + 1)


def group_of(module: str) -> str:
    """The parameter group of a top-level module of the trainable tree."""
    return "backbone" if any(module in names for names in PRETRAINED.values()) else "adapter"


def optimizer(config: Config) -> optax.GradientTransformation:
    """Adam per parameter group, at a rate of 1: `updated` multiplies by the rate of the step.

    It only ever sees the trainable tree, clipping included. With optim.accumulate = n only every
    n-th gradient, the mean of n, changes anything.
    """
    optim = config.optim

    def adam(rate: float) -> optax.GradientTransformation:
        settings = {"b1": optim.betas[0], "b2": optim.betas[1], "eps": optim.eps}
        return optax.adamw(rate, weight_decay=optim.weight_decay, **settings)

    def labels(params: Any) -> Any:
        return traverse_util.path_aware_map(lambda path, _: group_of(str(path[0])), params)

    groups = {"backbone": adam(optim.backbone_lr_scale), "adapter": adam(optim.adapter_lr_scale)}
    clip = [] if optim.clip_norm is None else [optax.clip_by_global_norm(optim.clip_norm)]
    whole = optax.chain(*clip, optax.multi_transform(groups, labels))
    if optim.accumulate == 1:
        return whole
    return optax.MultiSteps(whole, optim.accumulate).gradient_transformation()


def updated(config: Config, params: Any, opt_state: Any, grads: Any, step: Any) -> tuple[Any, Any]:
    """Parameters and optimizer state after one gradient of step number `step`, from 0.

    The rate is that of the step, also where a step has a gradient for every click.
    """
    updates, opt_state = optimizer(config).update(grads, opt_state, params)
    rate = schedule(config)(step)
    return optax.apply_updates(params, jax.tree.map(lambda x: rate * x, updates)), opt_state


def average(config: Config, old: Any, new: Any, step: Any, opt_state: Any) -> Any:
    """The moving average of the weights after an update; None where there is none.

    Args:
        old: the average so far. new: the weights after the update.
        step: of the training, from 0: a young average follows the weights more closely.
        opt_state: after the update.
    """
    optim = config.optim
    if not optim.ema:
        return None
    decay = jnp.minimum(optim.ema, (1 + step) / (10 + step))
    if optim.accumulate > 1:
        decay = jnp.where(opt_state.mini_step == 0, decay, 1.0)  # else nothing was updated
    return optax.incremental_update(new, old, 1 - decay)
