"""Which differences are more than noise: a bootstrap over objects and training seeds at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

DRAWS = 10_000
AT_ONCE = 1_000  # draws, so that memory stays small
LEVEL = 0.95


def paired_difference(row: np.ndarray, reference: np.ndarray) -> dict[str, Any]:
    """row - reference, both [seeds, objects], the same objects and seeds in the same order.

    Seeds and objects are drawn with replacement, independently of each other and always by the
    same random numbers; what is hard for both rows cancels. A handful of seeds makes the interval
    rather too narrow, so that a difference counts only where every seed has its sign as well.

    Returns:
        {"mean", "low", "high", "outside_noise"}: the 95 % percentile interval, and whether it
        leaves zero out and all seeds agree.
    """
    each = np.asarray(row, np.float64) - reference
    seeds, objects = each.shape
    rng, means = np.random.default_rng(0), []
    for _ in range(DRAWS // AT_ONCE):
        weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), AT_ONCE) / seeds
        shares = rng.multinomial(objects, np.full(objects, 1 / objects), AT_ONCE) / objects
        means.append(((weights @ each) * shares).sum(1))
    tail = 100 * (1 - LEVEL) / 2
    low, high = (float(x) for x in np.percentile(np.concatenate(means), [tail, 100 - tail]))
    signs = np.sign(each.mean(1))
    beyond = (low > 0 or high < 0) and bool((signs == signs[0]).all())
    return {"mean": float(each.mean()), "low": low, "high": high, "outside_noise": beyond}


def sentence(differences: Sequence[tuple[str, dict[str, Any]]], reference: str, seeds: int) -> str:
    """What of a table is outside noise, in plain words; differences: (what, of that)."""
    found = [
        f"{what} ({d['mean']:+.3g}, 95 % between {d['low']:+.3g} and {d['high']:+.3g})"
        for what, d in differences
        if d["outside_noise"]
    ]
    total = len(differences)
    if found:
        said = f"Outside noise: {len(found)} of {total} differences from '{reference}', namely "
        said += "; ".join(found) + "."
        if len(found) < total:
            said += " The others are not told from noise at this budget."
    else:
        said = (
            f"None of the {total} differences from '{reference}' is outside noise at this budget."
        )
    if seeds == 1:
        said += " One seed: the intervals are over the objects alone, not over trainings."
    return f"{said} Of 20 differences without a cause, about one looks like this by chance."
