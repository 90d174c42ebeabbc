"""The click loop of many objects at once, whole on the device.

An object's clicks are sequential, objects are independent: each has a slot of the batch, and every
step of the loop is one click and its answer for each slot that is not finished. Finished slots
cost nothing (`ops.rows`), and the host puts new objects into them between two calls.

The functions that a single click is made of (`add_click`, `crop_image`, `model_input`,
`paste_answer`) are those that an interactive session compiles too (`interaction.session`).
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Bool, Float, Int, UInt8, UInt32

from rsisrefiner_jax.interaction import annotator, metrics, zoom_in
from rsisrefiner_jax.interaction.annotator import ClickRule
from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.interaction.clicks import Clicks, add, count, empty
from rsisrefiner_jax.interaction.search import Search, extreme_click
from rsisrefiner_jax.ops.rows import on_rows, rounds
from rsisrefiner_jax.protocol import Protocol


class Objects(NamedTuple):
    """What is clicked: one object a slot, images padded to the same shape."""

    image: UInt8[Array, "b h w 3"]  # RGB
    target: Int[Array, "b h w"]  # int8: 1 = object, 0 = background, -1 = ignored and padding
    size: Int[Array, "b 2"]  # height and width without the padding
    seed: UInt32[Array, " b"]  # of the object's random draws


class ClickState(NamedTuple):
    """What the clicks so far have led to. probs is 0 in the padding."""

    probs: Float[Array, "b h w"]
    clicks: Clicks  # [b, k], pixels of the image
    roi: Int[Array, "b 4"]  # the crop in force
    cropped: Bool[Array, " b"]  # False = there is no crop in force


class ModelInput(NamedTuple):
    """What the model is given besides the crop's features. f = 2 with flip averaging, else 1."""

    prev_mask: Float[Array, "b f s s"]
    clicks: Clicks  # [b, f, k], pixels of the input


class LoopState(NamedTuple):
    """Everything that a step of the loop changes."""

    active: Bool[Array, " b"]
    now: ClickState
    features: Any  # of the crop in force: tree of [b, f, ...]
    moved: Bool[Array, " b"]  # the crop is not the one that `features` belong to
    ious: Float[Array, "b k"]  # after each click
    rois: Int[Array, "b k 4"]  # the crop of each click, -1 without one


@dataclasses.dataclass(frozen=True)
class Loop:
    """What is compiled into the loop. rows: objects that share one call of the model."""

    model: ClickModel
    protocol: Protocol
    rows: int

    @property
    def copies(self) -> int:
        """f: the crop, and with flip averaging its mirror image."""
        return 2 if self.protocol.flip else 1

    @property
    def zoom_size(self) -> int:
        """The side that crops are resized to, pixels."""
        return self.protocol.zoom_size or self.model.image_size

    @property
    def click_rule(self) -> ClickRule:
        """How the annotator chooses."""
        return ClickRule(self.protocol.click_strategy, self.protocol.click_jitter)

    @property
    def search(self) -> Search | None:
        """How the annotator searches, where it looks for the best or the worst click."""
        protocol = self.protocol
        sign = {"best": 1, "worst": -1}.get(protocol.click_strategy)
        if sign is None:
            return None
        return Search(sign, protocol.click_candidates, protocol.click_margin)

    @property
    def answers_per_click(self) -> int:
        """How often the model answers for one click, those that are only tried included."""
        return 1 + (self.search.candidates if self.search else 0)


def empty_slots(
    loop: Loop, variables: Any, batch: int, shape: tuple[int, int]
) -> tuple[Objects, LoopState]:
    """`batch` slots for images of up to `shape` (height, width), none in use."""
    s, k, f = loop.model.image_size, loop.protocol.max_clicks, loop.copies
    image = jax.ShapeDtypeStruct((1, f, s, s, 3), jnp.float32)
    features = jax.eval_shape(functools.partial(encode, loop.model), variables, image)
    objects = Objects(
        image=jnp.zeros((batch, *shape, 3), jnp.uint8),
        target=jnp.full((batch, *shape), -1, jnp.int8),
        size=jnp.ones((batch, 2), jnp.int32),
        seed=jnp.zeros(batch, jnp.uint32),
    )
    return objects, LoopState(
        active=jnp.zeros(batch, bool),
        now=no_clicks(batch, shape, k),
        features=jax.tree.map(lambda x: jnp.zeros((batch, *x.shape[1:]), x.dtype), features),
        moved=jnp.zeros(batch, bool),
        ious=jnp.zeros((batch, k), jnp.float32),
        rois=jnp.zeros((batch, k, 4), jnp.int32),
    )


def no_clicks(batch: int, shape: tuple[int, int], max_clicks: int) -> ClickState:
    """The state before the first click."""
    return ClickState(
        probs=jnp.zeros((batch, *shape), jnp.float32),
        clicks=empty(batch, max_clicks),
        roi=jnp.zeros((batch, 4), jnp.int32),
        cropped=jnp.zeros(batch, bool),
    )


@functools.partial(jax.jit, donate_argnums=(0, 1))
def fill_slot(
    objects: Objects, state: LoopState, slot: Array, new: Objects
) -> tuple[Objects, LoopState]:
    """Puts one object (`new`, without the leading axis) into a slot. Donates its arguments."""
    objects = jax.tree.map(lambda x, y: x.at[slot].set(y), objects, new)
    now = state.now
    return objects, state._replace(
        active=state.active.at[slot].set(True),
        now=ClickState(
            probs=now.probs.at[slot].set(0),
            clicks=Clicks(now.clicks.yx.at[slot].set(-1), now.clicks.label.at[slot].set(-1)),
            roi=now.roi.at[slot].set(0),
            cropped=now.cropped.at[slot].set(False),
        ),
        moved=state.moved.at[slot].set(True),
    )


def run(
    loop: Loop, variables: Any, objects: Objects, state: LoopState, steps: Array, leave: Array
) -> tuple[LoopState, Int[Array, ""]]:
    """Up to `steps` steps; ends early once at most `leave` slots are active.

    Returns the state and how many answers the model computed, those of idle rows included.
    """

    def is_open(carry: tuple[Array, LoopState, Array]) -> Array:
        i, state, _ = carry
        return (i < steps) & (state.active.sum() > leave)

    def one(carry: tuple[Array, LoopState, Array]) -> tuple[Array, LoopState, Array]:
        i, state, answers = carry
        rows = rounds(state.active.sum(dtype=jnp.int32), loop.rows) * loop.rows
        answers += rows * loop.answers_per_click
        return i + 1, step(loop, variables, objects, state), answers

    start = (jnp.int32(0), state, jnp.int32(0))
    _, state, answers = jax.lax.while_loop(is_open, one, start)
    return state, answers


def step(loop: Loop, variables: Any, objects: Objects, state: LoopState) -> LoopState:
    """One click and its answer for every active slot."""
    protocol = loop.protocol
    _Crop = tuple[Clicks, Array, Array, Array]  # clicks, roi, cropped, moved

    # Probabilities are given, not updated: XLA would copy those of the whole batch for each row.
    def click(given: tuple[Objects, Array, Any], crop: _Crop) -> _Crop:
        (objects, probs, features), (clicks, roi, cropped, moved) = given, crop
        before = ClickState(probs, clicks, roi, cropped)
        if loop.search is None:
            keys = jax.vmap(jax.random.key)(objects.seed)
            missed, surplus = annotator.errors(objects.target, probs > protocol.pred_thr)
            yx, label, _ = annotator.next_click(
                missed, surplus, clicks, count(clicks), keys, loop.click_rule
            )
        else:
            yx, label = searched_click(loop, variables, objects, before, features, moved)
        now, moves = add_click(before, yx, label, objects.size, protocol)
        return now.clicks, now.roi, now.cropped, moved | moves

    probs, clicks, roi, cropped = state.now
    crop = (clicks, roi, cropped, state.moved)
    seen = state.features if loop.search else None  # else not taken row by row
    crop = on_rows(click, (objects, probs, seen), crop, state.active, loop.rows)
    clicks, roi, cropped, moved = crop
    now = ClickState(probs, clicks, roi, cropped)

    moved &= state.active
    features = encode_where(loop, variables, objects.image, now.roi, state.features, moved)

    def answer(given: tuple[Objects, Any], state: LoopState) -> LoopState:
        objects, features = given
        logits = predict(loop.model, variables, features, model_input(state.now, loop))
        probs = paste_answer(state.now, logits, loop)
        return record(objects, state._replace(now=state.now._replace(probs=probs)), protocol)

    state = state._replace(now=now, features=None, moved=jnp.zeros_like(moved))
    # Models may do more for an empty previous mask: first clicks are answered together.
    first = count(now.clicks) == 1
    state = on_rows(answer, (objects, features), state, state.active, loop.rows, before=first)
    return state._replace(features=features)


def searched_click(
    loop: Loop,
    variables: Any,
    objects: Objects,
    before: ClickState,
    features: Any,
    moved: Bool[Array, " b"],
) -> tuple[Float[Array, "b 2"], Int[Array, " b"]]:
    """The best or the worst next click of those that are tried, and its label.

    features, moved: as in `LoopState`.
    """
    protocol, search = loop.protocol, loop.search
    assert search is not None
    missed, surplus = annotator.errors(objects.target, before.probs > protocol.pred_thr)
    depth, label = annotator.error_to_click(missed, surplus, before.clicks)
    centre = jax.vmap(annotator.deepest)(depth)
    usual, moves = add_click(before, centre, label, objects.size, protocol)
    features = encode_where(loop, variables, objects.image, usual.roi, features, moved | moves)

    def iou_after(yx: Float[Array, "b 2"]) -> Float[Array, " b"]:
        now, _ = add_click(before, yx, label, objects.size, protocol)
        other = (now.roi != usual.roi).any(1)
        seen = encode_where(loop, variables, objects.image, now.roi, features, other)
        logits = predict(loop.model, variables, seen, model_input(now, loop))
        return metrics.iou(objects.target, paste_answer(now, logits, loop) > protocol.pred_thr)

    keys = jax.vmap(jax.random.key)(objects.seed)
    keys = jax.vmap(jax.random.fold_in)(keys, count(before.clicks))
    return extreme_click(iou_after, depth, centre, keys, search), label


def encode_where(
    loop: Loop,
    variables: Any,
    image: UInt8[Array, "b h w 3"],
    roi: Int[Array, "b 4"],
    features: Any,
    where: Bool[Array, " b"],
) -> Any:
    """`features`, the picture's share of the network computed anew where `where`.

    Fewer rows at a time than for answers, as crops seldom move together.
    """

    def encode_crop(seen: tuple[Array, Array], _: Any) -> Any:
        return encode(loop.model, variables, crop_image(*seen, loop))

    few = max(loop.rows // 4, 1)
    return on_rows(encode_crop, (image, roi), features, where, few)


def add_click(
    now: ClickState,
    yx: Float[Array, "b 2"],
    label: Int[Array, " b"],
    size: Int[Array, "b 2"],
    protocol: Protocol,
) -> tuple[ClickState, Bool[Array, " b"]]:
    """Adds a click and moves the crop; also returns whether the crop has moved."""
    clicks = add(now.clicks, yx, label, jnp.ones(len(label), bool))
    move = jax.vmap(functools.partial(zoom_in.next_roi, protocol=protocol))
    roi, cropped = move(now.roi, now.cropped, now.probs, clicks, size)
    return ClickState(now.probs, clicks, roi, cropped), (roi != now.roi).any(1)


def crop_image(
    image: UInt8[Array, "b h w 3"], roi: Int[Array, "b 4"], loop: Loop
) -> Float[Array, "b f s s 3"]:
    """The crops as the model takes them, RGB in 0..1."""

    def one(image: Array, roi: Array) -> Array:
        crop = zoom_in.crop_size(roi, loop.zoom_size, loop.protocol.zoom_keep_aspect)
        return zoom_in.cut(image, roi, crop, loop.model.image_size) / 255

    return _with_mirror(jax.vmap(one)(image, roi), loop)


def model_input(now: ClickState, loop: Loop) -> ModelInput:
    """The crop of the previous mask, and the clicks in it."""
    side = loop.model.image_size

    def one(now: ClickState) -> tuple[Array, list[Array]]:
        crop = zoom_in.crop_size(now.roi, loop.zoom_size, loop.protocol.zoom_keep_aspect)
        prev_mask = zoom_in.cut(now.probs[..., None], now.roi, crop, side)[..., 0]
        used = now.clicks.label[:, None] >= 0
        mirrors = [None, side][: loop.copies]
        moved = [zoom_in.to_crop(now.clicks.yx, now.roi, crop, mirror) for mirror in mirrors]
        return prev_mask, [jnp.where(used, yx, -1) for yx in moved]

    prev_mask, yx = jax.vmap(one)(now)
    label = jnp.stack([now.clicks.label] * loop.copies, 1)
    return ModelInput(_with_mirror(prev_mask, loop), Clicks(jnp.stack(yx, 1), label))


def encode(model: ClickModel, variables: Any, image: Float[Array, "b f s s 3"]) -> Any:
    """`ClickModel.encode_image` of crops and their mirror images: a tree of [b, f, ...]."""
    lead = image.shape[:2]
    features = model.apply(variables, _flat(image), method="encode_image")
    return jax.tree.map(lambda x: x.reshape(*lead, *x.shape[1:]), features)


def predict(
    model: ClickModel, variables: Any, features: Any, given: ModelInput
) -> Float[Array, "b f s s"]:
    """`ClickModel.predict` of crops and their mirror images."""
    lead = given.prev_mask.shape[:2]
    features, (prev_mask, clicks) = jax.tree.map(_flat, (features, given))
    inputs = (features, prev_mask, clicks)
    logits: Any = model.apply(variables, *inputs, group=lead[1], method="predict")
    return logits.reshape(*lead, *logits.shape[1:])


def paste_answer(
    now: ClickState, logits: Float[Array, "b f s s"], loop: Loop
) -> Float[Array, "b h w"]:
    """The new probabilities of the whole image."""
    protocol = loop.protocol
    mean = (logits[:, 0] + logits[:, 1, :, ::-1]) * 0.5 if protocol.flip else logits[:, 0]
    crops = jax.vmap(lambda roi: zoom_in.crop_size(roi, loop.zoom_size, protocol.zoom_keep_aspect))
    probs = nn.sigmoid(mean).astype(now.probs.dtype)
    return zoom_in.paste(now.probs, probs, now.roi, crops(now.roi), protocol.zoom_outside)


def record(objects: Objects, state: LoopState, protocol: Protocol) -> LoopState:
    """Counts a click that is answered, and whether it was the object's last."""
    mask = state.now.probs > protocol.pred_thr
    clicks = count(state.now.clicks)
    here = jnp.arange(state.ious.shape[1]) == clicks[:, None] - 1
    iou = metrics.iou(objects.target, mask)
    roi = jnp.where(state.now.cropped[:, None], state.now.roi, -1)
    return state._replace(
        active=~metrics.is_done(iou, clicks, protocol),
        ious=jnp.where(here, iou[:, None], state.ious),
        rois=jnp.where(here[..., None], roi[:, None], state.rois),
    )


def _with_mirror(x: Array, loop: Loop) -> Array:
    """[b, s, s, ...] -> [b, f, s, s, ...]."""
    return jnp.stack([x, x[:, :, ::-1]][: loop.copies], 1)


def _flat(x: Array) -> Array:
    """[b, f, ...] -> [b * f, ...]."""
    return x.reshape(-1, *x.shape[2:])
