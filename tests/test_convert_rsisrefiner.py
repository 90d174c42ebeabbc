"""Converting the whole network: every parameter has its place, and a checkpoint comes out."""

import os
import sys

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from convert_weights import rules
from convert_weights.__main__ import main
from convert_weights.convert import convert, model_of, rules_of
from convert_weights.source import Source
from rsisrefiner_jax.checkpoint.runs import load_weights
from rsisrefiner_jax.errors import UserError, run_main
from rsisrefiner_jax.models.registry import abstract_variables
from rsisrefiner_jax.weights import count
from tests import torch_zip
from tests.stand_in_weights import manifest

# Parameters of the reference by module (its section of measured counts).
GOLDEN_COUNTS = {
    "backbone": 85_054_464 + 590_592 + 602_880,
    "neck": 9_475_008,
    "patch_embed_coords": 787_200,
    "gate": 1_180_416,
    "extractor": 2_235_702,
    "fusion": 6_204_864,
    "prev_mask": 1_958_336,
    # token, dense fusion, layers, final token, transposed convolutions, dynamic convolution
    "decoder": 768 + 1_180_416 + 23_631_360 + 2_733_120 + 1_475_136 + 370_753,
    "multi_scale": 517_056,
    "batch_stats": 5_640 - 8,  # without the eight counters
}
SMALL = rules.Sizes(width=192, depth=3, grid=4, fpn_channels=(8, 16, 32, 64))


def full_size_source():
    """Shapes of the released checkpoint, without the memory."""
    dtype = {True: np.int64, False: np.float32}
    zeros = {
        key: np.broadcast_to(np.zeros((), dtype[key.endswith("num_batches_tracked")]), shape)
        for key, shape in manifest("rsisrefiner").items()
    }
    return Source("rsisrefiner.pth", "", 0, zeros)


def small_network(kind="rsisrefiner"):
    """(PyTorch state dict, the same as {our path: array}) of a network with width 192."""
    variables = abstract_variables(model_of(kind, SMALL, 64))
    shapes = flatten_dict(variables["params"], sep="/") | {
        f"batch_stats/{k}": v for k, v in flatten_dict(variables["batch_stats"], sep="/").items()
    }
    table, rng = rules_of(kind, SMALL, "backbone."), np.random.default_rng(0)
    ours = {path: rng.normal(size=s.shape).astype(np.float32) for path, s in shapes.items()}
    theirs = {
        key: rule.undo(array)
        for path, array in ours.items()
        for rule in table
        if (key := rules.rename(path, rule.target, rule.source))
    }
    return theirs, ours


def test_full_size_counts_are_the_reference_counts():
    result = convert(full_size_source(), "rsisrefiner", 448)
    counts = dict.fromkeys(GOLDEN_COUNTS, 0)
    for path, array in result.arrays.items():
        counts[path.split("/")[0]] += array.size
    assert counts == GOLDEN_COUNTS
    assert sum(result.unused.values()) == 771_304
    parameters = sum(counts.values()) - counts["batch_stats"] + 771_304
    assert parameters == 138_769_375
    assert len(result.left_over) == 8


def test_a_damaged_network_is_described_at_once():
    source = full_size_source()
    del source.tensors["click_refiner.decoder_layers.1.norm4.bias"]
    del source.tensors["click_refiner.cross_feat.up_path.4.running_var"]
    source.tensors["gatefusion.gate.0.weight"] = np.zeros((768, 768), np.float32)
    with pytest.raises(UserError) as error:
        convert(source, "rsisrefiner", 448)
    message = str(error.value)
    assert "2 missing" in message
    assert "click_refiner.decoder_layers.1.norm4.bias" in message
    assert "click_refiner.cross_feat.up_path.4.running_var" in message
    assert "gatefusion.gate.0.weight is float32 (768, 768)" in message


def test_a_checkpoint_directory_comes_out_and_nothing_else(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    theirs, ours = small_network()
    theirs["backbone.cls_token"] = np.ones((1, 1, 192), np.float32)
    torch_zip.save("net.pth", {"state_dict": theirs, "config": {"class": "isegm.Net"}})
    arguments = ["convert_weights", "net.pth", "out", "--image-size", "64"]
    monkeypatch.setattr(sys, "argv", arguments)
    run_main(main)
    assert sorted(os.listdir()) == ["net.pth", "out"]
    weights = load_weights("out")
    back = flatten_dict(weights.params, sep="/") | {
        f"batch_stats/{k}": v for k, v in flatten_dict(weights.batch_stats, sep="/").items()
    }
    assert back.keys() == ours.keys()
    jax.tree.map(np.testing.assert_array_equal, back, ours)
    model = weights.config.model
    assert (model.width, model.depth, model.heads, model.image_size) == (192, 3, 3, 64)
    assert model.fpn_channels == (8, 16, 32, 64)
    assert model.decoder == "released"
    assert (weights.meta["kind"], weights.meta["unused"]) == ("rsisrefiner", 192)
    record = weights.meta["certificate"]
    assert (record["round_trip"], record["adapted"], record["parity"]) == ("exact", [], None)
    assert count(weights.params) == sum(a.size for k, a in ours.items() if "batch_stats" not in k)

    with pytest.raises(SystemExit) as stop:  # a second run must not mix two checkpoints
        run_main(main)
    assert stop.value.code == 2
    assert "exists already" in capsys.readouterr().err
