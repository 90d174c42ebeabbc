"""Click-based interactive segmentation of remote-sensing images: RS-ISRefiner in JAX."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rsisrefiner_jax.predictor import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str):
    # Lazily, so that command lines answer --help without importing jax.
    if name == "Predictor":
        from rsisrefiner_jax.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
