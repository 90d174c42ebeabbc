"""Reads the weights in a graph that `torch.onnx` exported, under their PyTorch names.

A parameter that the graph takes as it is keeps its name. One that was transposed, folded or
computed in advance is called `onnx::Conv_123` or is a Constant; its name is then made from the node
that reads it, whose path lists the modules around it: the second input of `/seq/seq.0/c/Conv` is
`seq.0.c.weight`. Where the kind of node does not say which parameter an input is, the name ends in
the node's own and the input's number: input 1 of `/attn/Add_2` is `attn.Add_2.1`.
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from rsisrefiner_jax.errors import UserError, require

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto

KEPT = re.compile(r"[A-Za-z_]\w*(\.\w+)*")  # the names of parameters that kept them
AFFINE = ("", "weight", "bias")
INPUTS = {  # which parameters of its module a node reads, input by input
    "Conv": AFFINE,
    "ConvTranspose": AFFINE,
    "Gemm": AFFINE,
    "MatMul": ("", "weight"),
    "LayerNormalization": AFFINE,
    "InstanceNormalization": AFFINE,
    "BatchNormalization": (*AFFINE, "running_mean", "running_var"),
    "Mul": ("weight", "weight"),  # of a norm or a linear layer in single steps
    "Add": ("bias", "bias"),
}


def read_onnx(path: str) -> dict[str, np.ndarray]:
    """{PyTorch name: array as PyTorch has it}, with the constants that are not single numbers.

    Raises:
        UserError: onnx is not installed; the file is damaged or keeps its weights elsewhere.
        OSError: it cannot be read.
    """
    try:
        import onnx
    except ImportError as error:
        raise UserError(
            f"{path}: reading ONNX files needs onnx; run pip install -e .[onnx]"
        ) from error
    try:
        graph = onnx.load(path, format="protobuf", load_external_data=False).graph
        return _weights(graph.node, _arrays(path, graph))
    except (UserError, OSError):
        raise
    except Exception as error:  # a damaged graph can fail in any way
        raise UserError(f"{path} is truncated or damaged ({error}); fetch it again") from error


def _arrays(path: str, graph: "GraphProto") -> dict[str, np.ndarray]:
    """Every initializer and constant, under the name by which nodes read it."""
    from onnx import TensorProto, numpy_helper

    stored = {tensor.name: tensor for tensor in graph.initializer} | dict(_constants(graph))
    out = {}
    for name, tensor in stored.items():
        require(
            tensor.data_location != TensorProto.EXTERNAL,
            f"{path} keeps {name} in another file, which is not read; save it as one file with "
            "onnx.save",
        )
        out[name] = numpy_helper.to_array(tensor)
    for node in graph.node:
        if node.op_type == "Identity":  # of a parameter that is equal to another one
            pairs = zip(node.output, node.input, strict=False)
            out |= {name: out[other] for name, other in pairs if other in out}
    return out


def _constants(graph: "GraphProto") -> Iterator[tuple[str, "TensorProto"]]:
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    yield from ((name, attribute.t) for name in node.output)


def _weights(nodes: Iterable["NodeProto"], arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`arrays` under their PyTorch names."""
    out = {
        name.removeprefix("model."): array for name, array in arrays.items() if KEPT.fullmatch(name)
    }
    for node in nodes:
        for i, name in enumerate(node.input):
            array = arrays.get(name)
            if array is None or KEPT.fullmatch(name) or node.op_type == "Identity":
                continue
            if array.ndim and array.dtype.kind in "fV":  # V: bfloat16; integers are shapes
                key, value = parameter(node, i, array)
                if key in out and not np.array_equal(out[key], value):
                    key, value = ".".join([*_modules(node), _own_name(node, i)]), array
                out[key] = value
    return out


def parameter(node: "NodeProto", i: int, array: np.ndarray) -> tuple[str, np.ndarray]:
    """The PyTorch name of input `i` of `node`, and `array`, read there, as PyTorch has it."""
    kinds = INPUTS.get(node.op_type, ())
    kind = kinds[i] if i < len(kinds) else ""
    if node.op_type in ("Mul", "Add"):
        if array.size == len(array):  # [c] or [c, 1, 1]
            array = array.reshape(-1)
        else:
            kind = ""
    if node.op_type in ("MatMul", "Gemm") and kind == "weight":
        if array.ndim != 2:
            kind = ""
        elif not _transposed(node):
            array = array.T
    return ".".join([*_modules(node), kind or _own_name(node, i)]), array


def _modules(node: "NodeProto") -> list[str]:
    """The modules around a node; a container is dropped whose child repeats it: seq, seq.0."""
    path = node.name.strip("/").split("/")
    return [name for name, inner in itertools.pairwise(path) if not inner.startswith(f"{name}.")]


def _own_name(node: "NodeProto", i: int) -> str:
    return f"{node.name.split('/')[-1]}.{i}"


def _transposed(node: "NodeProto") -> bool:
    """Whether a Gemm transposes its second factor, which is then as `nn.Linear` has it."""
    return any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
