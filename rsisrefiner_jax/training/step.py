"""The training step: a loop of simulated clicks, wholly on the device (paper section IV-B)."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int, Key, UInt

from rsisrefiner_jax import parallel
from rsisrefiner_jax.config import Config
from rsisrefiner_jax.interaction import metrics
from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.interaction.clicks import Clicks, add, empty
from rsisrefiner_jax.models.lora import merge_lora
from rsisrefiner_jax.models.registry import make_model
from rsisrefiner_jax.training.clicking import (
    add_next_click,
    encode,
    repeat,
    sample_keys,
    simulate_clicks,
)
from rsisrefiner_jax.training.finite import all_finite
from rsisrefiner_jax.training.losses import normalized_focal_loss
from rsisrefiner_jax.training.optimizer import (
    as_vectors,
    average,
    first_state,
    schedule,
    updated,
    where,
)
from rsisrefiner_jax.weights import merge


class TrainState(NamedTuple):
    """Everything that a step changes. The frozen parameters are not in it.

    average: {"params", "batch_stats"}, their moving average with optim.ema, which is what
    serves; None without.
    """

    step: Int[Array, ""]
    params: Any  # trainable parameters
    batch_stats: Any
    opt_state: Any
    key: UInt[Array, " words"]  # data of the run's key: one compiled step serves every seed
    average: Any = None

    @property
    def serving(self) -> dict[str, Any]:
        """{"params", "batch_stats"} that are validated, and saved to be evaluated and clicked."""
        return self.average or self.latest

    @property
    def latest(self) -> dict[str, Any]:
        """{"params", "batch_stats"} that training goes on with."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def init_state(config: Config, params: Any, batch_stats: Any) -> TrainState:
    """The state before the first step, from trainable parameters and BatchNorm statistics."""
    key = jax.random.key_data(jax.random.key(config.seed))
    state = TrainState(jnp.int32(0), params, batch_stats, first_state(config, params), key)
    return state._replace(average=state.latest) if config.optim.ema else state


class ClickStep:
    """The training step of a click loop, compiled for `devices`.

    The number of iterations J is drawn on the host. With `clicks.gradient=last`, the paper's rule,
    it is an argument of one compiled step; with `every` a compiled step of one click, which ends
    with an update of the weights, runs J times on what stays on the devices. Whether a click is a
    first one is static where that takes two passes: a gradient inside a loop or a branch on the
    device runs many times slower on a CPU.
    """

    def __init__(self, config: Config, devices: parallel.DataParallel):
        self._config, self._devices = config, devices
        model = make_model(config.model)
        self._alike = model.first_passes == 1  # first clicks and later ones
        # The seed is in the state and in the batches.
        self._begin, self._steps = _programs(devices, model, dataclasses.replace(config, seed=0))

    def __call__(self, state: TrainState, frozen: Any, batch: Any, step: int) -> Any:
        """Step number `step`, counted from 0. Donates `state`; see `make_step`."""
        iterations = draw_iterations(self._config, step)
        if self._config.clicks.gradient == "last":
            first = iterations == 1 and not self._alike
            return self._steps[first](state, frozen, batch, jnp.int32(iterations))
        every, given = [], batch | self._devices.shard_again(self._begin(frozen, batch))
        for i in range(iterations):
            compiled = self._steps[i == 0 and not self._alike]
            last = jnp.int32(i == iterations - 1)
            state, measured, shown = compiled(state, frozen, given, last)
            answered = {"prev_mask": shown["prob"], "clicks": shown.pop("next_clicks")}
            given = given | self._devices.shard_again(answered)
            every.append(measured)
        mean = jax.tree.map(lambda *values: sum(values) / iterations, *every)
        return state, mean | {"iterations": jnp.float32(iterations)}, shown


@parallel.keep_last(1)
def _programs(
    devices: parallel.DataParallel, model: ClickModel, config: Config
) -> tuple[Any, dict[bool, Any]]:
    """What begins a batch, and the step by whether it is for first clicks; each compiled once."""
    make = make_step if config.clicks.gradient == "last" else make_click_step
    begun = devices.on_each(
        lambda frozen, batch: begin(config, batch) | fixed_features(model, frozen, batch)
    )
    return begun, {first: devices.compile(make(config, first)) for first in (False, True)}


def draw_iterations(config: Config, step: int) -> int:
    """J, the number of click iterations of a step, the same for the whole batch."""
    weights = np.asarray(config.clicks.iterations)
    rng = np.random.default_rng([config.seed, step])
    return 1 + int(rng.choice(len(weights), p=weights / weights.sum()))


def make_step(config: Config, first: bool) -> Any:
    """The per-device step for `parallel.DataParallel.compile`; first: for steps with J = 1.

    step(state, frozen, batch, iterations) with batch = {image uint8 [p, s, s, 3], label int8
    [b, s, s] in {1, 0, -1}, first_click float32 [b, 2]}, b / p targets in a row sharing a picture
    -> (state, metrics, shown): scalars averaged over devices, and {"prob" [b, s, s], "clicks"} of
    the last forward pass.
    """
    model = make_model(config.model, parallel.AXIS if config.parallel.sync_batch_norm else None)

    def step(state: TrainState, frozen: Any, batch: dict[str, Array], iterations: Array) -> Any:
        image, label, start = picture(batch), batch["label"].astype(jnp.int32), begin(config, batch)
        prev_mask, clicks = start["prev_mask"], start["clicks"]
        fixed = fixed_features(model, frozen, batch)["fixed"]
        # Iterations 1 .. J-1: no gradient, statistics as at test time.
        if not first:
            params = merge_lora(config.model, merge(frozen, state.params))
            variables = {"params": params, "batch_stats": state.batch_stats}
            key = step_key(state)
            prev_mask, clicks = simulate_clicks(
                config, model, variables, image, label, clicks, iterations - 1, key, fixed
            )
        # Iteration J: with gradient.
        sample = Sample(image, label, prev_mask, clicks, fixed)
        state, measured, prob = update(config, model, state, frozen, sample, first)
        measured["iterations"] = iterations.astype(jnp.float32)
        return state._replace(step=state.step + 1), measured, {"prob": prob, "clicks": clicks}

    return step


def make_click_step(config: Config, first: bool) -> Any:
    """The per-device step of one click with a gradient; first: for first clicks.

    step(state, frozen, batch, last), as `make_step`; batch also holds "prev_mask", "clicks" and
    "fixed", and `shown` "next_clicks", which correct the answer. last: 1 if this is the last click
    on these samples, else 0.
    """
    model = make_model(config.model, parallel.AXIS if config.parallel.sync_batch_norm else None)

    def step(state: TrainState, frozen: Any, batch: dict[str, Any], last: Array) -> Any:
        label = batch["label"].astype(jnp.int32)
        sample = Sample(picture(batch), label, batch["prev_mask"], batch["clicks"], batch["fixed"])
        keys = sample_keys(step_key(state), len(label))
        state, measured, prob = update(config, model, state, frozen, sample, first)
        following = add_next_click(config, label, prob, sample.clicks, keys)
        shown = {"prob": prob, "clicks": sample.clicks, "next_clicks": following}
        return state._replace(step=state.step + last), measured, shown

    return step


def picture(batch: dict[str, Any]) -> Float[Array, "p s s 3"]:
    """The pictures of a batch, in 0..1."""
    return batch["image"].astype(jnp.float32) / 255


def begin(config: Config, batch: dict[str, Any]) -> dict[str, Any]:
    """{"prev_mask": empty, "clicks": the first ones}."""
    yx = batch["first_click"]
    positive = jnp.ones(len(yx), jnp.int32)
    clicks = add(empty(len(yx), config.clicks.max_clicks), yx, positive, positive == 1)
    return {"prev_mask": jnp.zeros(batch["label"].shape), "clicks": clicks}


def fixed_features(model: ClickModel, frozen: Any, batch: dict[str, Any]) -> dict[str, Any]:
    """{"fixed": what no update changes of the pictures' features}, None where there is nothing."""
    return {"fixed": model.apply({"params": frozen}, picture(batch), method="encode_fixed")}


def step_key(state: TrainState) -> Key[Array, ""]:
    """The randomness of a step."""
    return jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)


class Sample(NamedTuple):
    """What the pass with a gradient is given. b / p targets in a row share a picture."""

    image: Float[Array, "p s s 3"]
    label: Int[Array, "b s s"]
    prev_mask: Float[Array, "b s s"]
    clicks: Clicks
    fixed: Any = None  # of the picture, see `fixed_features`


def update(
    config: Config, model: ClickModel, state: TrainState, frozen: Any, sample: Sample, first: bool
) -> tuple[TrainState, dict[str, Array], Float[Array, "b s s"]]:
    """The state after one gradient, without counting the step; metrics; probabilities.

    The state stays as it was where loss, gradients or statistics are not finite.
    """
    key = sample_keys(step_key(state), 1)[0]  # another one on each device
    (loss, (batch_stats, logits)), grads = jax.value_and_grad(mean_loss, 2, has_aux=True)(
        config, model, state.params, frozen, state.batch_stats, sample, first, key
    )
    prob = nn.sigmoid(logits)
    grads, batch_stats = parallel.mean((as_vectors(grads), batch_stats))
    iou = metrics.iou(sample.label, prob > config.clicks.pred_thr)
    values = parallel.mean(
        {
            "loss": loss,
            "iou": jnp.nan_to_num(iou).mean(),  # none where everything is ignored
            "grad_norm": optax.global_norm(grads),
            "lr": jnp.float32(schedule(config)(state.step)),
        }
    )
    finite = all_finite((values, grads, batch_stats))
    params, opt_state = updated(config, state.params, state.opt_state, grads, state.step, finite)
    batch_stats = where(finite, batch_stats, state.batch_stats)
    after = state._replace(params=params, batch_stats=batch_stats, opt_state=opt_state)
    mean = average(config, state.average, after.latest, state.step, opt_state)
    after = after._replace(average=where(finite, mean, state.average))
    return after, values | {"finite": finite.astype(jnp.float32)}, prob


def mean_loss(
    config: Config,
    model: ClickModel,
    params: Any,
    frozen: Any,
    batch_stats: Any,
    sample: Sample,
    first: bool,
    key: Key[Array, ""],
) -> tuple[Float[Array, ""], tuple[Any, Float[Array, "b s s"]]]:
    """Mean loss of a batch; also the new BatchNorm statistics, and the logits.

    first: whether these are first clicks. key: of what a network drops at random.
    """
    whole = merge_lora(config.model, merge(frozen, params))
    variables = {"params": whole, "batch_stats": batch_stats}
    if model.encodes_alike:
        features = encode(model, variables, sample.image, len(sample.label), sample.fixed)
        given = (features, sample.prev_mask, sample.clicks)
        logits: Any = model.apply(variables, *given, method="predict")
    else:
        logits, updated = model.apply(
            variables,
            *(repeat(sample.image, len(sample.label)), sample.prev_mask, sample.clicks),
            first=first,
            group=model.training_group(len(sample.label)),
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )
        batch_stats = updated["batch_stats"]
    loss = normalized_focal_loss(logits, sample.label, config.loss.alpha, config.loss.gamma)
    return loss.mean(), (batch_stats, logits)
