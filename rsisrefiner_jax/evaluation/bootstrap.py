"""How sure a mean over objects is: intervals from drawing the objects anew (Efron's bootstrap)."""

from collections.abc import Sequence

import numpy as np

LEVEL = 0.95
DRAWS = 10_000
AT_ONCE = 200  # draws, so that memory stays small


def bootstrap_interval(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """{"mean", "low", "high"}: the mean of one value for each object and its percentile interval.

    Objects are drawn with replacement, always by the same random numbers. Of the differences
    between two runs on the same objects it is the paired interval: what is hard for both cancels.
    """
    values = np.asarray(values, np.float64)
    rng, n = np.random.default_rng(0), len(values)
    draws = [values[rng.integers(0, n, (AT_ONCE, n))].mean(1) for _ in range(DRAWS // AT_ONCE)]
    outside = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(np.concatenate(draws), [outside, 100 - outside])
    return {"mean": float(values.mean()), "low": float(low), "high": float(high)}


def paired_bootstrap(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray
) -> dict[str, float | bool]:
    """b - a over the same objects in the same order: {"mean", "low", "high", "beyond_noise"}.

    beyond_noise: whether the interval leaves zero out.
    """
    found = bootstrap_interval(np.asarray(b, np.float64) - np.asarray(a, np.float64))
    return {**found, "beyond_noise": found["low"] > 0 or found["high"] < 0}
