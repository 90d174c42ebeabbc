"""MobileSAM from its three kinds of files, which must come to the same weights."""

import itertools
import sys

import numpy as np
import onnx
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import save_file

from convert_weights import mobilesam
from convert_weights.__main__ import read_back
from convert_weights.convert import model_of
from convert_weights.onnx_file import read_onnx
from convert_weights.rules import Sizes, rename
from convert_weights.source import read_source
from rsisrefiner_jax.checkpoint.runs import load_weights
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.models.registry import abstract_variables
from rsisrefiner_jax.weights import load_npz
from tests import torch_onnx, torch_zip

DECODER = ("mask_decoder.", "prompt_encoder.")
BIAS = ".attention_bias"


@pytest.fixture(scope="module")
def network():
    """({our path: array}, {name in the published safetensors: array}), random."""
    variables = abstract_variables(model_of("mobilesam", Sizes(), 64))
    shapes = flatten_dict(variables["params"], sep="/")
    rng = np.random.default_rng(0)
    ours = {path: rng.standard_normal(s.shape, np.float32) for path, s in shapes.items()}
    table = mobilesam.rules()
    theirs = {}
    for path in ours:
        names = [(rename(path, rule.target, rule.source), rule) for rule in table]
        [(name, rule)] = [(name, rule) for name, rule in names if name]
        if name.endswith(BIAS):  # equal where the offset is
            heads, pairs, _ = ours[path].shape
            ours[path] = rng.standard_normal((heads, pairs), np.float32)[:, offsets(pairs)]
        theirs[name] = np.ascontiguousarray(rule.undo(ours[path]))
    return ours, theirs


def offsets(pairs):
    """TinyViT's own numbering of the offsets between the places of a window."""
    side, numbers, table = round(pairs**0.5), {}, []
    points = list(itertools.product(range(side), range(side)))
    for p1 in points:
        for p2 in points:
            offset = (abs(p1[0] - p2[0]), abs(p1[1] - p2[1]))
            table.append(numbers.setdefault(offset, len(numbers)))
    return np.reshape(table, (pairs, pairs))


def parts(weights):
    """(the encoder's, the others)."""
    decoder = {key: w for key, w in weights.items() if key.startswith(DECODER)}
    return {key: w for key, w in weights.items() if key not in decoder}, decoder


def save(kind, weights):
    """The network as one of its three kinds of files; returns their names."""
    encoder, decoder = parts(weights)
    if kind == "safetensors":
        save_file(encoder, "encoder.safetensors")
        save_file(decoder, "decoder.safetensors")
        return ["encoder.safetensors", "decoder.safetensors"]
    if kind == "onnx":
        torch_onnx.save_encoder("encoder.onnx", encoder)
        torch_onnx.save_decoder("sam.onnx", decoder)
        return ["encoder.onnx", "sam.onnx"]
    torch_zip.save("mobile_sam.pt", authors(encoder) | decoder_of_authors(decoder))
    return ["mobile_sam.pt"]


def authors(encoder):
    """The encoder with BatchNorms that are not folded and a bias for every offset."""
    rng, out = np.random.default_rng(1), {}
    for key, array in encoder.items():
        module, kind = key.rsplit(".", 1)
        bias = encoder.get(f"{module}.bias")
        if kind == "attention_bias":
            pairs = array.shape[1]
            out[f"{key}es"] = array[:, 0, np.unique(offsets(pairs)[0], return_index=True)[1]]
        elif array.ndim == 4 and bias is not None:
            scale, mean, var = rng.uniform(0.5, 2, (3, len(bias)))
            factor = scale / np.sqrt(var + 1e-5)
            out[f"{module}.c.weight"] = array / factor[:, None, None, None]
            out[f"{module}.bn.weight"], out[f"{module}.bn.bias"] = scale, bias + mean * factor
            out[f"{module}.bn.running_mean"], out[f"{module}.bn.running_var"] = mean, var
        elif kind == "weight" or encoder[f"{module}.weight"].ndim < 4:
            out[key] = array
    for name, shape in {"norm_head": (320,), "head": (1000, 320)}.items():
        out[f"{name}.weight"], out[f"{name}.bias"] = np.ones(shape), np.ones(shape[:1])
    named = {f"image_encoder.{key}": array.astype(np.float32) for key, array in out.items()}
    counter = np.ones((), np.int64)
    return named | {"image_encoder.patch_embed.seq.0.bn.num_batches_tracked": counter}


def decoder_of_authors(decoder):
    """The decoder's tokens in two, and the embeddings of a box's corners."""
    out = dict(decoder)
    tokens = out.pop("mask_decoder.tokens")
    out["mask_decoder.iou_token.weight"] = tokens[:1]
    out["mask_decoder.mask_tokens.weight"] = tokens[1:]
    for i in (2, 3):
        out[f"prompt_encoder.point_embeddings.{i}.weight"] = np.ones((1, 256), np.float32)
    return out


def check(found, expected, rtol=0.0):
    assert set(found) == set(expected)
    for path, array in expected.items():
        np.testing.assert_allclose(found[path], array, rtol, atol=rtol, err_msg=path)


@pytest.mark.parametrize("kind", ["safetensors", "onnx", "pt"])
def test_every_kind_of_file_comes_to_the_same_weights(converter, network, kind):
    ours, theirs = network
    files = save(kind, theirs)
    assert converter(*files, "w.npz", "--certificate", "c.json") == (0, "")
    check(read_back("w.npz", False), ours, rtol=2e-6 if kind == "pt" else 0)
    _, meta = load_npz("w.npz")
    record = meta["certificate"]
    assert (meta["kind"], meta["source"]) == ("mobilesam", ", ".join(files))
    assert set(record["mapped"].values()) == set(ours)
    if kind == "onnx":
        assert record["left_over"] == ["pe_layer.MatMul.0", "Mul_12.1"]
        assert not record["adapted"]
    if kind == "pt":
        assert len(record["unused"]) == 6
        name = "layers.3.blocks.1.attn.attention_biases"
        assert record["mapped"][name] == "backbone/stage_3_block_1/attn/bias"
        assert {name, "patch_embed.seq.0.bn.running_var"} <= set(record["adapted"])


def test_a_directory_takes_the_whole_network(converter, network):
    ours, theirs = network
    files = save("safetensors", theirs)
    assert converter(*files, "sam", "--kind", "mobilesam") == (0, "")
    check(read_back("sam", True), ours)
    assert load_weights("sam").config.model.network == "sam"


def test_a_part_alone(converter, network):
    ours, theirs = network
    encoder, decoder = save("safetensors", theirs)
    code, error = converter(decoder, "sam")
    assert code == 2
    assert error.count("\n") == 1
    assert "only mask_decoder, prompt_encoder; a checkpoint directory needs the image" in error
    assert converter(encoder, "w.npz") == (0, "")
    check(read_back("w.npz", False), {k: w for k, w in ours.items() if k.startswith("backbone/")})


def test_a_tensor_in_two_files_is_refused(converter, network):
    encoder, _ = save("safetensors", network[1])
    save_file(dict(itertools.islice(read_source(encoder).tensors.items(), 1)), "more.safetensors")
    code, error = converter(encoder, "more.safetensors", "w.npz")
    assert code == 2
    assert "more.safetensors holds layers.0.blocks.0.conv1.bias, and so does a file" in error
    with pytest.raises(UserError, match=r"neck.0.weight is there twice"):
        mobilesam.canonical(dict.fromkeys(["neck.0.weight", "image_encoder.neck.0.weight"]))


def test_what_is_missing_is_named(converter, network):
    encoder = dict(parts(network[1])[0])
    del encoder["layers.0.blocks.1.conv2.bias"], encoder["neck.3.weight"]
    save_file(encoder, "encoder.safetensors")
    code, error = converter("encoder.safetensors", "w.npz")
    assert code == 2
    assert "2 missing (neck.3.weight, layers.0.blocks.1.conv2.bias)" in error


@pytest.mark.parametrize("side", [7, 14])
def test_offsets_are_numbered_as_in_tiny_vit(side):
    biases = np.arange(2 * side * side).reshape(2, side * side)
    [(key, bias)] = mobilesam.expand_attention_bias({"a.attention_biases": biases}).items()
    assert key == "a.attention_bias"
    np.testing.assert_array_equal(bias, biases[:, offsets(side * side)])


def test_a_folded_batch_norm_is_the_same_function():
    rng = np.random.default_rng(2)
    x, weight = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    scale, bias, mean, var = rng.uniform(0.5, 2, (4, 4))
    var *= 1e-3  # so small that epsilon counts
    expected = (x @ weight.T - mean) / np.sqrt(var + 1e-5) * scale + bias
    kinds = {"weight": scale, "bias": bias, "running_mean": mean, "running_var": var}
    tensors = {f"x.bn.{kind}": value for kind, value in kinds.items()}
    folded, taken = mobilesam.fold_batch_norms(tensors | {"x.c.weight": weight[:, :, None, None]})
    y = x @ folded["x.weight"][:, :, 0, 0].T + folded["x.bias"]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-4)
    assert set(folded) == {"x.weight", "x.bias"}
    assert set(taken) == {"x.c.weight", *tensors}


@pytest.mark.parametrize(
    "tensors",
    [
        {"a.attention_biases": np.ones((2, 48))},
        {"a.attention_biases": np.ones(49)},
        {"x.c.weight": np.ones((4, 3)), **{f"x.bn.{k}": np.ones(4) for k in ("weight", "bias")}},
        {f"mask_decoder.{k}.weight": np.ones(3) for k in ("iou_token", "mask_tokens")},
    ],
)
def test_what_is_not_understood_is_left_alone(tensors):
    kept, taken = mobilesam.canonical(tensors)
    assert len(kept) == len(tensors)
    assert not taken


def array(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


def test_names_are_made_from_the_nodes(tmp_path):
    graph, w = torch_onnx.Graph(), [array(4, 3, 1, 1), array(4), array(3, 5), array(6, 1, 1)]
    graph.node("/seq/seq.0/c/Conv", "x", graph.renamed("Conv", w[0]), graph.renamed("Conv", w[1]))
    graph.node("/a/a.2/a.2.0/ConvTranspose", "x", graph.renamed("ConvTranspose", w[0]))
    graph.node("/layers.0/fc/MatMul", "x", graph.renamed("MatMul", w[2]))
    graph.node("/layers.0/head/Gemm", "x", graph.renamed("Gemm", w[2]), transB=1)
    graph.node("/layers.0/back/Gemm", "x", graph.renamed("Gemm", w[2]))
    graph.node("/neck/neck.1/Mul", graph.renamed("Mul", w[3]), "x")
    graph.node("/neck/neck.1/Add_1", "x", graph.renamed("Add", w[3]))
    names = [graph.renamed("BatchNormalization", w[1] + i) for i in range(4)]
    graph.node("/bn/BatchNormalization", "x", *names)
    graph.node("/attn/Add_2", "x", graph.constant("/attn/Constant", array(2, 9, 9)))
    graph.node("/Expand", graph.renamed("Expand", array(1, 5, 8)), "x")
    graph.node("/act/Div", "x", graph.constant("/act/Constant", np.float32(1.4)))
    graph.node("/Reshape", "x", graph.constant("/Constant", np.int64([1, -1])))
    graph.node("/Sub", graph.kept("model.points.0.weight", w[2]), "x")
    graph.identity("norm.bias", graph.kept("norm.weight", w[1]))
    graph.save(tmp_path / "g.onnx")
    found = read_onnx(str(tmp_path / "g.onnx"))
    expected = {
        "seq.0.c.weight": w[0],
        "seq.0.c.bias": w[1],
        "a.2.0.weight": w[0],
        "layers.0.fc.weight": w[2].T,
        "layers.0.head.weight": w[2],
        "layers.0.back.weight": w[2].T,
        "neck.1.weight": w[3][:, 0, 0],
        "neck.1.bias": w[3][:, 0, 0],
        "bn.weight": w[1],
        "bn.bias": w[1] + 1,
        "bn.running_mean": w[1] + 2,
        "bn.running_var": w[1] + 3,
        "attn.Add_2.1": array(2, 9, 9),
        "Expand.0": array(1, 5, 8),
        "points.0.weight": w[2],
        "norm.weight": w[1],
        "norm.bias": w[1],
    }
    assert {key: w.shape for key, w in found.items()} == {k: w.shape for k, w in expected.items()}
    np.testing.assert_equal(found, expected)


def test_two_weights_of_one_name_keep_apart(tmp_path):
    graph = torch_onnx.Graph()
    for i in range(2):
        graph.node(f"/x/Conv_{i}", "x", graph.renamed("Conv", array(2, 2, 1, 1) + i))
    shared = graph.renamed("Conv", array(3, 3, 1, 1))
    for name in ("y", "z"):  # two layers that were equal
        graph.node(f"/{name}/Conv", "x", shared)
    graph.save(tmp_path / "g.onnx")
    found = read_onnx(str(tmp_path / "g.onnx"))
    assert sorted(found) == ["x.Conv_1.1", "x.weight", "y.weight", "z.weight"]


def test_a_bad_graph_is_one_sentence(converter, tmp_path):
    graph = torch_onnx.Graph()
    graph.node("/x/Conv", "x", graph.kept("x.weight", array(100)), graph.renamed("Conv", array(9)))
    graph.save("g.onnx")
    whole = (tmp_path / "g.onnx").read_bytes()
    (tmp_path / "text.onnx").write_bytes(whole.replace(b"/x/Conv", b"/x/\xffonv"))
    (tmp_path / "cut.onnx").write_bytes(whole[:200])
    graph.initializers[0].dims[0] = 200
    graph.save("short.onnx")
    graph.initializers[0].ClearField("raw_data")
    graph.initializers[0].data_location = onnx.TensorProto.EXTERNAL
    entry = graph.initializers[0].external_data.add()
    entry.key, entry.value = "location", "g.onnx"
    graph.save("elsewhere.onnx")
    torch_onnx.Graph().save("empty.onnx")
    for name, said in {
        "cut": "cut.onnx is truncated or damaged",
        "text": "text.onnx is truncated or damaged",
        "short": "short.onnx is truncated or damaged (",
        "elsewhere": "elsewhere.onnx keeps x.weight in another file, which is not read",
        "empty": "no state_dict",
        "g": "no network that is known here",
    }.items():
        code, error = converter(f"{name}.onnx", "w.npz")
        assert code == 2
        assert said in error
        assert error.count("\n") == 1


def test_without_onnx_the_way_out_is_named(converter, monkeypatch):
    torch_onnx.Graph().save("g.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    code, error = converter("g.onnx", "w.npz")
    assert code == 2
    assert "g.onnx: reading ONNX files needs onnx; run pip install -e .[onnx]" in error
