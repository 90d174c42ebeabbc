"""Parameter counts: frozen, trainable, unused (spec: the reference's tables)."""

from typing import Any

import jax.numpy as jnp
from flax import traverse_util

from rsisrefiner_jax.config import Model
from rsisrefiner_jax.weights import count, split


def parameter_counts(config: Model, params: Any, unused_in_source: int = 0) -> dict[str, int]:
    """{"frozen", "trainable", "unused", "total"} of the whole network's parameter tree.

    unused_in_source: parameters of the backbone's own checkpoint that no layer reads (class
    token, final norm, classifier); they are not in `params`. What the configuration switches off
    counts as unused too.
    """
    frozen, trainable = (count(tree) for tree in split(params, config.frozen))
    off = switched_off(config, params)
    counts = {
        "frozen": frozen,
        "trainable": trainable - off,
        "unused": unused_in_source + off,
    }
    return counts | {"total": sum(counts.values())}


def switched_off(config: Model, params: Any) -> int:
    """How many parameters no answer depends on, by the ablations and the decoder's kind.

    They are in the tree, so that one checkpoint serves every ablation, and get no gradient.
    """
    if config.network != "refiner" or config.backbone != "vit":
        return 0
    parts = []
    if not config.f_hq:  # early fusion leads to F_HQ alone
        parts += [params["extractor"], params["fusion"], params["gate"]]
    else:
        if config.early_fusion != "gated":
            parts.append(params["gate"])
        if config.theta != "learnable":
            parts.append({"theta": params["fusion"]["theta"]})
    number = sum(count(part) for part in parts)
    if config.decoder == "released":  # the output of the dense fusion is dropped
        number += count(params["decoder"]["dense_fusion"])
    elif not config.f_vit:  # the half of its kernel that reads F_ViT
        number += params["decoder"]["dense_fusion"]["kernel"].size // 2
    return number


def as_stored(config: Model, frozen: Any) -> Any:
    """The frozen parameters as training holds them: kernels in `frozen_dtype`, the rest as it is.

    Layers convert kernels to the dtype of the computation before anything else, so that this comes
    early changes no result. Norms and position biases are computed with in float32.
    """
    if config.frozen_dtype == "float32":
        return frozen

    def stored(path: tuple[Any, ...], x: Any) -> Any:
        return x.astype(jnp.bfloat16) if path[-1] == "kernel" else x

    return traverse_util.path_aware_map(stored, frozen)


def describe(counts: dict[str, int]) -> str:
    """One line for people."""
    return "parameters: " + ", ".join(f"{name} {n:,}" for name, n in counts.items())
