"""One tiny network for every test that needs a running one, and what such a test is fed."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from rsisrefiner_jax import parallel
from rsisrefiner_jax.config import Config, Data, Model, Optim, Train
from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.interaction.clicks import Clicks, disks
from rsisrefiner_jax.models import registry
from rsisrefiner_jax.models.layers import BatchNorm
from rsisrefiner_jax.training.step import TrainState, init_state
from rsisrefiner_jax.weights import split

SIZE = 64
MODEL = Model(
    image_size=SIZE,
    width=32,
    depth=2,
    heads=2,
    adapter_heads=2,
    early_blocks=(1, 2),
    fpn_channels=(8, 8, 8, 8),
    extractor_channels=(8, 8, 16, 16),
    mask_channels=(8, 8, 8, 8),
)
CONFIG = Config(
    name="tiny",
    model=MODEL,
    data=Data(train=("synthetic:train@96",), threads=1, min_object_area=64),
    # Adam without eps turns the rounding noise of a zero gradient into a full step.
    optim=Optim(lr=3e-3, eps=1e-3),
    train=Train(batch_size=4, epochs=1, samples_per_epoch=24, log_every=1),
)


@contextlib.contextmanager
def compilation(optimized: bool) -> Iterator[None]:
    """How what is compiled inside is: `conftest.py` says how it is elsewhere."""
    name = "jax_disable_most_optimizations"
    before = jax.config.read(name)
    jax.config.update(name, not optimized)
    try:
        yield
    finally:
        jax.config.update(name, before)


def quick_compilation() -> contextlib.AbstractContextManager[None]:
    """What is compiled inside takes half the time; that it then runs slower is not noticed."""
    return compilation(optimized=False)


@functools.cache
def variables() -> dict:
    """{"params", "batch_stats"} of an untrained network, numpy."""
    model = dataclasses.replace(MODEL, first_pass="single")  # no other values, and less to compile
    with quick_compilation():
        return jax.tree.map(np.asarray, registry.init_variables(model, jax.random.key(0)))


def batch(size: int = 4) -> dict[str, np.ndarray]:
    """A training batch: one bright ellipse a picture, framed by ignored pixels.

    The pictures differ in exposure, so that BatchNorm statistics depend on who is in the batch.
    """
    rng = np.random.default_rng(0)
    centre = rng.uniform(20, 44, (size, 2, 1, 1))
    axes = rng.uniform(8, 18, (size, 2, 1, 1))
    y, x = (np.mgrid[:SIZE, :SIZE][:, None] - centre.swapaxes(0, 1)) / axes.swapaxes(0, 1)
    label = (y**2 + x**2 < 1).astype(np.int8)
    image = rng.integers(0, 120, (size, SIZE, SIZE, 3)) + 120 * label[..., None]
    image = image * np.linspace(0.3, 1, size)[:, None, None, None]
    label[:, :2] = -1
    return {
        "image": image.astype(np.uint8),
        "label": label,
        "first_click": centre[:, :, 0, 0].round().astype(np.float32),
    }


def object_inputs(seed: int = 0) -> tuple[np.ndarray, Clicks]:
    """Network input of two samples: x float32 [2, s, s, 4] and two clicks each, 24 slots."""
    rng = np.random.default_rng(seed)
    x = rng.random((2, SIZE, SIZE, 4), np.float32)
    yx = np.full((2, 24, 2), -1, np.float32)
    yx[:, :2] = rng.uniform(0, SIZE - 1, (2, 2, 2))
    label = np.full((2, 24), -1, np.int32)
    label[:, :2] = [1, 0]
    return x, Clicks(jnp.asarray(yx), jnp.asarray(label))


def start(
    devices: parallel.DataParallel, config: Config = CONFIG, values: dict | None = None
) -> tuple[TrainState, dict]:
    """(state, frozen) on `devices`."""
    values = values or variables()
    frozen, trainable = split(values["params"], config.model.frozen)
    state = init_state(config, trainable, values["batch_stats"])
    return devices.replicate(state), devices.replicate(frozen)


class SmallModel(ClickModel):
    """Stands in for the network where only what surrounds it is tested: compiles quickly."""

    config: Model
    axis_name: str | None = None

    @property
    def image_size(self):
        return self.config.image_size

    def setup(self):
        self.backbone = nn.Conv(4, (4, 4), 4, padding="VALID")
        self.norm = BatchNorm(self.axis_name)
        self.head = nn.Conv(1, (1, 1))

    def encode_image(self, image, *, train=False):
        return image

    def predict(self, features, prev_mask, clicks, *, group=1, train=False):
        size = prev_mask.shape[1:]
        maps = [prev_mask[..., None], disks(clicks, size, 5)]
        x = self.norm(self.backbone(jnp.concatenate([features, *maps], -1)), train)
        logits = self.head(nn.relu(x))
        return jax.image.resize(logits[..., 0], prev_mask.shape, "linear")

    def __call__(self, image, prev_mask, clicks, *, first, group=1, train=False):
        return self.predict(image, prev_mask, clicks, train=train)


SMALL = dataclasses.replace(CONFIG, model=dataclasses.replace(MODEL, frozen=("backbone",)))


def small_variables() -> dict:
    """{"params", "batch_stats"} of `SmallModel`, once it has taken the network's place."""
    return jax.tree.map(np.asarray, registry.init_variables(SMALL.model, jax.random.key(0)))
