"""Intervals from drawing objects anew."""

import numpy as np
import pytest
from scipy import stats

from rsisrefiner_jax.evaluation.bootstrap import bootstrap_interval, paired_bootstrap


def test_interval_of_many_values_is_the_normal_one():
    values = np.random.default_rng(3).normal(5, 2, 500)
    found = bootstrap_interval(values)
    low, high = stats.norm.interval(0.95, values.mean(), values.std() / 500**0.5)
    assert found["mean"] == pytest.approx(values.mean())
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.02)
    assert bootstrap_interval(values) == found


def test_all_draws_of_three_values():
    # The mean of 3 draws from (0, 0, 3) is Binomial(3, 1/3): 0 and 3 have 8/27 and 1/27.
    assert bootstrap_interval([0, 0, 3]) == {"mean": 1, "low": 0, "high": 3}


def test_what_both_find_hard_cancels():
    rng = np.random.default_rng(0)
    a = rng.integers(1, 21, 100)
    b = a - (rng.random(100) < 0.3)
    found = paired_bootstrap(a, b)
    assert found["beyond_noise"]
    assert -0.5 < found["low"] < found["mean"] < found["high"] < -0.1
    alone = [bootstrap_interval(x) for x in (a, b)]
    assert alone[1]["high"] > alone[0]["low"]  # seen apart, they overlap
    assert not paired_bootstrap(a, a)["beyond_noise"]
