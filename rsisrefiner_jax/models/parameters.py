"""Parameter counts: frozen, trainable, unused (spec: the reference's tables)."""

from typing import Any

from rsisrefiner_jax.config import Model
from rsisrefiner_jax.weights import count, split


def parameter_counts(config: Model, params: Any, unused_in_source: int = 0) -> dict[str, int]:
    """{"frozen", "trainable", "unused", "total"} of the whole network's parameter tree.

    unused_in_source: parameters of the backbone's own checkpoint that no layer reads (class
    token, final norm, classifier); they are not in `params`. With the released decoder the dense
    fusion counts as unused too, since its output is dropped.
    """
    frozen, trainable = (count(tree) for tree in split(params, config.frozen))
    drops = config.network == "refiner" and config.decoder == "released"
    dropped = count(params["decoder"]["dense_fusion"]) if drops else 0
    counts = {
        "frozen": frozen,
        "trainable": trainable - dropped,
        "unused": unused_in_source + dropped,
    }
    return counts | {"total": sum(counts.values())}


def describe(counts: dict[str, int]) -> str:
    """One line for people."""
    return "parameters: " + ", ".join(f"{name} {n:,}" for name, n in counts.items())
