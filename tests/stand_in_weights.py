"""Reproducible stand-in weights for the released networks, which no test can download.

Every tensor is drawn from its own generator, seeded by its key, at a scale that keeps activations
in a sane range. The golden numbers of the forward pass were made with these weights.
"""

import json
import math
import pathlib
import zlib

import numpy as np

GOLDENS = pathlib.Path(__file__).parent / "goldens"


def manifest(model: str) -> dict[str, tuple[int, ...]]:
    """{PyTorch key: shape}, in file order, of 'rsisrefiner', 'mfp' or 'simpleclick' (ViT-B)."""
    shapes = json.loads((GOLDENS / f"{model}_vitb_manifest.json").read_text())
    return {key: tuple(shape) for key, shape in shapes.items()}


def make_state_dict(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """Stand-in tensors in PyTorch layout."""
    return {key: tensor(key, shape, seed) for key, shape in shapes.items()}


def tensor(key: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """The stand-in for one key: a float32 normal draw, scaled and shifted in float32."""
    module, _, leaf = key.rpartition(".")
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    bits = np.random.PCG64(zlib.crc32(key.encode()) ^ seed)
    noise = np.random.Generator(bits).standard_normal(shape, dtype=np.float32)
    if leaf == "running_var":
        return np.float32(0.5) + np.abs(noise)
    mean, scale = _mean_and_scale(module, leaf, shape)
    noise *= np.float32(scale)
    return noise + np.float32(mean) if mean else noise


def _mean_and_scale(module: str, leaf: str, shape: tuple[int, ...]) -> tuple[float, float]:
    named = {
        "running_mean": (0, 0.05),
        "mask_token": (0, 0.02),
        "cls_token": (0, 0.02),
        "pos_embed": (0, 0.1),
        "theta": (0.5, 0.1),
    }
    if leaf in named:
        return named[leaf]
    if len(shape) == 1 and module.endswith("offset_conv"):
        return 0, 1
    if len(shape) == 1:
        return (1, 0.05) if leaf == "weight" else (0, 0.02)
    return 0, _gain(module, leaf, len(shape)) / math.sqrt(math.prod(shape[1:]))  # fan-in


def _gain(module: str, leaf: str, axes: int) -> float:
    if leaf == "in_proj_weight" or module.endswith(".qkv"):
        return math.sqrt(2)
    if module.endswith("offset_conv"):
        return 1.5
    if module.endswith("kernel_mlp.2"):
        return 0.05
    if module.endswith("conv_seg"):
        return 0.7
    return math.sqrt(2) if axes == 4 else 1
