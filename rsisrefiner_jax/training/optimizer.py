"""Learning rate and optimizer of the trainable parameters (paper section IV-B).

The optimizer sees a vector for each parameter group, in which all its parameters lie end to end:
XLA compiles a few long loops in place of several for each of some hundred parameters, which took
half of the time that a step takes to compile.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Bool, Float, Int

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


Vectors = dict[str, Float[Array, " n"]]  # by parameter group


def as_vectors(tree: Any) -> Vectors:
    """The leaves of a tree of trainable modules (parameters, gradients), a vector for each group.

    Groups without a parameter are left out.
    """
    parts: dict[str, list[Array]] = {}
    for path, leaf in jax.tree.leaves_with_path(tree):
        parts.setdefault(group_of(path[0].key), []).append(jnp.ravel(leaf))
    return {group: jnp.concatenate(leaves) for group, leaves in parts.items()}


def as_tree(vectors: Vectors, like: Any) -> Any:
    """The inverse of `as_vectors`, for a tree of the shapes of `like`."""
    starts = dict.fromkeys(vectors, 0)

    def leaf(path: Any, like: Any) -> Array:
        group = group_of(path[0].key)
        start = starts[group]
        starts[group] += like.size
        return vectors[group][start : starts[group]].reshape(like.shape)

    return jax.tree.map_with_path(leaf, like)


def first_state(config: Config, params: Any) -> optax.OptState:
    """The optimizer's state before the first step. params: the trainable tree."""
    return optimizer(config).init(as_vectors(params))


def optimizer(config: Config) -> optax.GradientTransformation:
    """Adam per parameter group, at a rate of 1: `updated` multiplies by the rate of the step.

    It only ever sees the vectors of trainable parameters, clipping included. With
    optim.accumulate = n only every n-th gradient, the mean of n, changes anything.
    """
    optim = config.optim

    def adam(rate: float) -> optax.GradientTransformation:
        settings = {"b1": optim.betas[0], "b2": optim.betas[1], "eps": optim.eps}
        return optax.adamw(rate, weight_decay=optim.weight_decay, **settings)

    def labels(vectors: Vectors) -> dict[str, str]:
        return {group: group for group in vectors}

    groups = {"backbone": adam(optim.backbone_lr_scale), "adapter": adam(optim.adapter_lr_scale)}
    clip = [] if optim.clip_norm is None else [optax.clip_by_global_norm(optim.clip_norm)]
    whole = optax.chain(*clip, optax.multi_transform(groups, labels))
    if optim.accumulate == 1:
        return whole
    return optax.MultiSteps(whole, optim.accumulate).gradient_transformation()


def updated(
    config: Config,
    params: Any,
    opt_state: optax.OptState,
    grads: Vectors,
    step: Int[Array, ""] | int,
    finite: Bool[Array, ""] | bool = True,
) -> tuple[Any, optax.OptState]:
    """Parameters and optimizer state after one gradient of step number `step`, from 0.

    The rate is that of the step, also where a step has a gradient for every click. finite: whether
    all gradients are numbers; where they are not, nothing changes.
    """
    old = as_vectors(params)
    updates, after = optimizer(config).update(grads, opt_state, old)
    rate = schedule(config)(step)
    new = optax.apply_updates(old, jax.tree.map(lambda x: rate * x, updates))
    vectors, opt_state = where(finite, (new, after), (old, opt_state))
    return as_tree(vectors, params), opt_state


def where(condition: Bool[Array, ""] | bool, new: Any, old: Any) -> Any:
    """The tree `new` where the condition holds, else `old`."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), new, old)


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
