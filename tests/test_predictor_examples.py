"""The examples of predictors, also where torch and onnxruntime are not installed."""

import sys
from types import SimpleNamespace

import jax
import numpy as np
import onnx.reference
import pytest

from rsisrefiner_jax.evaluation.external import (
    LoadedPredictor,
    evaluate_predictor,
    load_predictor,
)
from rsisrefiner_jax.evaluation.plan import target_of
from rsisrefiner_jax.interaction.clicks import Click, Clicks
from rsisrefiner_jax.models.registry import init_variables, make_model
from rsisrefiner_jax.models.sam.network import ask, best
from rsisrefiner_jax.ops.resize import resize_half_pixel
from tests import fakes, plain_session, sam_onnx, tiny
from tests.external_fakes import SIDE, FakeSession, scenes, without_torch
from tests.test_external import SHORT, plain_loop, plain_zoomed_loop
from tests.test_sam import MODEL

TORCH = "examples.predictors.torch_network"
ONNX = "examples.predictors.onnx_sam"


def evaluated(loaded, data, protocol=SHORT):
    with tiny.quick_compilation():
        run = evaluate_predictor(loaded, data, protocol, batch_size=5, progress=False)
    return run.results


def check(results, expected):
    """expected: (clicks, IoUs) of every object."""
    for result, (clicks, ious) in zip(results, expected, strict=True):
        assert result.clicks == clicks
        np.testing.assert_allclose(result.ious, ious, atol=1e-6)
    assert any(len(result.clicks) > 2 for result in results)


@pytest.fixture
def import_anew():
    """What a stand-in is imported into does not stay."""
    yield
    for name in (TORCH, ONNX):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("import_anew")
def test_the_torch_example_without_torch(monkeypatch):
    without_torch(monkeypatch)
    options = ["network=tests.external_fakes:NumpyNetwork", f"side={SIDE}"]
    data = scenes(6)
    results = evaluated(load_predictor(f"{TORCH}:factory", options), data)
    check(results, [plain_zoomed_loop(s.image, target_of(s, s.objects[0]), SHORT) for s in data])


def test_a_torch_network_as_a_plain_loop(tmp_path):
    torch = pytest.importorskip("torch")
    from tests.torch_networks import Small

    made = Small()
    torch.nn.init.constant_(made.colours.bias, -5.2)
    torch.save({"state_dict": made.state_dict()}, tmp_path / "net.pth")
    options = [
        "network=tests.torch_networks:Small", f"weights={tmp_path / 'net.pth'}", f"side={SIDE}",
    ]  # fmt: skip
    loaded = load_predictor(f"{TORCH}:factory", options)
    assert loaded.about["parameters"] == 37
    assert loaded.about["weights"].startswith("crc32:")

    def network(x, yx, label):
        points = np.concatenate([yx, np.arange(yx.shape[1])[None, :, None].repeat(len(x), 0)], -1)
        signs = [np.where(label[..., None] == sign, points, -1) for sign in (1, 0)]
        image = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        with torch.no_grad():
            answer = made(image, torch.from_numpy(np.float32(np.concatenate(signs, 1))))
        return answer["instances"][:, 0].numpy()

    data = scenes(20)
    traces = [
        plain_session.simulate(network, s.image, target_of(s, s.objects[0]), SHORT, SIDE)
        for s in data
    ]
    check(evaluated(loaded, data), [(trace.clicks, trace.ious) for trace in traces])


class Reference:
    """onnx's own interpreter of graphs, called as onnxruntime is."""

    def __init__(self, path, options, providers):
        self._graph = onnx.reference.ReferenceEvaluator(path)

    def get_inputs(self):
        return [SimpleNamespace(name=name) for name in self._graph.input_names]

    def get_outputs(self):
        return [SimpleNamespace(name=name) for name in self._graph.output_names]

    def run(self, outputs, feeds):
        return self._graph.run(outputs, feeds)


@pytest.mark.usefixtures("import_anew")
@pytest.mark.parametrize("runtime", ["reference", "onnxruntime"])
def test_an_onnx_sam_as_a_plain_loop(tmp_path, monkeypatch, runtime):
    if runtime == "reference":
        stand_in = SimpleNamespace(
            SessionOptions=SimpleNamespace, InferenceSession=Reference, __version__="none"
        )
        monkeypatch.setitem(sys.modules, "onnxruntime", stand_in)
    else:
        pytest.importorskip("onnxruntime")
    sam_onnx.save_encoder(tmp_path / "encoder.onnx")
    sam_onnx.save_decoder(tmp_path / "decoder.onnx")
    options = [f"{part}={tmp_path}/{part}.onnx" for part in ("encoder", "decoder")]
    loaded = load_predictor(f"{ONNX}:factory", [*options, f"side={SIDE}", "threads=1"])
    assert loaded.zoom_in_size is None
    graphs = [
        onnx.reference.ReferenceEvaluator(str(tmp_path / f"{part}.onnx"))
        for part in ("encoder", "decoder")
    ]

    def probability(image, clicks, prev_mask):
        """The two graphs asked without the example's code."""
        pixels = image - np.array([123.675, 116.28, 103.53])
        pixels = np.float32(pixels / np.array([58.395, 57.12, 57.375])).transpose(2, 0, 1)
        [embedding] = graphs[0].run(None, {"x": pixels[None]})
        mean = prev_mask.reshape(16, 4, 16, 4).mean((1, 3)).clip(1 / (1 + np.exp(10)))
        mean = mean.clip(None, 1 - 1 / (1 + np.exp(10)))
        feeds = {
            "image_embeddings": embedding,
            "point_coords": np.float32([[(c.x, c.y) for c in clicks] + [(0, 0)]]),
            "point_labels": np.float32([[c.positive for c in clicks] + [-1]]),
            "mask_input": np.float32(np.log(mean / (1 - mean)))[None, None],
            "has_mask_input": np.float32([len(clicks) > 1]),
            "orig_im_size": np.float32([64, 64]),
        }
        [masks] = graphs[1].run(None, feeds)
        return 1 / (1 + np.exp(-masks[0, 0]))

    data = scenes(20, sizes=[(64, 64)])
    expected = [plain_loop(s.image, target_of(s, s.objects[0]), SHORT, probability) for s in data]
    check(evaluated(loaded, data), expected)


def flax_sam():
    """A SAM with random weights, and its encoder and decoder called as ONNX graphs."""
    model = make_model(MODEL)
    variables = init_variables(MODEL, jax.random.key(0))

    @jax.jit
    def encode(x):
        embed = lambda module, x: module.backbone(x).embedding  # noqa: E731
        return model.apply(variables, x, method=embed)

    @jax.jit
    def decode(embedding, points, labels, prev_mask):
        def answer(module):
            clicks = Clicks(points[..., ::-1], labels)
            asked = ask(module.prompt_encoder, module.mask_decoder, embedding, prev_mask, clicks)
            mask = asked.masks[..., best(asked, clicks)[0]][..., None]
            return resize_half_pixel(mask, (SIDE, SIDE))[..., 0]

        return model.apply(variables, method=answer)

    def decoded(*, image_embeddings, point_coords, point_labels, mask_input, has_mask_input, **_):
        n = point_labels.shape[1] - 1  # all but the padding
        points, labels = np.full((1, 8, 2), -1, np.float32), np.full((1, 8), -1, np.int32)
        points[:, :n], labels[:, :n] = point_coords[:, :n], point_labels[:, :n]
        probs = 1 / (1 + np.exp(-mask_input[:, 0].repeat(4, 1).repeat(4, 2)))
        probs = probs * has_mask_input
        embedding = image_embeddings.transpose(0, 2, 3, 1)
        return {"masks": np.asarray(decode(embedding, points, labels, probs))[None]}

    def encoded(x):
        return {"output": np.asarray(encode(x.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)}

    prompts = ["point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size"]
    return (
        (model, variables),
        FakeSession(encoded, ["x"], ["output"]),
        FakeSession(decoded, ["image_embeddings", *prompts], ["iou_predictions", "masks"]),
    )


@pytest.mark.slow
@pytest.mark.usefixtures("import_anew")
def test_the_onnx_example_asks_as_the_sam_of_this_package():
    from examples.predictors.onnx_sam import OnnxSam

    with tiny.quick_compilation():
        (model, variables), encoder, decoder = flax_sam()
        found = LoadedPredictor("onnx", {}, OnnxSam(encoder, decoder, SIDE), None, {})
        data = scenes(20, sizes=[(64, 64)])
        results = evaluated(found, data)
        ours = fakes.evaluate(
            model, variables, data, found.in_force(SHORT), devices=jax.devices()[:1],
            progress=False,
        ).results  # fmt: skip
    check(results, [(result.clicks, result.ious) for result in ours])
    assert len({result.ious for result in results}) > 5


def test_the_onnx_example_scales_and_pads():
    """A picture of 20 x 40 pixels is 32 x 64 of the 64 x 64 that SAM sees."""
    from examples.predictors.onnx_sam import OnnxSam

    given = {}

    def encode(x):
        given["x"] = x
        return {"output": np.zeros((1, 2, 4, 4), np.float32)}

    def decode(**feeds):
        given.update(feeds)
        return {"masks": np.zeros((1, 1, 20, 40), np.float32)}

    prompts = ["point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size"]
    sam = OnnxSam(
        FakeSession(encode, ["x"], ["output"]),
        FakeSession(decode, ["image_embeddings", *prompts], ["masks"]),
        SIDE,
    )
    sam.set_image(np.full((20, 40, 3), 255, np.uint8))
    prev_mask = np.zeros((20, 40), np.float32)
    prev_mask[:, 20:] = 1
    answer = sam.predict([Click(5, 30, True), Click(10, 0, False)], prev_mask)
    np.testing.assert_array_equal(answer, np.full((20, 40), 0.5, np.float32))
    assert given["x"].shape == (1, 3, 64, 64)
    assert given["x"][0, :, :32].min() > 2
    assert not given["x"][0, :, 32:].any()
    np.testing.assert_allclose(given["point_coords"], [[(48, 8), (0, 16), (0, 0)]])
    assert given["point_labels"].tolist() == [[1, 0, -1]]
    assert given["has_mask_input"].tolist() == [1]
    assert given["orig_im_size"].tolist() == [20, 40]
    mask = given["mask_input"][0, 0]
    assert mask.shape == (16, 16)
    np.testing.assert_allclose([mask[3, 12], mask[3, 3], mask[12, 12]], [10, -10, -10], rtol=1e-5)
