"""Fake networks for the click loop, what they are clicked on, and the plain loop around them."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.evaluation.evaluate import evaluate
from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.interaction.clicks import Clicks
from rsisrefiner_jax.interaction.loop import Loop
from rsisrefiner_jax.interaction.session import Programs
from rsisrefiner_jax.interaction.simulate import Trace
from rsisrefiner_jax.interaction.slots import Item, Slots
from rsisrefiner_jax.protocol import PRESETS, Protocol
from tests import plain_session, tiny

SIZE = 64
PAPER = PRESETS["paper"]
SHORT = dataclasses.replace(PAPER, max_clicks=6)


class Disks(ClickModel):
    """Paints a disk at every click, later clicks over earlier ones, on the previous mask."""

    image_size: int = SIZE
    radius: float = 6.3

    def encode_image(self, image):
        return image[..., 0]

    def predict(self, features, prev_mask, clicks, *, group=1):
        # No two answers cancel: a blend of them does not lie on a threshold.
        painted = painter(clicks, self.image_size, self.radius)
        kept = jnp.where(prev_mask > 0.47, 8.0, -7.0)
        return jnp.where(painted < 0, kept, jnp.where(painted == 1, 8.0, -7.0))


class Everything(ClickModel):
    """Answers "object" everywhere."""

    image_size: int = SIZE

    def encode_image(self, image):
        return image[..., 0]

    def predict(self, features, prev_mask, clicks, *, group=1):
        return jnp.full_like(features, 5.0)


class Bright(ClickModel):
    """Answers "object" where the picture is bright."""

    image_size: int = SIZE

    def encode_image(self, image):
        return image[..., 0]

    def predict(self, features, prev_mask, clicks, *, group=1):
        return jnp.where(features > 0.5, 8.0, -7.0)


class Mixed(ClickModel):
    """Its answer depends on all that it is given; an empty previous mask is first drafted."""

    image_size: int = SIZE

    def encode_image(self, image):
        return {"red": image[..., 0], "blue": image[..., 2]}

    def predict(self, features, prev_mask, clicks, *, group=1):
        painted = painter(clicks, self.image_size, 7.3)
        clicked = jnp.where(painted < 0, 0.0, jnp.where(painted == 1, 6.0, -6.0))
        picture = 9 * (features["red"] - 0.513) + 2 * (features["blue"] - 0.471) + clicked
        empty = (prev_mask == 0).all((1, 2), keepdims=True)
        draft = nn.sigmoid(picture + 3 * (prev_mask - 0.537) - 1.7)
        return picture + 3 * (jnp.where(empty, draft, prev_mask) - 0.537)


def painter(clicks: Clicks, side: int, radius: float):
    """int [b, side, side]: the sign of the last click within `radius`, -1 without one."""
    y, x = clicks.yx[..., 0, None, None], clicks.yx[..., 1, None, None]
    at = jnp.arange(side, dtype=jnp.float32)
    distance = (at[None, None, :, None] - y) ** 2 + (at[None, None, None] - x) ** 2
    used = clicks.label[..., None, None] >= 0
    number = jnp.arange(clicks.label.shape[1])[None, :, None, None]
    last = jnp.where(used & (distance <= radius**2), number, -1).max(1)
    sign = jnp.take_along_axis(clicks.label, last.reshape(len(last), -1).clip(0), 1)
    return jnp.where(last < 0, -1, sign.reshape(last.shape))


class Plain:
    """A model as `plain_session` calls it; `calls` holds what it was given."""

    def __init__(self, model: ClickModel, variables=None):
        self._model, self._variables = model, variables or {}
        self.calls: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def __call__(self, x, yx, label):
        assert (x.dtype, yx.dtype, label.dtype) == (np.float32, np.float32, np.int32)
        self.calls.append((x, yx, label))
        return np.asarray(_predict(self._model, self._variables, x, yx, label))


@functools.partial(jax.jit, static_argnums=0)
def _predict(model, variables, x, yx, label):
    features = model.apply(variables, x[..., :3], method="encode_image")
    given = features, x[..., 3], Clicks(yx, label)
    return model.apply(variables, *given, group=len(x), method="predict")


def plain_trace(model: ClickModel, image, target, protocol: Protocol, variables=None) -> Trace:
    """The trace of the plain numpy loop."""
    predict = Plain(model, variables)
    return plain_session.simulate(predict, image, target, protocol, model.image_size)


def noise(h: int = 100, w: int = 120, seed: int = 0) -> np.ndarray:
    """A picture without any structure."""
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8)


def rectangle(box, h: int = 100, w: int = 120) -> np.ndarray:
    """A target: 1 in rows box[0]..box[1] and columns box[2]..box[3], ends excluded."""
    target = np.zeros((h, w), np.int8)
    target[box[0] : box[1], box[2] : box[3]] = 1
    return target


def smooth_object(h: int, w: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture of slow waves and a target that is not quite what is bright in it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    cy, cx = rng.uniform(0.3, 0.7, 2) * (h, w)
    ry, rx = rng.uniform(0.15, 0.3, 2) * (h, w) + 1
    target = (((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1).astype(np.int8)
    if not target.any():
        target[int(cy), int(cx)] = 1
    phases = rng.uniform(0, 6.28, 3)
    waves = [np.sin(4 * y / h + p) * np.cos(5 * x / w + 2 * p) for p in phases]
    image = 110 + 50 * np.stack(waves, -1) + 60 * target[..., None]
    return image.clip(0, 255).astype(np.uint8), target


def scene(name, objects, ignore=None, h: int = 100, w: int = 120) -> Scene:
    """A scene of rectangles (first row, end row, first column, end column)."""
    labels = np.zeros((h, w, 1), np.int32)
    for number, (top, bottom, left, right) in enumerate(objects, 1):
        labels[top:bottom, left:right] = number
    items = tuple(SceneObject(n, 0, "ship") for n in range(1, len(objects) + 1))
    ignored = np.zeros((h, w), bool) if ignore is None else ignore
    return Scene(name, noise(h, w), labels, items, ignored)


def source() -> list[Scene]:
    """Four objects to find, and one that is left out."""
    ignore = np.zeros((100, 120), bool)
    ignore[50:] = True
    return [
        scene("a", [(10, 20, 10, 20), (60, 80, 60, 90)]),
        scene("none", []),
        scene("b", [(10, 11, 10, 11), (60, 70, 10, 20), (40, 60, 40, 60)], ignore),
    ]


class Call(NamedTuple):
    """What the model was given to answer. f = 2 with flip averaging, else 1."""

    prev_mask: np.ndarray  # [f, s, s]
    clicks: Clicks  # [f, k]


class RecordingPrograms(Programs):
    """Keeps the crops that were encoded, [f, s, s, 3], and every call on them."""

    def __init__(self, *args):
        super().__init__(*args)
        self.pictures: list[np.ndarray] = []
        self.calls: list[Call] = []

    def _call(self, name, *args):
        if name == "encode":
            self.pictures.append(np.asarray(args[1][0]))
        if name == "predict":
            self.calls.append(Call(*jax.tree.map(lambda x: np.asarray(x[0]), args[2])))
        return super()._call(name, *args)


@functools.cache
def programs(model: ClickModel, protocol: Protocol, optimized: bool = False) -> Programs:
    """Programs of models without variables, compiled once for all tests.

    optimized: without, they are fast enough for fakes, but differ in the last digit.
    """
    with tiny.compilation(optimized):
        return Programs(model, {}, protocol)


@functools.cache
def slots(
    model: ClickModel,
    protocol: Protocol,
    batch: int = 2,
    rows: int = 1,
    shape: tuple[int, int] = (256, 256),
    optimized: bool = False,
) -> Slots:
    """Slots for models without variables, compiled once for all tests."""
    with tiny.compilation(optimized):
        return Slots(Loop(model, protocol, rows), {}, batch, shape)


def traces(run: Slots, objects, seed: int = 0) -> list[Trace]:
    """What the batched loop makes of (image, target) pairs, in their order."""
    items = [Item(i, image, target, seed) for i, (image, target) in enumerate(objects)]
    found = {item.tag: trace for item, trace in run.run(iter(items))}
    return [found[i] for i in range(len(items))]


def same(a: Trace, b: Trace) -> bool:
    """Whether two traces have the same clicks, IoUs and crops."""
    return (a.clicks, a.rois) == (b.clicks, b.rois) and np.array_equal(a.ious, b.ious)


def evaluation(data, protocol: Protocol = SHORT, model: ClickModel | None = None, **settings):
    """`evaluate` on one device, two objects at a time, as few programs as possible."""
    settings = {"batch_size": 2, "devices": jax.devices()[:1], "dataset": "mini"} | settings
    with tiny.quick_compilation():
        return evaluate(model or Disks(), {}, data, protocol, progress=False, **settings)
