"""The precision of float32 matrix products, which accelerators lower unless told otherwise."""

import jax

# By platform: what `jax.default_matmul_precision` comes to.
MEANING = {
    "cpu": {"default": "float32", "high": "float32", "highest": "float32"},
    "gpu": {"default": "TF32 on recent cards", "high": "TF32", "highest": "float32"},
    "tpu": {"default": "bfloat16", "high": "three products in bfloat16", "highest": "float32"},
}


def precision_here() -> str | None:
    """What `jax.default_matmul_precision` says at this point of a trace; None: nothing.

    For gradients that are spelled out: they are traced when the context has been left.
    """
    return jax.config.jax_default_matmul_precision  # type: ignore[attr-defined, no-any-return]


def describe_precision(dtype: str, precision: str, platform: str) -> str:
    """One line for people: what is computed in which format on a platform."""
    if dtype != "float32":
        return f"computes in {dtype}, parameters float32"
    meaning = MEANING.get(platform, {}).get(precision, "as the platform has it")
    return f"computes in float32, matrix products with precision {precision} ({meaning})"
