"""Every test runs on four fake CPU devices, with shapes in signatures checked."""

import os

import jax
from jaxtyping import install_import_hook

import tests.signatures

jax.config.update("jax_num_cpu_devices", 4)
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # compiled programs outlive a test run
    cache = os.path.join(os.path.dirname(__file__), "..", ".jax_cache")
    jax.config.update("jax_compilation_cache_dir", os.path.abspath(cache))

# Signatures of these rooms are checked at every call: a wrong shape or type is named.
rooms = [f"rsisrefiner_jax.{room}" for room in ("interaction", "models", "training")]
install_import_hook(rooms, f"{tests.signatures.__name__}.check")
