"""What is frozen costs a compiled training step its own bytes: no optimizer slot, no gradient."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from benchmarks.compile import step_bytes, step_inputs, tree_bytes
from rsisrefiner_jax.models import registry
from rsisrefiner_jax.models.layers import BatchNorm
from rsisrefiner_jax.models.registry import abstract_variables
from rsisrefiner_jax.parallel import DataParallel
from rsisrefiner_jax.training.step import make_step
from tests import tiny

WIDTH = 2048
BATCH = 2


class Heavy(nn.Module):
    """16 MB of parameters, a few kB of activations: x [b, h, w, c] -> [b, 1, 1, 4]."""

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(WIDTH)(x.mean((1, 2)))
        return nn.Dense(4)(nn.relu(nn.Dense(WIDTH)(nn.relu(x))))[:, None, None]


class HeavyModel(tiny.SmallModel):
    def setup(self):
        self.backbone = Heavy()
        self.norm, self.head = BatchNorm(self.axis_name), nn.Conv(1, (1, 1))


@pytest.mark.parametrize("trained", [False, True])
def test_what_is_frozen_has_no_optimizer_slot_and_no_gradient(monkeypatch, trained):
    monkeypatch.setattr(registry, "Refiner", HeavyModel)
    model = dataclasses.replace(tiny.SMALL.model, frozen=() if trained else ("backbone",))
    config = dataclasses.replace(tiny.SMALL, model=model)
    heavy = tree_bytes(abstract_variables(model)["params"]["backbone"])
    assert heavy > 4 * WIDTH**2
    devices = DataParallel("shard_map", BATCH, jax.devices()[:1])
    with tiny.quick_compilation():
        step = devices.compile(make_step(config, first=True))
        memory = step.lower(*step_inputs(config, BATCH)).compile().memory_analysis()
    copies = 3 if trained else 0  # the weights and Adam's two moments
    rest = heavy // 4
    assert copies * heavy <= memory.alias_size_in_bytes < copies * heavy + rest  # the new state
    given = max(copies, 1) * heavy
    assert given <= memory.argument_size_in_bytes < given + rest
    # A gradient would lie among the temporaries.
    assert (memory.temp_size_in_bytes >= heavy) == trained


def test_bytes_of_a_step_by_hand():
    config = dataclasses.replace(tiny.CONFIG, optim=dataclasses.replace(tiny.CONFIG.optim, ema=0.9))
    for one in (tiny.CONFIG, config):
        state, frozen, batch, _ = step_inputs(one, BATCH)
        counters = [x for x in jax.tree.leaves(state) if x.dtype != jnp.float32]
        assert tree_bytes(counters) < 100  # steps, and a key
        found = tree_bytes((state, frozen, batch)) - tree_bytes(counters)
        assert found == step_bytes(one, BATCH)
