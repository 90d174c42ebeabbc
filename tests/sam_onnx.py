"""Graphs with the inputs and outputs of a SAM exported to ONNX, small enough for tests.

The embedding is the mean colour of every 16 x 16 pixels; the mask is bright where that is, and
around positive clicks, and dark around negative ones.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value, dtype=np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, kind: str, *inputs: str, name: str = "", **attributes) -> str:
        name = name or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def reshaped(self, x: str, shape) -> str:
        return self.node("Reshape", x, self.constant(shape, np.int64))

    def scaled(self, x: str, factor: float) -> str:
        return self.node("Mul", x, self.constant(factor))

    def repeated(self, x: str, side: int, times: int) -> str:
        """[1, 1, side, side] with every place `times` x `times`."""
        shape = self.constant([side, times, side, times], np.int64)
        x = self.node("Expand", self.reshaped(x, [side, 1, side, 1]), shape)
        return self.reshaped(x, [1, 1, side * times, side * times])

    def save(self, path: Path, inputs: dict, output: str, shape) -> None:
        named = lambda name, shape: helper.make_tensor_value_info(  # noqa: E731
            name, TensorProto.FLOAT, shape
        )
        made = helper.make_graph(
            self.nodes, "sam", [named(*each) for each in inputs.items()], [named(output, shape)],
            self.constants,
        )  # fmt: skip
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())


def save_encoder(path: Path) -> None:
    graph = _Graph()
    graph.node("AveragePool", "x", name="output", kernel_shape=[16, 16], strides=[16, 16])
    graph.save(path, {"x": [1, 3, SIDE, SIDE]}, "output", [1, 3, SIDE // 16, SIDE // 16])


def save_decoder(path: Path) -> None:
    graph = _Graph()
    y, x = np.mgrid[:SIDE, :SIDE]
    points = graph.reshaped("point_coords", [-1, 1, 1, 2])
    away = graph.node("Sub", graph.constant(np.stack([x, y], -1)[None]), points)
    axis = graph.constant([3], np.int64)
    distance = graph.node("ReduceSum", graph.node("Mul", away, away), axis, keepdims=0)
    near = graph.node("Less", distance, graph.constant(53.3))
    near = graph.node("Cast", near, to=TensorProto.FLOAT)
    label = graph.reshaped("point_labels", [-1, 1, 1])
    square = graph.scaled(graph.node("Mul", label, label), 8.75)  # 6.3 at 1, -5.6 at 0, 0 at -1
    weight = graph.node("Add", square, graph.scaled(label, 3.15))
    weight = graph.node("Add", weight, graph.constant(-5.6))
    first = graph.constant([0], np.int64)
    clicked = graph.node("ReduceSum", graph.node("Mul", near, weight), first, keepdims=0)
    colour = graph.node("ReduceMean", "image_embeddings", axes=[1], keepdims=1)
    bright = graph.scaled(graph.repeated(colour, SIDE // 16, 16), 2.3)
    before = graph.node("Mul", "mask_input", "has_mask_input")
    before = graph.scaled(graph.repeated(before, SIDE // 4, 4), 0.21)
    clicked = graph.reshaped(clicked, [1, 1, SIDE, SIDE])
    graph.node("Add", graph.node("Add", clicked, bright), before, name="masks")
    inputs = {
        "image_embeddings": [1, 3, SIDE // 16, SIDE // 16],
        "point_coords": [1, "n", 2],
        "point_labels": [1, "n"],
        "mask_input": [1, 1, SIDE // 4, SIDE // 4],
        "has_mask_input": [1],
        "orig_im_size": [2],
    }
    graph.save(path, inputs, "masks", [1, 1, SIDE, SIDE])
