"""One tiny network for every test that needs a running one, compiled once per process."""

import dataclasses
import functools

import jax
import numpy as np

from rsisrefiner_jax.clicks import Clicks
from rsisrefiner_jax.config import Config, Data, Model, Optim, Train
from rsisrefiner_jax.models.refiner import apply, init_variables

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
    data=Data(train=("synthetic:train@96",), min_object_area=64),
    optim=Optim(lr=2e-3),
    train=Train(batch_size=4, epochs=1, samples_per_epoch=24),
)
