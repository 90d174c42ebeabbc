"""Fields that change how a step is computed, and not what: where they hold, and that they do."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from rsisrefiner_jax.config import Clicks, Config, Model, apply_overrides
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.interaction.clicks import disks
from rsisrefiner_jax.models import layers, registry
from rsisrefiner_jax.models.flops import operations
from rsisrefiner_jax.models.fpn import SimpleFPN
from rsisrefiner_jax.models.parameters import as_stored
from rsisrefiner_jax.models.refiner.extractor import DeformResBlock
from rsisrefiner_jax.models.registry import abstract_variables, make_model
from rsisrefiner_jax.models.remat import recomputed
from rsisrefiner_jax.models.vit import Block
from rsisrefiner_jax.ops.precision import describe_precision
from rsisrefiner_jax.parallel import AXIS, DataParallel
from rsisrefiner_jax.training import step as training
from rsisrefiner_jax.weights import split
from tests import tiny


def inputs(config: Config) -> tuple[Any, Any, Any, Any]:
    """Shapes of what a training step is given: (state, frozen, batch, scalar)."""
    variables = abstract_variables(config.model)
    frozen, trainable = split(variables["params"], config.model.frozen)
    state = jax.eval_shape(
        lambda p, b: training.init_state(config, p, b), trainable, variables["batch_stats"]
    )
    shape, side = jax.ShapeDtypeStruct, config.model.image_size
    batch = {
        "image": shape((2, side, side, 3), jnp.uint8),
        "label": shape((2, side, side), jnp.int8),
        "first_click": shape((2, 2), jnp.float32),
    }
    return state, frozen, batch, shape((), jnp.int32)


def mapped(step: Any) -> Any:
    """A per-device step as a function of batches [1, ...]: its axis is there, nothing compiles."""
    return jax.vmap(step, (None, None, 0, None), 0, axis_name=AXIS)


def one_device(batch: Any) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), batch)


def equations(jaxpr: Any) -> Iterator[Any]:
    """All equations of a traced function, those of inner functions included."""
    is_inner = lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")  # noqa: E731
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=is_inner):
            if is_inner(value):
                yield from equations(getattr(value, "jaxpr", value))


def test_bfloat16_and_precision_hold_everywhere():
    narrow = {"dtype": "bfloat16", "matmul_precision": "highest", "first_pass": "single"}
    model = dataclasses.replace(tiny.MODEL, **narrow)
    config = dataclasses.replace(tiny.CONFIG, model=model)
    state, frozen, batch, last = inputs(config)
    step = mapped(training.make_step(config, first=True))
    traced, shapes = jax.make_jaxpr(step, return_shape=True)(state, frozen, one_device(batch), last)
    found = [e for e in equations(traced.jaxpr) if e.primitive.name in PRODUCTS]
    assert len(found) > 100
    # Attention by jax's own function multiplies bfloat16 and adds in float32.
    fused = jax.lax.DotAlgorithmPreset.BF16_BF16_F32
    assert {e.params["precision"] for e in found} <= {(jax.lax.Precision.HIGHEST,) * 2, fused}
    own = [e for e in found if e.params["precision"] != fused]
    wide = {scope(e) for e in own if e.invars[0].aval.dtype == jnp.float32}
    assert {name for name in wide if "resize" not in name} == set()
    # What is learned stays in float32, and so does what it is averaged into.
    assert {x.dtype for x in jax.tree.leaves(shapes[0]._replace(key=None))} == {
        jnp.dtype("float32"), jnp.dtype("int32")
    }  # fmt: skip


PRODUCTS = ("dot_general", "conv_general_dilated")


def scope(equation: Any) -> str:
    return str(equation.source_info.name_stack)


class OneProduct(ClickModel):
    """A click model with nothing but a product, of a stated precision."""

    stated: str = "default"

    @property
    def matmul_precision(self):
        return self.stated

    def encode_image(self, image):
        return image @ image.mT


@pytest.mark.parametrize(
    ("stated", "around", "expected"),
    [("default", None, None), ("high", None, "HIGH"), ("default", "highest", "HIGHEST")],
)
def test_the_default_precision_is_the_callers(stated, around, expected):
    apply = lambda x: OneProduct(stated).apply({}, x, method="encode_image")  # noqa: E731
    with jax.default_matmul_precision(around):
        traced = jax.make_jaxpr(apply)(jnp.ones((1, 2, 2, 3)))
    (product,) = [e for e in equations(traced.jaxpr) if e.primitive.name == "dot_general"]
    precision = product.params["precision"]
    assert (precision and precision[0].name) == expected


def test_what_is_said_of_precision():
    assert describe_precision("bfloat16", "default", "gpu").startswith("computes in bfloat16")
    assert "default (TF32" in describe_precision("float32", "default", "gpu")
    assert "default (bfloat16)" in describe_precision("float32", "default", "tpu")
    assert "highest (float32)" in describe_precision("float32", "highest", "tpu")
    with jax.enable_x64(True):
        assert describe_precision("float32", "default", "cpu").startswith("computes in float64")


def test_narrow_frozen_kernels_change_no_bit_of_a_bfloat16_network():
    narrow = dataclasses.replace(tiny.MODEL, dtype="bfloat16", frozen_dtype="bfloat16")
    x = jax.random.normal(jax.random.key(0), (2, 16, 32))
    parts = [
        (Block(2, 1, dtype=jnp.bfloat16), x),
        (SimpleFPN((8, 8, 8, 8), jnp.bfloat16), x.reshape(2, 4, 4, 32)),
    ]
    for part, given in parts:
        params = jax.jit(part.init)(jax.random.key(1), given)["params"]
        stored = as_stored(narrow, params)
        leaves = jax.tree.leaves_with_path(stored)
        assert {x.dtype == jnp.bfloat16 for path, x in leaves if path[-1].key == "kernel"} == {True}
        assert {x.dtype == jnp.float32 for path, x in leaves if path[-1].key != "kernel"} == {True}
        run = jax.jit(lambda p, part=part, given=given: part.apply({"params": p}, given))
        before, after = run(params), run(stored)
        jax.tree.map(np.testing.assert_array_equal, after, before)
    assert as_stored(tiny.MODEL, params) is params


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["model.frozen_dtype=bfloat16"], "frozen_dtype=bfloat16 needs model.dtype=bfloat16"),
        (["model.attention_kernel=cudnn"], "attention_kernel=cudnn needs model.dtype=bfloat16"),
        (
            ["model.frozen_dtype=bfloat16", "model.dtype=bfloat16", "model.lora_rank=4"],
            "would round what model.lora_rank adds to",
        ),
        (["optim.accumulate=0"], "optim.accumulate=0 must be at least 1"),
        (["optim.ema=1"], "optim.ema=1.0 must be at least 0 and less than 1"),
        (["validate.every=0"], "validate.every=0 must be at least 1"),
        (["train.max_steps=0"], "train.max_steps=0 must be at least 1"),
    ],
)
def test_what_cannot_be_meant(changes, message):
    with pytest.raises(UserError, match=message):
        apply_overrides(tiny.CONFIG, changes)


def test_recomputation_keeps_names_and_gradients():
    again = dataclasses.replace(tiny.MODEL, remat=True)
    before, after = (abstract_variables(model) for model in (tiny.MODEL, again))
    assert before == after
    image = jax.random.uniform(jax.random.key(0), (2, 8, 8, 3))

    def gradients(remat: bool) -> Any:
        part = recomputed(DeformResBlock, remat, 2)(4)

        def loss(params: Any) -> Any:
            given = {"params": params, "batch_stats": values["batch_stats"]}
            out, new = part.apply(given, image, True, mutable=["batch_stats"])
            return (out**2).sum(), new

        values = jax.jit(lambda key: part.init(key, image, False))(jax.random.key(1))
        gradient = jax.grad(loss, has_aux=True)
        traced = jax.make_jaxpr(gradient)(values["params"])
        names = {e.primitive.name for e in equations(traced.jaxpr)}
        assert bool(names & {"remat", "remat2", "checkpoint"}) == remat
        return jax.jit(gradient)(values["params"])

    with tiny.quick_compilation():
        expected, found = gradients(False), gradients(True)
    close = lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)  # noqa: E731
    jax.tree.map(close, found, expected)


def test_attention_on_accelerators_is_the_same_function():
    q, k, v = (jax.random.normal(jax.random.key(i), (2, n, 3, 4)) for i, n in enumerate((5, 7, 7)))
    ours, jaxs = layers._attend_in_turn(q, k, v), jax.nn.dot_product_attention(q, k, v)
    np.testing.assert_allclose(ours, jaxs, atol=1e-6)


def test_a_frozen_encoder_runs_once_a_step():
    """Its operations are in what begins a step, and in no click of it."""
    changes = ["model.backbone=tiny_vit", "model.first_pass=single", "model.frozen=[backbone]"]
    changes += ["clicks.gradient=every", "model.width=16", "model.mask_channels=[4,4,8,16]"]
    config = apply_overrides(tiny.CONFIG, changes)
    model, (state, frozen, batch, last) = make_model(config.model), inputs(config)
    begin = lambda f, b: training.begin(config, b) | training.fixed_features(model, f, b)  # noqa: E731
    assert backbone(operations(begin, frozen, batch)) > 0
    given = batch | jax.eval_shape(begin, frozen, batch)
    click = mapped(training.make_click_step(config, first=False))
    assert backbone(operations(click, state, frozen, one_device(given), last)) == 0

    trained = apply_overrides(config, ["model.frozen=[]"])
    assert (
        make_model(trained.model).apply({}, jnp.zeros((1, 64, 64, 3)), method="encode_fixed")
        is None
    )


def backbone(counted: Any) -> int:
    return sum(number for name, number in counted.items() if "backbone" in name)


class Encoder(ClickModel):
    """Its encoder is frozen, and computed once a step."""

    config: Model
    axis_name: str | None = None

    @property
    def image_size(self):
        return self.config.image_size

    @property
    def encodes_alike(self):
        return True

    def setup(self):
        self.backbone = nn.Conv(4, (4, 4), 4, padding="VALID")
        self.head = nn.Conv(1, (1, 1))

    def encode_fixed(self, image):
        return self.backbone(image)

    def encode_image(self, image, fixed=None):
        return self.backbone(image) if fixed is None else fixed

    def predict(self, features, prev_mask, clicks, *, group=1):
        shape = (*prev_mask.shape, 1)
        maps = disks(clicks, prev_mask.shape[1:], 5)
        return jax.image.resize(self.head(nn.relu(features)), shape, "linear")[..., 0] + (
            prev_mask - 0.5 + 4 * (maps[..., 0] - maps[..., 1])
        )


class Anew(Encoder):
    """The same, computed at every click."""

    def encode_fixed(self, image):
        return None


def test_what_is_computed_once_a_step_changes_no_step(monkeypatch):
    config = dataclasses.replace(
        tiny.SMALL, clicks=Clicks(iterations=(0.0, 0.0, 1.0), gradient="every")
    )
    found = []
    for network, backend, count in ((Anew, "shard_map", 1), (Encoder, "pmap", 2)):
        monkeypatch.setattr(registry, "Refiner", network)
        with tiny.quick_compilation():
            values = tiny.small_variables()
            devices = DataParallel(backend, 4, jax.devices()[:count])
            state, frozen = tiny.start(devices, config, values)
            step, batch = training.ClickStep(config, devices), devices.shard(tiny.batch())
            for k in range(2):
                state, metrics, shown = step(state, frozen, batch, k)
        assert int(state.step) == 2
        assert float(metrics["finite"]) == 1
        found.append(jax.tree.map(np.asarray, (state.params, metrics, shown["prob"])))
    close = lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)  # noqa: E731
    jax.tree.map(close, *found)
