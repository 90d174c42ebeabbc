"""The same bits again: what a run must ask for before jax touches a device."""

import os

# Excludes kernels that add in any order, and tuning by the clock, which may choose other kernels.
FLAGS = ("--xla_gpu_deterministic_ops=true", "--xla_gpu_autotune_level=0")


def compute_deterministically() -> None:
    """A GPU computes the same bits whenever the same program runs on the same inputs.

    CPUs and TPUs do so anyway. To be called before the first computation: XLA reads its flags once.
    """
    given = os.environ.get("XLA_FLAGS", "").split()
    os.environ["XLA_FLAGS"] = " ".join([*given, *(flag for flag in FLAGS if flag not in given)])
