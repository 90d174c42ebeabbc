"""How precisely things are computed, and what precision float32 matrix products have where."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

# By platform: what `jax.default_matmul_precision` comes to.
MEANING = {
    "cpu": {"default": "float32", "high": "float32", "highest": "float32"},
    "gpu": {"default": "TF32 on recent cards", "high": "TF32", "highest": "float32"},
    "tpu": {"default": "bfloat16", "high": "three products in bfloat16", "highest": "float32"},
}


def wide(x: Array) -> Array:
    """x as float32, or as it is where it is wider: for sums and positions."""
    return x.astype(wide_dtype(x))


def wide_dtype(x: Array) -> DTypeLike:
    """The dtype of `wide`."""
    return jnp.promote_types(x.dtype, jnp.float32)


def widest_float() -> np.dtype:
    """float64 under `jax_enable_x64`, else float32."""
    return jax.dtypes.canonicalize_dtype(np.float64)


def precision_here() -> str | None:
    """What `jax.default_matmul_precision` says at this point of a trace; None: nothing.

    For gradients that are spelled out: they are traced when the context has been left.
    """
    return jax.config.jax_default_matmul_precision  # type: ignore[attr-defined, no-any-return]


def describe_precision(dtype: str, precision: str, platform: str) -> str:
    """One line for people: what is computed in which format on a platform."""
    parameters = widest_float().name
    if dtype != "float32" or parameters != "float32":
        computed = parameters if dtype == "float32" else dtype
        return f"computes in {computed}, parameters {parameters}"
    meaning = MEANING.get(platform, {}).get(precision, "as the platform has it")
    return f"computes in float32, matrix products with precision {precision} ({meaning})"
