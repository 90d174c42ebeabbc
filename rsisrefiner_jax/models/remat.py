"""Rematerialisation: what a gradient needs of a part of the network is computed again."""

from typing import Any

from flax import linen as nn


def recomputed(part: Any, on: bool, *static: int) -> Any:
    """The class `part` so that only its inputs are kept for a gradient; as it is unless `on`.

    Its parameters have the same names.

    static: places of `__call__`'s arguments that are no arrays, where `self` has place 0.
    """
    return nn.remat(part, static_argnums=static) if on else part
