"""MFP and SimpleClick: counts, windows and head against plain numpy, what may be configured."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from benchmarks.cost import multiply_adds
from rsisrefiner_jax.config import BASELINES, Clicks, Model, load
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.models.registry import abstract_variables, init_variables
from rsisrefiner_jax.models.simpleclick import LevelsHead
from rsisrefiner_jax.models.vit import SelfAttention, ViT
from rsisrefiner_jax.parallel import DataParallel
from rsisrefiner_jax.training.step import ClickStep
from rsisrefiner_jax.weights import count
from tests import tiny

KINDS = ["mfp", "simpleclick"]
# Published: 98.66 M and 98.03 M, with what no layer reads: 771,304 of the ViT, 185,472 of the head.
PARAMETERS = {"mfp": 98_659_753, "simpleclick": 98_025_513}
UNREAD = 771_304 + 185_472
# Multiply-adds of a pass at 448 px in thousand millions, counted on the published networks.
COST = {
    r"backbone/patch_embed|patch_embed_coords": {"mfp": 1.08},
    r"backbone/block_.*": {"mfp": 70.84, "simpleclick": 70.84},
    r"neck/.*": {"mfp": 4.93, "simpleclick": 4.93},
    r"head/fusion": {"mfp": 4.06, "simpleclick": 4.06},
    r"head/picture_.": {"mfp": 2.87},
    r"head/refine_.": {"mfp": 2.64},
    r"head/classify": {"mfp": 0.003, "simpleclick": 0.003},
    r"(?!resize).*": {"mfp": 86.43, "simpleclick": 80.76},
}


@functools.cache
def full_size(kind):
    """(config.model, shapes of the variables) of the published network."""
    config = load(f"configs/{kind}.py").model
    return config, abstract_variables(config)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_of_the_published_networks(kind):
    config, variables = full_size(kind)
    assert config.frozen == ()
    assert count(variables["params"]) + UNREAD == PARAMETERS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_multiply_adds_of_the_published_networks(kind):
    counted = multiply_adds(*full_size(kind), depth=2)
    for pattern, expected in COST.items():
        if kind in expected:
            found = sum(n for name, n in counted.items() if re.fullmatch(pattern, name)) / 1e9
            digits = 3 if expected[kind] < 0.01 else 2
            assert round(found, digits) == expected[kind], pattern


def test_attention_in_windows_is_that_of_each_quarter():
    side, heads, width = 6, 2, 8
    x = np.random.default_rng(0).normal(size=(2, side * side, width)).astype(np.float32)
    module = SelfAttention(heads, windows=2)
    variables = module.init(jax.random.key(0), x)
    ours = np.asarray(module.apply(variables, x))
    weights = jax.tree.map(np.asarray, variables["params"])
    expected = np.full_like(ours, np.nan)
    for sample in range(2):
        for top in (0, 3):
            for left in (0, 3):
                rows = [side * y + z for y in range(top, top + 3) for z in range(left, left + 3)]
                expected[sample, rows] = plain_attention(x[sample, rows], weights, heads)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def plain_attention(x, weights, heads):
    """Every token of x [n, c] to every other, a head at a time."""
    qkv = x @ weights["qkv"]["kernel"] + weights["qkv"]["bias"]
    query, key, value = (part.reshape(len(x), heads, -1) for part in np.split(qkv, 3, 1))
    out = []
    for h in range(heads):
        scores = np.exp(query[:, h] @ key[:, h].T / np.sqrt(query.shape[-1]))
        out.append(scores / scores.sum(1, keepdims=True) @ value[:, h])
    return np.concatenate(out, 1) @ weights["proj"]["kernel"] + weights["proj"]["bias"]


@pytest.mark.parametrize(("depth", "after"), [(12, 6), (24, 6), (8, 2), (2, 1)])
def test_the_last_block_of_a_group_is_global(depth, after):
    vit = ViT(8, depth, 2, 16, 4, "windowed", (1, 2))
    windows, _ = vit.init_with_output(
        jax.random.key(0), method=lambda m: jnp.array([block.windows for block in m.block])
    )
    expected = [1 if block % after == 0 else 2 for block in range(1, depth + 1)]
    np.testing.assert_array_equal(windows, expected)


def test_the_head_is_that_of_plain_numpy():
    rng = np.random.default_rng(0)
    levels = tuple(
        rng.normal(size=(1, 8 // 2**i, 8 // 2**i, 3 + i)).astype(np.float32) for i in range(4)
    )
    variables = LevelsHead().init(jax.random.key(0), levels, False)
    ours = np.asarray(LevelsHead().apply(variables, levels, False))
    weights = jax.tree.map(np.asarray, variables["params"])

    def pointwise(x, layer):
        return x @ layer["kernel"][0, 0] + layer["bias"]

    fusion = weights["fusion"]
    parts = [
        enlarged(np.maximum(pointwise(x[0], fusion[f"conv_{i}"]), 0), 8)
        for i, x in enumerate(levels)
    ]
    fused = np.maximum(pointwise(np.concatenate(parts, -1), fusion["fuse"]), 0)
    np.testing.assert_allclose(ours[0], pointwise(fused, weights["classify"])[..., 0], atol=1e-4)


def enlarged(x, side):
    """x [n, n, c] bilinearly at side x side, the outer edges of the corner pixels staying."""
    out = np.zeros((side, side, x.shape[-1]))
    at = np.clip((np.arange(side) + 0.5) * len(x) / side - 0.5, 0, len(x) - 1)
    for i, y in enumerate(at):
        for j, z in enumerate(at):
            for a in {int(y), min(int(y) + 1, len(x) - 1)}:
                for b in {int(z), min(int(z) + 1, len(x) - 1)}:
                    out[i, j] += max(0, 1 - abs(y - a)) * max(0, 1 - abs(z - b)) * x[a, b]
    return out


def test_training_drops_whole_channels_of_the_head():
    levels = tuple(jnp.ones((2, 8 // 2**i, 8 // 2**i, 4)) for i in range(4))
    variables = LevelsHead().init(jax.random.key(0), levels, False)
    run = functools.partial(LevelsHead().apply, variables, levels)
    plain, first, second = (
        np.asarray(run(train, rngs={"dropout": jax.random.key(seed)}))
        for train, seed in ((False, 0), (True, 0), (True, 1))
    )
    np.testing.assert_array_equal(plain[0], plain[1])
    assert np.ptp(first[0]) < 1e-5  # equal pixels of a sample stay equal
    assert abs(first[0] - first[1]).max() > 1e-4  # samples do not
    assert abs(first - second).max() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_what_makes_a_baseline_is_asked_for(kind):
    with pytest.raises(UserError, match=rf"model\.network={kind} has .*model\.attention=windowed"):
        Model(network=kind)
    with pytest.raises(UserError, match=r"model\.modulation="):
        Model(network=kind, **BASELINES[kind] | {"modulation": "improved"})


@pytest.mark.parametrize("kind", KINDS)
def test_all_of_it_is_trained(kind):
    model = dataclasses.replace(tiny.MODEL, network=kind, frozen=(), **BASELINES[kind])
    # Two clicks a step, so that one program is compiled.
    clicks = Clicks(iterations=(0.0, 1.0))
    config = dataclasses.replace(tiny.CONFIG, model=model, clicks=clicks)
    devices = DataParallel("shard_map", 4, jax.devices()[:1])
    step, batch = ClickStep(config, devices), devices.shard(tiny.batch())
    with tiny.quick_compilation():
        variables = jax.tree.map(np.asarray, init_variables(model, jax.random.key(0)))
        state, frozen = tiny.start(devices, config, variables)
        for k in range(2):
            state, metrics, shown = step(state, frozen, batch, k)
            assert np.isfinite(metrics["loss"])
    assert frozen == {}
    assert shown["prob"].shape == (4, tiny.SIZE, tiny.SIZE)
    # A bias in front of a BatchNorm has no effect.
    idle = r"head/.*/(depthwise_\d|pointwise)/bias"
    before = flatten_dict(variables["params"] | {"stats": variables["batch_stats"]}, sep="/")
    after = flatten_dict(dict(state.params) | {"stats": state.batch_stats}, sep="/")
    still = {path for path in before if np.array_equal(before[path], after[path])}
    assert not {path for path in still if not re.fullmatch(idle, path)}
    assert any(path.startswith("stats/") for path in after) == (kind == "mfp")
