"""The network: shapes, ablations, what may depend on what, gradients, initialisation."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jaxtyping import TypeCheckError

from rsisrefiner_jax.interaction.clicks import Clicks
from rsisrefiner_jax.models import vit
from rsisrefiner_jax.models.layers import BatchNorm, Up2
from rsisrefiner_jax.models.refiner.decoder import Decoder, scramble
from rsisrefiner_jax.models.refiner.modulation import modulated_mask
from rsisrefiner_jax.models.registry import abstract_variables, make_model
from rsisrefiner_jax.weights import merge, split
from tests import tiny
from tests.tiny import MODEL, SIZE
from tests.whole_call import forward as whole_call

ABLATIONS = {
    "paper": {},
    "released": {"decoder": "released"},
    "fixed": {"early_fusion": "fixed"},
    "first": {"early_fusion": "first"},
    "second": {"early_fusion": "second"},
    "theta 1": {"theta": 1.0},
    "theta 0.5": {"theta": 0.5},
    "no F_ViT": {"f_vit": False},
    "no F_HQ": {"f_hq": False},
}


def changed(**fields):
    return dataclasses.replace(MODEL, **fields)


@functools.cache
def trained_variables() -> dict:
    """As if trained a little: what starts out as 0 or 1 is neither."""
    rng = np.random.default_rng(1)

    def moved(x: np.ndarray) -> jax.Array:
        return jnp.asarray(x + rng.normal(0, 0.1, x.shape) * (np.ptp(x) == 0), jnp.float32)

    return jax.tree.map(moved, tiny.variables()) | {"batch_stats": tiny.variables()["batch_stats"]}


# Methods and parts of the network that no ablation touches.
COMMON = {"encode_image", "auxiliary", "vit", "neck", "multi_scale", "prev_mask"}


@jax.jit
def ablated(variables, x, clicks) -> dict[str, jax.Array]:
    """{name: logits [b, s, s]} of every ablation; what they have in common is computed once."""
    inputs, made = (x[..., :3], x[..., 3], clicks), {}

    def once(call, args, kwargs, context):
        name = context.method_name if context.method_name != "__call__" else context.module.name
        if name not in COMMON:
            return call(*args, **kwargs)
        if name not in made:
            made[name] = call(*args, **kwargs)
        return made[name]

    with nn.intercept_methods(once):
        return {
            name: make_model(changed(**fields)).apply(variables, *inputs, first=False)
            for name, fields in ABLATIONS.items()
        }


def forward(x: np.ndarray, clicks: Clicks, first: bool, model=MODEL) -> np.ndarray:
    """Logits [2, s, s] of the compiled network."""
    with tiny.quick_compilation():
        return np.asarray(whole_call(model, first, trained_variables(), x, clicks))


def test_shapes_inside():
    clicks = Clicks(jnp.zeros((3, 5, 2)), jnp.ones((3, 5), jnp.int32))
    image, mask = jnp.zeros((3, SIZE, SIZE, 3)), jnp.zeros((3, SIZE, SIZE))
    network = make_model(MODEL).apply
    network = functools.partial(network, first=False, mutable=["intermediates"])
    logits, sown = jax.eval_shape(network, tiny.variables(), image, mask, clicks)
    assert (logits.shape, logits.dtype) == ((3, SIZE, SIZE), jnp.float32)
    shapes = {path[-1]: leaf[0].shape for path, leaf in flatten_dict(sown["intermediates"]).items()}
    expected = {
        "coord_features": (3, 64, 64, 4),
        "coord_tokens": (3, 16, 32),
        "block2": (3, 16, 32),
        "F_early": (3, 16, 32),
        "F_IFE": (3, 4, 4, 32),
        "F_HQ": (3, 16, 16, 8),
        "F_mask": (3, 4, 4, 32),
        "fpn_4": (3, 16, 16, 8),
        "fpn_8": (3, 8, 8, 8),
        "fpn_16": (3, 4, 4, 8),
        "fpn_32": (3, 2, 2, 8),
        "F_multiscale": (3, 16, 16, 8),
        "final_feature": (3, 16, 16, 8),
        "logits_112": (3, 16, 16),
    }
    assert {name: shapes[name] for name in expected} == expected


def test_a_wrong_shape_is_named():
    """Here a picture with a fourth band."""
    image = jax.ShapeDtypeStruct((1, SIZE, SIZE, 4), jnp.float32)
    encode = functools.partial(make_model(MODEL).apply, method="encode_image")
    with pytest.raises(TypeCheckError, match="parameter 'image'"):
        jax.eval_shape(encode, tiny.variables(), image)


def test_an_inner_module_names_a_wrong_shape():
    """Detail that is not four times the side of the features."""
    inputs = [jax.ShapeDtypeStruct((1, *shape), jnp.float32) for shape in [(4, 4, 32)] * 2]
    detail = jax.ShapeDtypeStruct((1, 8, 8, 8), jnp.float32)
    params = {"params": tiny.variables()["params"]["decoder"]}
    with pytest.raises(TypeCheckError, match="parameter 'detail'"):
        jax.eval_shape(Decoder(heads=2).apply, params, *inputs, detail)


def test_every_ablation_changes_the_answer():
    x, clicks = tiny.object_inputs()
    with tiny.quick_compilation():
        answers = ablated(trained_variables(), x[:1], jax.tree.map(lambda a: a[:1], clicks))
    answers = jax.tree.map(np.asarray, answers)
    for name, answer in answers.items():
        assert np.isfinite(answer).all()
        for other, second in answers.items():
            close = np.abs(answer - second).max() < 1e-4
            assert close == (name == other), (name, other)


@pytest.mark.parametrize("name", [*ABLATIONS, "single", "original", "none", "bfloat16"])
def test_ablations_share_one_parameter_tree(name):
    more = {
        "single": {"first_pass": "single"},
        "original": {"modulation": "original"},
        "none": {"modulation": "none"},
        "bfloat16": {"dtype": "bfloat16"},
    }
    shapes = flatten_dict(abstract_variables(changed(**(ABLATIONS | more)[name])))
    expected = flatten_dict(tiny.variables())
    assert {k: (v.shape, v.dtype) for k, v in shapes.items()} == {
        k: (v.shape, v.dtype) for k, v in expected.items()
    }


def test_modulations_differ_and_none_is_none():
    rng = np.random.default_rng(0)
    prob = jnp.asarray(rng.uniform(0.1, 0.9, (2, SIZE, SIZE)), jnp.float32)
    clicks = tiny.object_inputs()[1]
    maps = {
        kind: np.asarray(
            modulated_mask(prob, clicks, changed(modulation=kind), plain=False, group=1)
        )
        for kind in ("improved", "original", "none")
    }
    np.testing.assert_array_equal(maps["none"], prob)
    assert np.abs(maps["improved"] - prob).max() > 0.1
    assert np.abs(maps["original"] - prob).max() > 0.1
    assert np.abs(maps["improved"] - maps["original"]).max() > 0.01


def test_a_sample_does_not_depend_on_its_batch():
    (x, clicks), (x2, clicks2) = tiny.object_inputs(0), tiny.object_inputs(1)
    mixed = jax.tree.map(lambda a, b: jnp.stack([a[0], b[1]]), (x, clicks), (x2, clicks2))
    alone, beside = forward(x, clicks, False), forward(*mixed, False)
    np.testing.assert_allclose(beside[0], alone[0], atol=1e-6)
    assert np.abs(beside[1] - alone[1]).max() > 1e-3


def test_the_double_pass_is_decided_per_sample():
    x, clicks = tiny.object_inputs()
    empty = x * [1, 1, 1, 0]
    empty = empty.astype(np.float32)
    first = np.stack([empty[0], x[1]])
    out = forward(first, clicks, True)
    # The sample with a mask gets one pass on it.
    np.testing.assert_allclose(out[1], forward(x, clicks, False)[1], atol=1e-5)
    # The other gets a second pass on the answer of the first.
    draft = forward(empty, clicks, True)
    np.testing.assert_allclose(out[0], draft[0], atol=1e-5)
    assert np.abs(out[0] - forward(empty, clicks, False)[0]).max() > 1e-4
    single = changed(first_pass="single")
    once = forward(empty, clicks, True, single)
    again = np.stack([empty[0], x[1]])
    again[0, ..., 3] = 1 / (1 + np.exp(-np.asarray(once[0])))
    np.testing.assert_allclose(out[0], forward(again, clicks, False)[0], atol=1e-4)


def test_a_single_first_pass_is_given_zeros():
    """Section III-A: previous mask and modulated mask are both zero, and there is one pass."""
    x, clicks = tiny.object_inputs()
    empty = (x * [1, 1, 1, 0]).astype(np.float32)
    network = make_model(changed(first_pass="single")).apply

    @jax.jit
    def auxiliary(x):
        inputs = (x[..., :3], x[..., 3], clicks)
        mutable = ["intermediates"]
        _, sown = network(trained_variables(), *inputs, first=True, mutable=mutable)
        (aux,) = sown["intermediates"]["coord_features"]
        return aux

    aux = auxiliary(empty)
    assert not aux[..., :2].any()
    assert aux[..., 2:].any()
    # Where there is a previous mask, it is modulated.
    aux = auxiliary(x)
    assert (aux[..., 0] != aux[..., 1]).any()


@pytest.mark.parametrize("first_pass", ["double", "single"])
def test_the_two_parts_make_the_whole(first_pass):
    config = changed(first_pass=first_pass)
    model, (x, clicks) = make_model(config), tiny.object_inputs()
    first = x.copy()
    first[0, ..., 3] = 0  # one sample of two
    with tiny.quick_compilation():
        variables = trained_variables()
        features = jax.jit(functools.partial(model.apply, method="encode_image"))(
            variables, x[..., :3]
        )
        answer = jax.jit(functools.partial(model.apply, method="predict", group=2))
        for given in (x, first):
            found = answer(variables, features, given[..., 3], clicks)
            expected = forward(given, clicks, given is first, config)
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_bfloat16_computes_nearly_the_same():
    x, clicks = tiny.object_inputs()
    wide = forward(x, clicks, False)
    narrow = forward(x, clicks, False, changed(dtype="bfloat16"))
    assert narrow.dtype == np.float32
    error = np.abs(narrow - wide).max()
    assert 0 < error < 0.1 * np.ptp(wide), (error, np.ptp(wide))


def test_the_released_view_mixes_axes_and_samples_of_a_group():
    feature = jnp.stack([jnp.arange(16.0), 100 + jnp.arange(16.0)]).reshape(2, 4, 4)
    alone = scramble(feature, 2, 1)
    for y, x, c in np.ndindex(2, 2, 4):
        assert alone[0, y, x, c] == 4 * c + 2 * y + x
    pair = scramble(feature, 2, 2)
    np.testing.assert_array_equal(pair[0, ..., 0], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(pair[0, ..., 1], [[100, 101], [102, 103]])
    np.testing.assert_array_equal(pair[0, ..., 2], [[4, 5], [6, 7]])
    np.testing.assert_array_equal(pair[1, ..., 3], [[112, 113], [114, 115]])


def test_the_released_decoder_mixes_inside_a_group_only():
    rng = np.random.default_rng(0)
    f_mask = jnp.asarray(rng.normal(size=(4, 4, 4, 32)), jnp.float32)
    detail = jnp.asarray(rng.normal(size=(4, 16, 16, 8)), jnp.float32)

    @functools.partial(jax.jit, static_argnums=1)
    def decode(f_mask, group):
        params = {"params": jax.tree.map(jnp.asarray, tiny.variables()["params"]["decoder"])}
        module = Decoder(heads=2, kind="released")
        return module.apply(params, f_mask, f_mask, detail[: len(f_mask)], group, mutable=False)

    pairs = decode(f_mask, 2)
    other_pair = decode(f_mask.at[3].add(1.0), 2)
    np.testing.assert_allclose(other_pair[:2], pairs[:2], atol=1e-6)
    assert np.abs(other_pair[2] - pairs[2]).max() > 1e-3  # the partner of the changed sample
    singles = decode(f_mask, 1)
    assert np.abs(singles[0] - pairs[0]).max() > 1e-3
    np.testing.assert_allclose(singles[0], decode(f_mask[:1], 1)[0], atol=1e-5)


def test_frozen_parts_get_no_gradient():
    variables = trained_variables()
    x, clicks = tiny.object_inputs()
    x, clicks = jnp.asarray(x[:1]), jax.tree.map(lambda a: a[:1], clicks)

    def loss(frozen):
        values = variables | {"params": variables["params"] | frozen}
        mask = x[..., 3]
        return make_model(MODEL).apply(values, x[..., :3], mask, clicks, first=False).sum()

    names = ("backbone", "patch_embed_coords")
    grads = jax.jit(jax.grad(loss))({name: variables["params"][name] for name in names})
    assert all((np.asarray(g) == 0).all() for g in jax.tree.leaves(grads))


def test_where_the_gradient_goes_shows_in_its_work():
    """Counted before compilation, with the gradient of what is trainable."""
    x, clicks = tiny.object_inputs()
    x, mask = jnp.asarray(x), jnp.zeros(x.shape[:3])

    def work(first: bool, train: bool = True, **fields) -> float:
        model = changed(**fields)
        frozen, trainable = split(trained_variables()["params"], model.frozen)

        def loss(params):
            values = trained_variables() | {"params": merge(frozen, params)}
            logits, _ = make_model(model).apply(
                values, x[..., :3], mask, clicks, first=first, train=train, mutable=["batch_stats"]
            )
            return logits.sum()

        return jax.jit(jax.grad(loss)).lower(trainable).cost_analysis()["flops"]

    once = work(False)
    assert work(True) > 1.8 * once
    assert work(True, first_pass_gradient=False) < 1.6 * once
    assert work(False, frozen=()) > 1.1 * once
    # Outside of training the picture's share is computed once.
    assert work(True, train=False) < 1.5 * once


def test_windows_are_quarters_of_the_grid():
    tokens = jnp.arange(16.0).reshape(1, 16, 1)
    windows = vit.partition(tokens, 4, 2)
    np.testing.assert_array_equal(
        windows[..., 0], [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    )
    two = jnp.arange(2 * 36 * 3.0).reshape(2, 36, 3)
    np.testing.assert_array_equal(vit.unpartition(vit.partition(two, 6, 2), 6, 2), two)


def test_windowed_attention_stays_inside_its_window():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 16, 32)), jnp.float32)
    params = {"params": tiny.variables()["params"]["backbone"]["block_0"]["attn"]}
    window = jnp.array([2, 3, 6, 7])
    whole = vit.SelfAttention(heads=2, windows=2).apply(params, x)
    quarter = vit.SelfAttention(heads=2, windows=1).apply(params, x[:, window])
    np.testing.assert_allclose(whole[:, window], quarter, atol=1e-5)


@pytest.mark.parametrize(
    ("attention", "windowed"), [("global", []), ("windowed", [1, 2, 3, 4, 5, 7, 8, 9, 10, 11])]
)
def test_which_blocks_are_windowed(monkeypatch, attention, windowed):
    windows = []

    def block(heads, count, kernel, dtype):
        windows.append(count)
        return lambda x: x

    monkeypatch.setattr(vit, "Block", block)
    network = vit.ViT(8, 12, 1, 16, 4, attention, (2, 3))
    tokens = jnp.zeros((1, 16, 8))
    jax.eval_shape(lambda: network.init(jax.random.key(0), tokens, tokens))
    assert [i for i, count in enumerate(windows, start=1) if count == 2] == windowed
    assert len(windows) == 12


def test_batch_norm_by_hand():
    x = jnp.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 2, 2, 1)
    stats = {"mean": jnp.zeros(1), "var": jnp.ones(1)}
    params = {"scale": jnp.array([2.0]), "bias": jnp.array([1.0])}
    norm, values = BatchNorm(), {"params": params, "batch_stats": stats}
    y, new = norm.apply(values, x, True, mutable=["batch_stats"])
    # Mean 2.5, variance 1.25; the running variance takes the unbiased one, 5 / 3.
    np.testing.assert_allclose(new["batch_stats"]["mean"], 0.25, rtol=1e-6)
    np.testing.assert_allclose(new["batch_stats"]["var"], 0.9 + 0.1 * 5 / 3, rtol=1e-6)
    expected = 2 * (np.array([1, 2, 3, 4]) - 2.5) / np.sqrt(1.25 + 1e-5) + 1
    np.testing.assert_allclose(y.ravel(), expected, rtol=1e-5)
    np.testing.assert_allclose(
        norm.apply(values, x, False).ravel(), 2 * x.ravel() / np.sqrt(1 + 1e-5) + 1, rtol=1e-6
    )


def test_up2_by_hand():
    x = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    kernel = jnp.array([[1.0, 10.0], [100.0, 1000.0]]).reshape(2, 2, 1, 1)
    y = Up2(1).apply({"params": {"kernel": kernel, "bias": jnp.array([0.5])}}, x)
    expected = [
        [1.5, 10.5, 2.5, 20.5],
        [100.5, 1000.5, 200.5, 2000.5],
        [3.5, 30.5, 4.5, 40.5],
        [300.5, 3000.5, 400.5, 4000.5],
    ]
    np.testing.assert_array_equal(y[0, ..., 0], expected)
