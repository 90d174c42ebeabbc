"""Every test runs on four fake CPU devices, with strict rank promotion."""

import os

import jax

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # compiled programs outlive a test run
    cache = os.path.join(os.path.dirname(__file__), "..", ".jax_cache")
    jax.config.update("jax_compilation_cache_dir", os.path.abspath(cache))
