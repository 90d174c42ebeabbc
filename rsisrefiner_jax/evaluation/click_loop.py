"""The click loop of many objects at once, whole on the device.

An object's clicks are sequential, objects are independent: each has a slot of the batch, and every
step is one forward pass for each slot that is not finished. A first click takes two steps where
the network drafts a mask before it answers. Finished slots cost nothing (`ops.rows`), and the
host puts new objects into them between two calls.

The functions that a single click is made of (`aim`, `prepare`, `finish`) are those that an
interactive session compiles too (`evaluation.session`).
"""

import dataclasses
import functools
from typing import Any, NamedTuple
from typing import Protocol as Interface

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from rsisrefiner_jax.clicks import Clicks, add, empty
from rsisrefiner_jax.evaluation import click_strategy, zoom_in
from rsisrefiner_jax.ops.rows import on_rows, rounds
from rsisrefiner_jax.protocol import Protocol


class Network(Interface):
    """The network, as pure functions. Hashable: it is a static argument of compiled functions."""

    @property
    def image_size(self) -> int:
        """s, the side of the square input in pixels."""

    @property
    def drafts(self) -> bool:
        """Whether a first pass on an empty previous mask only drafts the mask of the second."""

    def features(self, variables: Any, image: Array) -> Any:
        """image float32 [b, s, s, 3] in 0..1 -> a tree of [b, ...]: all that it alone decides."""

    def logits(
        self,
        variables: Any,
        features: Any,
        prev_mask: Array,
        clicks: Clicks,
        draft: Array,
        group: int,
    ) -> Array:
        """One pass: float32 [b, s, s].

        prev_mask float32 [b, s, s]; clicks in pixels of the input, which a click may lie outside;
        draft bool [b]: this pass drafts; group: consecutive rows that are one object.
        """


class Objects(NamedTuple):
    """What is clicked: one object a slot, images padded to the same shape."""

    image: Array  # uint8 [b, h, w, 3], channels as the protocol orders them
    target: Array  # int8 [b, h, w]: 1 = object, 0 = background, -1 = ignore and padding
    size: Array  # int32 [b, 2], height and width without the padding
    seed: Array  # uint32 [b], of the object's random draws


class View(NamedTuple):
    """What the clicks so far have led to. probs is 0 in the padding."""

    probs: Array  # float32 [b, h, w]
    clicks: Clicks  # [b, k], pixels of the image
    roi: Array  # int32 [b, 4], the crop in force
    cropped: Array  # bool [b]: False = there is no crop in force


class Input(NamedTuple):
    """What a forward pass is given besides the picture's features. f = 2 with flipping, else 1."""

    prev_mask: Array  # float32 [b, f, s, s]
    clicks: Clicks  # [b, f, k], pixels of the input


class State(NamedTuple):
    """Everything that a step of the loop changes."""

    active: Array  # bool [b]
    view: View
    features: Any  # of the crop in force: tree of [b, f, ...]
    moved: Array  # bool [b]: the crop is not the one that `features` belong to
    draft: Array  # float32 [b, f, s, s]: the drafted previous mask
    drafted: Array  # bool [b]: this step refines `draft`
    passes: Array  # int32 [b], forward passes so far
    ious: Array  # float32 [b, k], after each click
    rois: Array  # int32 [b, k, 4], the crop of each click


_Aimed = tuple[Clicks, Array, Array, Array]  # clicks, roi, cropped, moved


@dataclasses.dataclass(frozen=True)
class Loop:
    """What is compiled into the loop. rows: objects that share one forward pass."""

    network: Network
    protocol: Protocol
    rows: int

    @property
    def copies(self) -> int:
        """f: the picture, and with flip averaging its mirror image."""
        return 2 if self.protocol.flip else 1


def idle(loop: Loop, variables: Any, batch: int, shape: tuple[int, int]) -> tuple[Objects, State]:
    """`batch` slots for images of up to `shape` (height, width), none in use."""
    s, k, f = loop.network.image_size, loop.protocol.max_clicks, loop.copies
    features = jax.eval_shape(
        loop.network.features, variables, jax.ShapeDtypeStruct((f, s, s, 3), jnp.float32)
    )
    objects = Objects(
        image=jnp.zeros((batch, *shape, 3), jnp.uint8),
        target=jnp.full((batch, *shape), -1, jnp.int8),
        size=jnp.ones((batch, 2), jnp.int32),
        seed=jnp.zeros(batch, jnp.uint32),
    )
    return objects, State(
        active=jnp.zeros(batch, bool),
        view=new_view(batch, shape, k),
        features=jax.tree.map(lambda x: jnp.zeros((batch, *x.shape), x.dtype), features),
        moved=jnp.zeros(batch, bool),
        draft=jnp.zeros((batch, f, s, s), jnp.float32),
        drafted=jnp.zeros(batch, bool),
        passes=jnp.zeros(batch, jnp.int32),
        ious=jnp.zeros((batch, k), jnp.float32),
        rois=jnp.zeros((batch, k, 4), jnp.int32),
    )


def new_view(batch: int, shape: tuple[int, int], max_clicks: int) -> View:
    """No click yet."""
    return View(
        probs=jnp.zeros((batch, *shape), jnp.float32),
        clicks=empty(batch, max_clicks),
        roi=jnp.zeros((batch, 4), jnp.int32),
        cropped=jnp.zeros(batch, bool),
    )


@functools.partial(jax.jit, donate_argnums=(0, 1))
def place(objects: Objects, state: State, slot: Array, new: Objects) -> tuple[Objects, State]:
    """Puts one object (`new`, without the leading axis) into a slot. Donates its arguments."""
    objects = jax.tree.map(lambda x, y: x.at[slot].set(y), objects, new)
    view = state.view
    return objects, state._replace(
        active=state.active.at[slot].set(True),
        view=View(
            probs=view.probs.at[slot].set(0),
            clicks=Clicks(view.clicks.yx.at[slot].set(-1), view.clicks.label.at[slot].set(-1)),
            roi=view.roi.at[slot].set(0),
            cropped=view.cropped.at[slot].set(False),
        ),
        moved=state.moved.at[slot].set(True),
        drafted=state.drafted.at[slot].set(False),
        passes=state.passes.at[slot].set(0),
    )


@functools.partial(jax.jit, static_argnums=0, donate_argnums=3)
def run(
    loop: Loop, variables: Any, objects: Objects, state: State, steps: Array, leave: Array
) -> tuple[State, Array]:
    """Up to `steps` steps; ends early once at most `leave` slots are active. Donates `state`.

    Returns the state and how many objects went through the forward passes that were made.
    """

    def is_open(carry: tuple[Array, State, Array]) -> Array:
        i, state, _ = carry
        return (i < steps) & (state.active.sum() > leave)

    def one(carry: tuple[Array, State, Array]) -> tuple[Array, State, Array]:
        i, state, passed = carry
        passed += rounds(state.active.sum(dtype=jnp.int32), loop.rows) * loop.rows
        return i + 1, step(loop, variables, objects, state), passed

    start = (jnp.int32(0), state, jnp.int32(0))
    _, state, passed = jax.lax.while_loop(is_open, one, start)
    return state, passed


def step(loop: Loop, variables: Any, objects: Objects, state: State) -> State:
    """One forward pass for every active slot."""
    protocol, network = loop.protocol, loop.network

    # Probabilities are given, not updated: XLA would copy those of the whole batch for each row.
    def choose(given: tuple[Objects, Array], state: _Aimed) -> _Aimed:
        (objects, probs), (clicks, roi, cropped, moved) = given, state
        keys = jax.vmap(jax.random.key)(objects.seed)
        mask = probs > protocol.pred_thr
        yx, label = click_strategy.next_click(objects.target, mask, clicks, keys, protocol)
        view, moves = aim(View(probs, clicks, roi, cropped), yx, label, objects.size, protocol)
        return view.clicks, view.roi, view.cropped, moved | moves

    fresh = state.active & ~state.drafted
    probs, clicks, roi, cropped = state.view
    aimed = (clicks, roi, cropped, state.moved)
    clicks, roi, cropped, moved = on_rows(choose, (objects, probs), aimed, fresh, loop.rows)
    view = View(probs, clicks, roi, cropped)

    # The picture's share of the network, only where the crop has moved; fewer rows at a time, as
    # crops seldom move together.
    def extract(seen: tuple[Array, Array], _: Any) -> Any:
        return features_of(network, variables, pixels(*seen, loop))

    few = max(loop.rows // 4, 1)
    moved &= state.active
    features = on_rows(extract, (objects.image, view.roi), state.features, moved, few)

    def answer(given: tuple[Objects, Any], state: State) -> State:
        objects, features = given
        seen = prepare(state.view, loop)
        is_draft = network.drafts & ~state.drafted & is_empty(seen.prev_mask)
        seen = seen._replace(prev_mask=_where(state.drafted, state.draft, seen.prev_mask))
        logits = logits_of(network, variables, features, seen, is_draft)
        probs = finish(state.view, logits, loop)
        state = state._replace(passes=state.passes + 1)
        drafted = state._replace(draft=nn.sigmoid(logits), drafted=is_draft)
        done = record(objects, state._replace(view=state.view._replace(probs=probs)), protocol)
        return jax.tree.map(functools.partial(_where, is_draft), drafted, done)

    state = state._replace(view=view, features=None, moved=jnp.zeros_like(moved))
    state = on_rows(answer, (objects, features), state, state.active, loop.rows)
    return state._replace(features=features)


def aim(view: View, yx: Array, label: Array, size: Array, protocol: Protocol) -> tuple[View, Array]:
    """Adds a click (yx float32 [b, 2], label int32 [b]) and moves the crop.

    Returns the view, and bool [b]: whether the crop has moved.
    """
    clicks = add(view.clicks, yx, label, jnp.ones(len(label), bool))
    move = jax.vmap(functools.partial(zoom_in.next_roi, protocol=protocol))
    roi, cropped = move(view.roi, view.cropped, view.probs, clicks, size)
    return View(view.probs, clicks, roi, cropped), (roi != view.roi).any(1)


def pixels(image: Array, roi: Array, loop: Loop) -> Array:
    """The crops of uint8 images [b, h, w, 3] as the network takes them: [b, f, s, s, 3] in 0..1."""

    def one(image: Array, roi: Array) -> Array:
        crop = zoom_in.crop_size(roi, zoom_size(loop), loop.protocol.zoom_keep_aspect)
        return zoom_in.look(image, roi, crop, loop.network.image_size) / 255

    return _with_mirror(jax.vmap(one)(image, roi), loop)


def prepare(view: View, loop: Loop) -> Input:
    """The crop of the previous mask, and the clicks in it."""
    side = loop.network.image_size

    def one(view: View) -> tuple[Array, list[Array]]:
        crop = zoom_in.crop_size(view.roi, zoom_size(loop), loop.protocol.zoom_keep_aspect)
        prev_mask = zoom_in.look(view.probs[..., None], view.roi, crop, side)[..., 0]
        used = view.clicks.label[:, None] >= 0
        mirrors = [None, side][: loop.copies]
        moved = [zoom_in.to_crop(view.clicks.yx, view.roi, crop, mirror) for mirror in mirrors]
        return prev_mask, [jnp.where(used, yx, -1) for yx in moved]

    prev_mask, yx = jax.vmap(one)(view)
    label = jnp.stack([view.clicks.label] * loop.copies, 1)
    return Input(_with_mirror(prev_mask, loop), Clicks(jnp.stack(yx, 1), label))


def is_empty(prev_mask: Array) -> Array:
    """bool [b]: the network is given nothing to go on ([b, f, s, s])."""
    return ~(prev_mask != 0).any((1, 2, 3))


def features_of(network: Network, variables: Any, image: Array) -> Any:
    """`Network.features` of [b, f, s, s, 3]: a tree of [b, f, ...]."""
    lead = image.shape[:2]
    features = network.features(variables, _flat(image))
    return jax.tree.map(lambda x: x.reshape(*lead, *x.shape[1:]), features)


def logits_of(network: Network, variables: Any, features: Any, given: Input, draft: Array) -> Array:
    """`Network.logits` of [b, f, ...]: [b, f, s, s]. draft: bool [b]."""
    lead = given.prev_mask.shape[:2]
    features, (prev_mask, clicks) = jax.tree.map(_flat, (features, given))
    draft = jnp.repeat(draft, lead[1])
    logits = network.logits(variables, features, prev_mask, clicks, draft, lead[1])
    return logits.reshape(*lead, *logits.shape[1:])


def finish(view: View, logits: Array, loop: Loop) -> Array:
    """The new probabilities of the whole image, float32 [b, h, w], from logits [b, f, s, s]."""
    protocol = loop.protocol
    mean = (logits[:, 0] + logits[:, 1, :, ::-1]) * 0.5 if protocol.flip else logits[:, 0]
    crops = jax.vmap(lambda roi: zoom_in.crop_size(roi, zoom_size(loop), protocol.zoom_keep_aspect))
    return zoom_in.paste(
        view.probs, nn.sigmoid(mean), view.roi, crops(view.roi), protocol.zoom_outside
    )


def record(objects: Objects, state: State, protocol: Protocol) -> State:
    """Counts a click that is answered, and whether it was the object's last."""
    mask = state.view.probs > protocol.pred_thr
    count = (state.view.clicks.label >= 0).sum(1)
    here = jnp.arange(state.ious.shape[1])[None] == count[:, None] - 1
    iou = masks_iou(objects.target, mask)
    done = count >= protocol.max_clicks
    if protocol.early_stop is not None:
        done |= (iou >= jnp.float32(protocol.early_stop)) & (count >= protocol.min_clicks)
    return state._replace(
        active=~done,
        drafted=jnp.zeros_like(state.drafted),
        ious=jnp.where(here, iou[:, None], state.ious),
        rois=jnp.where(here[..., None], _roi(state.view)[:, None], state.rois),
    )


def masks_iou(target: Array, mask: Array) -> Array:
    """float32 [b]: IoU of bool [b, h, w] with targets in {1, 0, -1}; NaN where both are empty."""
    intersection = ((target == 1) & mask).sum((1, 2), dtype=jnp.int32)
    union = ((target == 1) | (mask & (target == 0))).sum((1, 2), dtype=jnp.int32)
    with jax.enable_x64(True):  # as the host would: a float64 quotient, then rounded
        return (intersection.astype(jnp.float64) / union.astype(jnp.float64)).astype(jnp.float32)


def zoom_size(loop: Loop) -> int:
    """The side that crops are resized to."""
    return loop.protocol.zoom_size or loop.network.image_size


def _roi(view: View) -> Array:
    """The crops, -1 where there is none."""
    return jnp.where(view.cropped[:, None], view.roi, -1)


def _with_mirror(x: Array, loop: Loop) -> Array:
    """[b, s, s, ...] -> [b, f, s, s, ...]."""
    return jnp.stack([x, x[:, :, ::-1]][: loop.copies], 1)


def _flat(x: Array) -> Array:
    """[b, f, ...] -> [b * f, ...]."""
    return x.reshape(-1, *x.shape[2:])


def _where(condition: Array, a: Array, b: Array) -> Array:
    """Row by row."""
    return jnp.where(condition.reshape(-1, *[1] * (a.ndim - 1)), a, b)
