"""`python -m convert_weights`: kinds, strictness, and what it writes."""

import json
import re
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from convert_weights import adapt, rules
from convert_weights.__main__ import read_back
from convert_weights.certificate import state_dict_checksum
from convert_weights.convert import convert
from convert_weights.source import Source
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.weights import load_npz
from tests import full_size, torch_zip
from tests.stand_in_weights import make_state_dict, manifest, tensor

# ViT-B's numbers -> those of a ViT with width 32 on a 4 x 4 grid (64 px).
SMALL = {768: 32, 2304: 96, 3072: 128, 1536: 64, 384: 16, 192: 8, 785: 17}


def small_state_dict(model):
    """The frozen part of `model` with width 32, two blocks and a 4 x 4 grid, and its head."""
    shapes = {}
    for key, shape in manifest(model).items():
        if key.startswith("head."):
            shapes[key] = shape
        elif not re.match(r"backbone\.blocks\.([2-9]|1\d)", key):
            shapes[key] = tuple(SMALL.get(n, n) for n in shape)
    return make_state_dict(shapes)


def small_vit(width=32, tokens=17):
    """A DINOv2-shaped ViT: layer scale, mask token, final norm."""
    shapes = {
        "cls_token": (1, 1, width),
        "mask_token": (1, width),
        "pos_embed": (1, tokens, width),
        "patch_embed.proj.weight": (width, 3, 16, 16),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    for i in range(2):
        for name, shape in {
            "norm1": (width,),
            "norm2": (width,),
            "attn.qkv": (3 * width, width),
            "attn.proj": (width, width),
            "mlp.fc1": (4 * width, width),
            "mlp.fc2": (width, 4 * width),
        }.items():
            shapes[f"blocks.{i}.{name}.weight"] = shape
            shapes[f"blocks.{i}.{name}.bias"] = shape[:1]
        shapes[f"blocks.{i}.ls1.gamma"] = shapes[f"blocks.{i}.ls2.gamma"] = (width,)
    return make_state_dict(shapes)


def test_mfp_writes_the_frozen_part_and_a_certificate(converter, tmp_path):
    weights = small_state_dict("mfp")
    torch_zip.save("mfp.pth", {"state_dict": weights, "config": {"class": "isegm.X"}})
    code, error = converter("mfp.pth", "out/w.npz", "--image-size", "64", "--certificate", "c.json")
    assert (code, error) == (0, "")
    tree, meta = load_npz("out/w.npz")
    assert set(tree) == {"backbone", "patch_embed_coords", "neck"}
    expected = {"kind": "mfp", "width": 32, "depth": 2, "patch_size": 16, "grid": 4, "heads": None}
    assert expected.items() <= meta.items()
    unused = 32 + 2 * 32 + 1000 * 32 + 1000  # class token, final norm, classifier
    assert meta["unused"] == unused
    record = json.loads((tmp_path / "c.json").read_text())
    assert record == meta["certificate"]
    assert record["tensors"] == {"mapped": 61, "unused": 5, "left_over": 80, "skipped": 0}
    assert record["parameters"]["unused"] == unused
    assert all(key.startswith("head.") for key in record["left_over"])
    assert record["source"]["bytes"] == (tmp_path / "mfp.pth").stat().st_size
    assert record["source"]["crc32"] == state_dict_checksum(weights)
    assert (record["round_trip"], record["adapted"]) == ("exact", [])
    assert record["parity"] is None
    assert "on record" in record["parity_note"]


def test_layouts_are_ours(converter):
    weights = small_state_dict("mfp")
    torch_zip.save("mfp.pth", weights)
    assert converter("mfp.pth", "w.npz", "--image-size", "64")[0] == 0
    tree, _ = load_npz("w.npz")
    w = weights["backbone.patch_embed.proj.weight"]
    kernel = tree["backbone"]["patch_embed"]["kernel"]
    assert kernel.shape == (16, 16, 3, 32)
    assert kernel[3, 5, 1, 7] == w[7, 1, 3, 5]
    w = weights["neck.down_4.3.weight"]  # transposed: [in, out, h, w]
    assert tree["neck"]["level_4"]["up_2"]["kernel"][1, 0, 4, 6] == w[4, 6, 1, 0]
    w = weights["backbone.blocks.1.mlp.fc1.weight"]
    assert tree["backbone"]["block_1"]["mlp"]["fc1"]["kernel"][2, 100] == w[100, 2]
    w = weights["neck.down_32.3.weight"]
    np.testing.assert_array_equal(tree["neck"]["level_32"]["norm_2"]["scale"], w)


def test_a_wrapped_data_parallel_file_is_the_same(converter, tmp_path):
    weights = small_state_dict("mfp")
    torch_zip.save("a.pth", weights)
    torch_zip.save("b.pth", {"model": {f"module.{key}": w for key, w in weights.items()}})
    for name in "ab":
        assert converter(f"{name}.pth", f"{name}.npz", "--image-size", "64")[0] == 0
    (a, _), (b, _) = load_npz("a.npz"), load_npz("b.npz")
    np.testing.assert_equal(a, b)


def test_simpleclick_gets_a_silent_modulated_channel(converter):
    weights = small_state_dict("simpleclick")
    torch_zip.save("sc.pth", weights)
    assert converter("sc.pth", "w.npz", "--image-size", "64")[0] == 0
    tree, meta = load_npz("w.npz")
    assert meta["kind"] == "simpleclick"
    assert meta["certificate"]["adapted"] == ["patch_embed_coords.proj.weight"]
    theirs = weights["patch_embed_coords.proj.weight"].transpose(2, 3, 1, 0)
    ours = tree["patch_embed_coords"]["kernel"]
    np.testing.assert_array_equal(ours[:, :, [0, 2, 3]], theirs)
    assert not ours[:, :, 1].any()
    torch_zip.save("mfp.pth", small_state_dict("mfp"))
    code, error = converter("mfp.pth", "x.npz", "--image-size", "64", "--kind", "simpleclick")
    assert code == 2
    assert "holds MFP and not SimpleClick" in error


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_vit_from_safetensors_folds_layer_scale(converter, dtype):
    weights = {key: w.astype(dtype) for key, w in small_vit().items()}
    save_file(weights, "vit.safetensors")
    assert converter("vit.safetensors", "w.npz", "--image-size", "64")[0] == 0
    tree, meta = load_npz("w.npz")
    assert set(tree) == {"backbone"}
    assert (meta["kind"], meta["unused"]) == ("vit", 4 * 32)
    one, gamma, w, b = (
        weights[f"blocks.1.{name}"].astype(np.float32)
        for name in ("mlp.fc1.weight", "ls2.gamma", "mlp.fc2.weight", "mlp.fc2.bias")
    )
    block = tree["backbone"]["block_1"]["mlp"]
    np.testing.assert_array_equal(block["fc1"]["kernel"], one.T)
    np.testing.assert_allclose(block["fc2"]["kernel"], (gamma[:, None] * w).T, rtol=1e-6)
    np.testing.assert_allclose(block["fc2"]["bias"], gamma * b, rtol=1e-6)
    record = meta["certificate"]
    assert record["mapped"]["blocks.1.ls2.gamma"] == "backbone/block_1/mlp/fc2/kernel"
    assert len(record["adapted"]) == 2 * 2 * 3  # gamma, weight and bias, twice a block
    assert {"blocks.1.ls2.gamma", "blocks.0.attn.proj.bias"} <= set(record["adapted"])


@pytest.mark.parametrize("tokens", [16, 17, 26])
def test_vit_position_embedding_fits_the_image(converter, tokens):
    weights = small_vit(tokens=tokens)
    torch_zip.save("vit.pth", weights)
    assert converter("vit.pth", "w.npz", "--image-size", "64")[0] == 0
    tree, meta = load_npz("w.npz")
    pos, theirs = tree["backbone"]["pos_embed"], weights["pos_embed"]
    assert ("pos_embed" in meta["certificate"]["adapted"]) == (tokens != 17)
    assert pos.shape == (1, 17, 32)
    if tokens == 16:  # no class entry
        assert not pos[:, 0].any()
        np.testing.assert_array_equal(pos[:, 1:], theirs)
    elif tokens == 17:
        np.testing.assert_array_equal(pos, theirs)
    else:  # 5 x 5, enlarged elsewhere
        np.testing.assert_array_equal(pos[:, 0], theirs[:, 0])
        assert abs(pos[0, 1:].mean() - theirs[0, 1:].mean()) < 0.02


@pytest.mark.parametrize(
    "damage", [lambda w: np.nextafter(w, np.inf), lambda w: w.T.copy(), lambda w: -0.0 * w]
)
def test_weights_that_come_back_otherwise_are_not_kept(converter, tmp_path, monkeypatch, damage):
    weights = small_state_dict("mfp")
    weights["backbone.blocks.1.attn.proj.weight"][:] = 0  # symmetric, but for its first number
    weights["backbone.blocks.1.attn.proj.weight"][0, 1] = 1
    path = "backbone/block_1/attn/proj/kernel"

    def damaged(file, kind):
        arrays = read_back(file, kind)
        return arrays | {path: damage(arrays[path])}

    monkeypatch.setattr("convert_weights.__main__.read_back", damaged)
    torch_zip.save("mfp.pth", weights)
    code, error = converter("mfp.pth", "w.npz", "--image-size", "64", "--certificate", "c.json")
    assert code == 2
    assert "backbone.blocks.1.attn.proj.weight of mfp.pth does not come back" in error
    assert [p.name for p in tmp_path.iterdir()] == ["mfp.pth"]


def test_every_mismatch_is_in_one_error_and_nothing_is_written(converter, tmp_path):
    weights = small_state_dict("mfp")
    del weights["backbone.blocks.1.attn.qkv.bias"]
    weights["neck.down_16.0.weight"] = weights["neck.down_16.0.weight"][:, :-1]
    weights["backbone.rope.freqs"] = np.zeros(3, np.float32)
    weights["backbone.blocks.0.norm1.weight"] = np.zeros(32, np.int64)
    torch_zip.save("bad.pth", weights)
    code, error = converter("bad.pth", "w.npz", "--image-size", "64", "--certificate", "c.json")
    assert code == 2
    assert error.count("\n") == 1
    assert "1 missing (backbone.blocks.1.attn.qkv.bias)" in error
    assert "1 without a rule (backbone.rope.freqs)" in error
    assert "neck.down_16.0.weight is float32 (512, 31, 1, 1)" in error
    assert "backbone.blocks.0.norm1.weight is int64 (32,)" in error
    assert [p.name for p in tmp_path.iterdir()] == ["bad.pth"]


@pytest.mark.parametrize("key", ["patch_embed.proj.weight", "pos_embed", "blocks.0.mlp.fc2.bias"])
def test_a_missing_key_is_named_as_in_the_source(converter, key):
    weights = small_vit()
    del weights[key]
    torch_zip.save("vit.pth", weights)
    code, error = converter("vit.pth", "w.npz", "--image-size", "64")
    assert code == 2
    assert f"({key})" in error or f"({key}, " in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.pth", "w.npz"), "none.pth cannot be read"),
        (("notes.txt", "w.npz"), "neither a PyTorch"),
        (("vit.pth", "notes.txt/w.npz"), "not a folder"),
        (("vit.pth", "folder"), "is a directory"),
        (("vit.pth", "vit.pth"), "is SOURCE"),
        (("vit.pth", "w.npz", "--certificate", "folder"), "is a directory"),
        (("vit.pth", "w.npz", "--certificate", "w.npz"), "name the same file"),
        (("vit.pth", "w.npz", "--image-size", "100"), "--image-size 100 is not a multiple of 16"),
        (("other.pth", "w.npz"), "no network that is known"),
        (("empty.pth", "w.npz"), "no state_dict"),
    ],
)
def test_bad_input_is_one_sentence(converter, tmp_path, arguments, said):
    (tmp_path / "notes.txt").write_text("not a checkpoint at all")
    (tmp_path / "folder").mkdir()
    torch_zip.save("vit.pth", small_vit())
    torch_zip.save("other.pth", {"encoder.weight": np.ones(3, np.float32)})
    torch_zip.save("empty.pth", {"epoch": 3})
    before = {p.name: p.stat().st_size for p in tmp_path.iterdir()}
    code, error = converter(*arguments)
    assert code == 2
    assert said in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert {p.name: p.stat().st_size for p in tmp_path.iterdir()} == before


def test_help_needs_no_jax():
    code = (
        "import runpy, sys; sys.argv = ['convert_weights', '--help']\n"
        "try: runpy.run_module('convert_weights', run_name='__main__')\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert not {'jax', 'flax', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--certificate" in done.stdout


@pytest.mark.parametrize("kind", ["mfp", "simpleclick", "rsisrefiner"])
def test_every_released_key_has_one_rule_and_comes_back(kind):
    table = rules.backbone(rules.Sizes()) + rules.patch_embed_coords(rules.Sizes())
    table += rules.neck(rules.Sizes()) + rules.adapter()
    left = []
    for key in manifest(kind):
        targets = [t for r in table if (t := rules.rename(key, r.source, r.target))]
        back = [s for r in table for t in targets if (s := rules.rename(t, r.target, r.source))]
        assert len(targets) <= 1, key
        assert back == [key][: len(targets)]
        left += [key] if not targets else []
    unused = {"cls_token", "fc_norm.weight", "fc_norm.bias", "head.weight", "head.bias"}
    theirs = {f"backbone.{name}" for name in unused}
    assert theirs <= set(left)
    others = [key for key in left if key not in theirs]
    pattern = r".*\.num_batches_tracked" if kind == "rsisrefiner" else r"head\..*"
    assert all(re.fullmatch(pattern, key) for key in others)
    assert len(others) == {"mfp": 80, "simpleclick": 28, "rsisrefiner": 8}[kind]


def test_mfp_full_size_counts():
    """Reference: 97,281,448 shared numbers, of which 771,304 are read by no layer."""
    result = convert(fake_source("mfp"), "mfp", 448)
    assert sum(array.size for array in result.arrays.values()) == 96_510_144
    assert sum(result.unused.values()) == 771_304
    assert len(result.mapped) + len(result.unused) == 186
    assert len(result.left_over) == 80


def test_a_gamma_that_fits_nothing_is_an_unknown_key():
    weights = {"blocks.0.ls1.gamma": np.ones(3), "blocks.0.attn.proj.weight": np.ones((4, 4))}
    kept, folded = adapt.fold_layer_scale(weights)
    assert "blocks.0.ls1.gamma" in kept
    assert not folded


def test_wrong_kind_is_refused_without_a_model():
    with pytest.raises(UserError, match="266 without a rule"):
        convert(fake_source("mfp"), "vit", 448)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "crc"), [("rsisrefiner", 413034269), ("mfp", 253390178)])
def test_stand_in_weights_are_those_of_the_goldens(model, crc):
    assert state_dict_checksum(full_size.state_dict(model)) == crc


def test_some_stand_in_tensors():
    """The first numbers of a few tensors of the state dict that the slow test checks whole."""
    first = {
        "mask_token": tensor("mask_token", (1, 768)).flat[0],
        "theta": tensor("click_refiner.cross_feat.theta", (1, 1, 768)).flat[0],
        "norm": tensor("backbone.fc_norm.weight", (768,)).flat[0],
        "qkv": tensor("backbone.blocks.0.attn.qkv.weight", (2304, 768)).flat[0],
    }
    golden = {"mask_token": -9.8036e-05, "theta": 0.561515, "norm": 0.9652861, "qkv": 0.0297114}
    assert first == pytest.approx(golden, rel=1e-5)


def fake_source(model):
    """Full-size shapes without the memory."""
    zeros = {
        key: np.broadcast_to(
            np.zeros((), np.int64 if key.endswith("tracked") else np.float32), shape
        )
        for key, shape in manifest(model).items()
    }
    return Source(f"{model}.pth", "", 0, zeros)
