"""Writes graphs as `torch.onnx` does, without torch, so that tests can make any .onnx they need.

Only what names the weights is there: nodes, their paths and what they read. Nothing could run them.
"""

import re
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Containers of MobileSAM that are modules themselves and so have a place of their own in a path.
SEQUENTIAL = ("seq", "neck", "mask_downscaling", "output_upscaling")


class Graph:
    """The nodes and the initializers of a graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, path: str, *inputs: str, **attributes: int) -> None:
        """A node such as `/layers.0/mlp/fc1/MatMul_1`; its last part, unnumbered, is its kind."""
        kind = re.sub(r"_\d+$", "", path.split("/")[-1])
        outputs = [f"{path}_output_0"]
        self.nodes.append(helper.make_node(kind, inputs, outputs, path, **attributes))

    def kept(self, name: str, array: np.ndarray) -> str:
        """A weight that the graph holds under `name`."""
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def renamed(self, kind: str, array: np.ndarray) -> str:
        """A weight whose name the exporter made up, after the node that reads it."""
        return self.kept(f"onnx::{kind}_{2000 + len(self.initializers)}", array)

    def constant(self, path: str, array: np.ndarray) -> str:
        """A value that was computed in advance."""
        output, tensor = f"{path}_output_0", numpy_helper.from_array(np.asarray(array))
        self.nodes.append(helper.make_node("Constant", [], [output], path, value=tensor))
        return output

    def identity(self, name: str, other: str) -> None:
        """A weight that is the same as another one, which alone is stored."""
        self.nodes.append(helper.make_node("Identity", [other], [name], f"Identity_{name}"))

    def save(self, path: str | Path) -> None:
        value = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "main_graph", [value], [value], self.initializers)
        Path(path).write_bytes(helper.make_model(graph).SerializeToString())


def save_encoder(path: str | Path, weights: dict[str, np.ndarray]) -> None:
    """MobileSAM's image encoder; `weights` have the names of the published safetensors."""
    graph = Graph()
    for key, array in weights.items():
        module, kind = key.rsplit(".", 1)
        scope = _scope(module)
        if kind == "attention_bias":
            constant = graph.constant(f"{scope}/Constant_5", array)
            graph.node(f"{scope}/Add", f"{scope}/Mul_output_0", constant)
        elif module.startswith("neck.") and array.ndim == 4:
            graph.node(f"{scope}/Conv", "x", graph.kept(key, array))
        elif module.startswith("neck."):
            _norm(graph, scope, kind, array)
        elif array.ndim == 4:  # its BatchNorm is in it
            bias = weights[f"{module}.bias"]
            names = graph.renamed("Conv", array), graph.renamed("Conv", bias)
            graph.node(f"{scope}/c/Conv", "x", *names)
        elif array.ndim == 2:
            graph.node(f"{scope}/MatMul", "x", graph.renamed("MatMul", array.T))
        elif f"{module}.weight" not in weights or weights[f"{module}.weight"].ndim < 4:
            graph.node(f"{scope}/Add_1", graph.kept(key, array), "x")
    graph.save(path)


def save_decoder(path: str | Path, weights: dict[str, np.ndarray]) -> None:
    """The prompt encoder and the mask decoder, as SAM's `export_onnx_model.py` writes them."""
    graph = Graph()
    for key, array in weights.items():
        module, kind = key.rsplit(".", 1)
        part, _, inner = module.partition(".")
        scope, name = _scope(inner), f"model.{key}" if part == "prompt_encoder" else key
        if inner in ("mask_downscaling.1", "mask_downscaling.4", "output_upscaling.1"):
            _norm(graph, scope, kind, array)
        elif key == "mask_decoder.tokens":
            graph.node("/Expand_1", graph.renamed("Expand", array[None]), "/Where_output_0")
        elif inner == "no_mask_embed":
            embedding = graph.renamed("Mul", array.reshape(1, -1, 1, 1))
            graph.node("/Mul_9", "/Sub_1_output_0", embedding)
        elif inner.startswith("transformer.") and array.ndim == 2:
            graph.node(f"{scope}/MatMul", "x", graph.renamed("MatMul", array.T))
        elif array.ndim == 2 and "layers." in inner:
            graph.node(f"{scope}/Gemm", "x", graph.kept(name, array), transB=1)
        else:
            graph.node(f"{scope}/Add", "x", graph.kept(name, array))
    places = graph.constant("/pe_layer/Constant", np.ones((64, 64, 2), np.float32))
    graph.node("/pe_layer/MatMul", places, "model.prompt_encoder.pe_layer.matrix")
    scores = graph.constant("/Constant_76", np.float32([[1000, 0, 0, 0]]))
    graph.node("/Mul_12", "/Sub_2_output_0", scores)
    graph.save(path)


def _norm(graph: Graph, scope: str, kind: str, array: np.ndarray) -> None:
    """One parameter of a LayerNorm over the channels of [b, c, h, w], in single steps."""
    node = "Mul" if kind == "weight" else "Add_1"
    name = graph.renamed(node[:3], array[:, None, None])
    graph.node(f"{scope}/{node}", *((name, "x") if kind == "weight" else ("x", name)))


def _scope(module: str) -> str:
    """`neck.1` -> `/neck/neck.1`, `layers.0.mlp` -> `/layers.0/mlp`."""
    parts: list[str] = []
    for part in module.split("."):
        if not part.isdigit():
            parts.append(part)
        elif parts[-1] in SEQUENTIAL:
            parts.append(f"{parts[-1]}.{part}")
        else:
            parts[-1] += f".{part}"
    return "/" + "/".join(parts)
