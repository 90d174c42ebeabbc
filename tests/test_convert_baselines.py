"""MFP's and SimpleClick's whole checkpoints: a network that is evaluated comes out."""

import json

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from convert_weights.convert import convert
from convert_weights.rules import Sizes
from rsisrefiner_jax.checkpoint.loading import load_model
from rsisrefiner_jax.checkpoint.runs import load_weights
from rsisrefiner_jax.evaluation.evaluate import evaluate
from rsisrefiner_jax.weights import count, load_npz
from tests import fakes, tiny, torch_zip
from tests.test_convert import fake_source
from tests.test_convert_rsisrefiner import small_network

KINDS = ["mfp", "simpleclick"]
UNUSED_HEAD = {"head.up_conv1.0.bias": np.ones(3, np.float32)}


def small_file(kind):
    """(state dict, {our path: array}) of a small whole network."""
    theirs, ours = small_network(kind)
    counter = {"head.refine_fusion.0.norm1.num_batches_tracked": np.array(7)}
    return theirs | UNUSED_HEAD | (counter if kind == "mfp" else {}), ours


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_checkpoint_is_converted_and_evaluated(converter, tmp_path, kind):
    theirs, ours = small_file(kind)
    torch_zip.save("net.pth", {"state_dict": theirs, "config": {"class": "isegm.Net"}})
    code, error = converter("net.pth", "out", "--image-size", "64", "--certificate", "c.json")
    assert (code, error) == (0, "")
    weights = load_weights("out")
    back = flatten_dict(weights.params | {"batch_stats": weights.batch_stats}, sep="/")
    assert back.keys() == ours.keys()
    jax.tree.map(np.testing.assert_array_equal, back, ours)
    model = weights.config.model
    assert (model.network, model.width, model.heads, model.frozen) == (kind, 192, 3, ())
    assert model.channel_order == "rgb"
    record = json.loads((tmp_path / "c.json").read_text())
    assert (record["kind"], record["round_trip"], record["adapted"]) == (kind, "exact", [])
    assert record["unused"] == ["head.up_conv1.0.bias"]
    assert record["tensors"]["left_over"] == (kind == "mfp")

    loaded = load_model("out")
    assert loaded.parameters["total"] == count(weights.params) + 3
    scenes = [fakes.scene("a", [(10, 30, 10, 50)], h=70, w=90)]
    with tiny.quick_compilation():
        run = evaluate(
            loaded.model,
            loaded.variables,
            scenes,
            fakes.SHORT,
            devices=jax.devices()[:1],
            progress=False,
        )
    assert len(run.results) == 1
    assert np.isfinite(run.results[0].ious).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_backbone_alone_is_still_a_file(converter, kind):
    torch_zip.save("net.pth", small_file(kind)[0])
    assert converter("net.pth", "w.npz", "--image-size", "64") == (0, "")
    tree, meta = load_npz("w.npz")
    assert set(tree) == {"backbone", "patch_embed_coords", "neck"}
    assert tree["patch_embed_coords"]["kernel"].shape == (16, 16, 4, 192)
    assert any(key.startswith("head.") for key in meta["certificate"]["left_over"])


@pytest.mark.parametrize(("kind", "unused"), [("mfp", 956_776), ("simpleclick", 956_776)])
def test_every_published_key_has_a_place(kind, unused):
    result = convert(fake_source(kind), kind, 448, whole=True)
    assert sum(result.unused.values()) == unused
    parameters = {k: a.size for k, a in result.arrays.items() if not k.startswith("batch_stats/")}
    total = {"mfp": 98_659_753, "simpleclick": 98_025_513}[kind]
    assert sum(parameters.values()) + unused == total
    assert len(result.left_over) == {"mfp": 6, "simpleclick": 0}[kind]
    assert result.sizes == Sizes()


@pytest.mark.parametrize(
    ("holds", "asked", "said"),
    [
        ("mfp", "simpleclick", "holds MFP and not SimpleClick; use --kind mfp"),
        ("simpleclick", "mfp", "holds SimpleClick and not MFP; use --kind simpleclick"),
        ("rsisrefiner", "mfp", "holds RS-ISRefiner and not MFP; use --kind rsisrefiner"),
    ],
)
def test_a_wrong_kind_is_named(converter, holds, asked, said):
    torch_zip.save("net.pth", small_network(holds)[0])
    code, error = converter("net.pth", "out", "--image-size", "64", "--kind", asked)
    assert code == 2
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("feature_extractor.conv1.weight", "RITM"),
        ("image_encoder.blocks.0.norm1.weight", "Segment Anything on a ViT"),
        ("image_encoder.trunk.pos_embed", "Segment Anything 2"),
    ],
)
def test_a_network_that_has_no_place_here_is_named(converter, key, name):
    torch_zip.save("net.pth", {"model": {key: np.ones(3, np.float32)}})
    code, error = converter("net.pth", "out")
    assert code == 2
    assert name in error
    assert "MFP, SimpleClick" in error


def test_a_missing_tensor_of_the_head_is_named(converter, tmp_path):
    theirs, _ = small_file("mfp")
    del theirs["head.conv_prevMod.2.norm2.running_var"]
    torch_zip.save("net.pth", theirs)
    code, error = converter("net.pth", "out", "--image-size", "64")
    assert code == 2
    assert "1 missing (head.conv_prevMod.2.norm2.running_var)" in error
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]
