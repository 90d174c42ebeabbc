"""Changes that are more than a renaming, made on PyTorch-layout tensors before the table.

Each leaves alone what it does not understand, so that the strict check names it afterwards.
"""

import re

import numpy as np

from rsisrefiner_jax.weights import resize_pos_embed

Tensors = dict[str, np.ndarray]


def fold_layer_scale(tensors: Tensors) -> tuple[Tensors, dict[str, str]]:
    """Multiplies DINOv2's `ls1.gamma`, `ls2.gamma` into the layer before each of them.

    gamma * (W x + b) = (gamma W) x + gamma b, so the network stays the same function.
    Returns the other tensors and {gamma's key: key of the weight that took it in}.
    """
    out, folded = dict(tensors), {}
    for key, gamma in tensors.items():
        if not (match := re.fullmatch(r"((?:.*\.)?blocks\.[0-9]+\.)ls([12])\.gamma", key)):
            continue
        layer = match[1] + ("attn.proj" if match[2] == "1" else "mlp.fc2")
        weight, bias = (tensors.get(f"{layer}.{kind}") for kind in ("weight", "bias"))
        if weight is None or bias is None or not gamma.shape == bias.shape == weight.shape[:1]:
            continue
        g = gamma.astype(np.float32)
        out[f"{layer}.weight"], out[f"{layer}.bias"] = weight * g[:, None], bias * g
        folded[key] = f"{layer}.weight"
        del out[key]
    return out, folded


def fit_pos_embed(pos: np.ndarray, grid: int) -> np.ndarray:
    """pos [1, n or 1+n, e] -> float32 [1, 1+grid*grid, e]; a missing class entry becomes zero."""
    if pos.ndim != 3:
        return pos
    tokens, pos = pos.shape[1], pos.astype(np.float32)
    if _is_square(tokens) and not _is_square(tokens - 1):
        pos = np.concatenate([np.zeros_like(pos[:, :1]), pos], axis=1)
    elif not _is_square(tokens - 1):
        return pos
    return resize_pos_embed(pos, grid)


def add_modulated_channel(weight: np.ndarray) -> np.ndarray:
    """SimpleClick's aux embedding [e, 3, p, p] -> [e, 4, p, p].

    Its channels are [previous map, positive, negative clicks]; ours have the modulated previous
    map second. Zero weights there make the network the same function as SimpleClick's.
    """
    return np.insert(weight, 1, 0, axis=1) if weight.ndim == 4 else weight


def _is_square(n: int) -> bool:
    return n > 0 and round(n**0.5) ** 2 == n
