"""Typed configuration: files, `--set`, JSON."""

import dataclasses
import json
from pathlib import Path

import pytest

from rsisrefiner_jax.config import (
    Clicks,
    Config,
    Data,
    Model,
    Train,
    apply_overrides,
    from_json,
    load,
    to_json,
)
from rsisrefiner_jax.errors import UserError

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.py"))
BASE = str(CONFIGS[0].with_name("base.py"))


def flat(node, prefix="") -> dict:
    """{"optim.lr": 5e-5, ...}"""
    items = {}
    for field in dataclasses.fields(node):
        value, name = getattr(node, field.name), prefix + field.name
        items |= flat(value, f"{name}.") if dataclasses.is_dataclass(value) else {name: value}
    return items


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_loads_and_survives_json(path):
    config = load(str(path))
    assert config.name == path.stem
    assert from_json(to_json(config)) == config
    changed = load(str(path), ["optim.lr=0.25", "seed=7"])
    assert (changed.optim.lr, changed.seed) == (0.25, 7)
    assert from_json(to_json(changed)) == changed != config


def test_base_is_the_paper():
    config = load(BASE)
    model, clicks, optim, train = config.model, config.clicks, config.optim, config.train
    assert (model.image_size, model.patch_size) == (448, 16)
    assert (model.width, model.depth, model.heads, model.adapter_heads) == (768, 12, 12, 8)
    assert (model.decoder, model.early_fusion, model.theta) == ("paper", "gated", "learnable")
    assert (model.modulation, model.first_pass, model.click_radius) == ("improved", "double", 5)
    assert set(model.frozen) == {"backbone", "patch_embed_coords", "neck"}
    assert (train.batch_size, train.epochs, train.samples_per_epoch) == (16, 60, 30_000)
    assert (train.steps_per_epoch, train.steps) == (1875, 112_500)
    assert (optim.lr, optim.milestones, optim.decay) == (5e-5, (10, 50), 0.1)
    assert (optim.betas, optim.eps, optim.weight_decay) == ((0.9, 0.999), 1e-8, 0)
    assert (optim.warmup_steps, optim.clip_norm) == (0, None)
    assert (clicks.max_clicks, clicks.iterations) == (24, (1.0, 0.8, 0.64))
    assert (config.loss.alpha, config.loss.gamma) == (0.5, 2.0)
    assert config.data.train == ("isaid:train", "potsdam:train")
    assert (model.r_max, model.r_min) == (100, 10)


@pytest.mark.parametrize(
    ("item", "field", "value"),
    [
        ("optim.lr=1e-4", "optim.lr", 1e-4),
        ("optim.lr=1", "optim.lr", 1.0),
        ("optim.clip_norm=none", "optim.clip_norm", None),
        ("optim.clip_norm=2", "optim.clip_norm", 2.0),
        ("optim.milestones=[4]", "optim.milestones", (4,)),
        ("optim.betas=(0.8,0.9)", "optim.betas", (0.8, 0.9)),
        ("model.theta=0.5", "model.theta", 0.5),
        ("model.theta=learnable", "model.theta", "learnable"),
        ("model.f_vit=False", "model.f_vit", False),
        ("model.frozen=[backbone]", "model.frozen", ("backbone",)),
        ("model.frozen=[]", "model.frozen", ()),
        ("model.backbone_weights=a=b.npz", "model.backbone_weights", "a=b.npz"),
        ("name=2024", "name", "2024"),
        ("eval.limit=none", "eval.limit", None),
        ("train.init_from=none", "train.init_from", None),
        ("protocol.max_clicks=10", "protocol.max_clicks", 10),
        ("data.bands=[3,2,1]", "data.bands", (3, 2, 1)),
        ("data.bands=[]", "data.bands", ()),
        ("data.stretch=[0,99.5]", "data.stretch", (0.0, 99.5)),
        ("data.stretch_8bit=True", "data.stretch_8bit", True),
        ("data.stretch_8bit=none", "data.stretch_8bit", None),
        ("data.train=[synthetic]", "data.train", ("synthetic",)),
        (
            "data.train=[coco:dir,a.json,classes:i,m,class=2,isaid:train]",
            "data.train",
            ("coco:dir,a.json", "classes:i,m,class=2", "isaid:train"),
        ),
        (
            "data.train=[classes:i,m,class=2,ignore=0,geo:r.tif,v.gpkg,class=kind,synthetic]",
            "data.train",
            ("classes:i,m,class=2,ignore=0", "geo:r.tif,v.gpkg,class=kind", "synthetic"),
        ),
        ('data.train=["coco:dir,a.json","potsdam"]', "data.train", ("coco:dir,a.json", "potsdam")),
    ],
)
def test_set(item, field, value):
    changed, default = (flat(c) for c in (apply_overrides(Config(), [item]), Config()))
    assert changed[field] == value
    assert type(changed[field]) is type(value)
    assert {name for name in changed if changed[name] != default[name]} <= {field}


@pytest.mark.parametrize(
    ("item", "parts"),
    [
        ("optim.lrr=1", ["optim.lrr=1", "no field 'lrr'", "did you mean 'lr'?"]),
        ("modle.width=8", ["no field 'modle'", "did you mean 'model'?"]),
        ("seed.x=1", ["no field 'x'"]),
        ("optim=1", ["'optim' is a group", "lr"]),
        ("optim.lr", ["expected field=value"]),
        ("optim.lr=fast", ["optim.lr=fast", "'fast' is not float"]),
        ("train.epochs=1.5", ["'1.5' is not int"]),
        ("model.f_vit=1", ["'1' is not bool"]),
        ("optim.betas=[0.9]", ["'[0.9]' is not tuple[float, float]"]),
        ("model.decoder=papr", ["not one of paper, released", "did you mean 'paper'?"]),
        ("parallel.backend=pjit", ["not one of auto, pmap, shard_map"]),
        ("model.theta=learned", ["'learned' is not"]),
        ("model.image_size=100", ["model.image_size=100", "multiple of 32"]),
        ("model.heads=5", ["model.width=768", "model.heads"]),
        ("model.early_blocks=[2,13]", ["model.early_blocks", "1..12"]),
        ("model.frozen=[decoder]", ["model.frozen", "backbone, patch_embed_coords, neck"]),
        ("data.bands=[red]", ["data.bands", "not tuple[int, ...]"]),
        ("data.weights=[1.0]", ["data.weights has 1 entries for 2"]),
        ("clicks.iterations=[]", ["clicks.iterations"]),
        ("train.batch_size=0", ["train.batch_size=0 must be at least 1"]),
        ("train.checkpoint_every=0", ["train.checkpoint_every=0"]),
        ("train.epochs=-1", ["train.epochs=-1 must not be negative"]),
    ],
)
def test_set_explains_what_does_not_fit(item, parts):
    with pytest.raises(UserError) as error:
        apply_overrides(Config(), [item])
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


def test_fields_that_only_fit_together_change_together():
    items = ["model.heads=5", "model.width=100", "model.adapter_heads=10"]
    for order in (items, items[::-1]):
        model = apply_overrides(Config(), order).model
        assert (model.width, model.heads, model.adapter_heads) == (100, 5, 10)
    data = apply_overrides(Config(), ["data.weights=[0.5,0.3,0.2]", "data.train=[a,b,c]"]).data
    assert (data.train, data.weights) == (("a", "b", "c"), (0.5, 0.3, 0.2))


def test_the_last_set_counts():
    assert apply_overrides(Config(), ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: Model(image_size=100),
        lambda: Model(width=100),
        lambda: Model(early_blocks=(0, 1)),
        lambda: Model(frozen=("neck", "fusion")),
        lambda: Data(weights=(1.0,)),
        lambda: Clicks(max_clicks=3),
        lambda: Train(keep=0),
    ],
)
def test_a_config_file_is_checked_too(make):
    with pytest.raises(UserError, match=r"(model|data|clicks|train)\."):
        make()


def test_files_without_a_config(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.py: no such file"):
        load(str(tmp_path / "nowhere.py"))
    path = tmp_path / "empty.py"
    path.write_text("config = {'seed': 1}\n")
    with pytest.raises(UserError, match=r"must define `config = Config"):
        load(str(path))


def test_stored_json_of_another_version():
    stored = json.loads(to_json(Config()))
    del stored["eval"]  # older: the default is taken
    for name in ("bands", "stretch", "stretch_8bit"):
        del stored["data"][name]
    assert from_json(json.dumps(stored)) == Config()
    stored["model"]["widht"] = 3
    with pytest.raises(UserError, match=r"config\.model: unknown field 'widht'"):
        from_json(json.dumps(stored))
    with pytest.raises(UserError, match=r"config\.seed: 'x' is not int"):
        from_json('{"seed": "x"}')


def test_an_epoch_has_at_least_one_step():
    train = Train(batch_size=16, samples_per_epoch=5, epochs=3)
    assert (train.steps_per_epoch, train.steps) == (1, 3)


def test_the_order_of_channels_moves_to_the_model():
    """Checkpoints of earlier versions have it in their protocol."""
    values = json.loads(to_json(Config()))
    del values["model"]["channel_order"]
    assert from_json(json.dumps(values)) == Config()
    values["protocol"]["channel_order"] = "bgr"
    assert from_json(json.dumps(values)).model.channel_order == "bgr"


def test_a_patch_size_that_does_not_fit_is_a_sentence():
    with pytest.raises(UserError, match=r"model\.patch_size=14: .* must have 16 pixels"):
        Model(patch_size=14)
    with pytest.raises(UserError, match=r"model\.image_size=100 is not a multiple of 32"):
        Model(image_size=100)
