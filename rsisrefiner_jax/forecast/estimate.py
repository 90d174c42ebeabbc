"""Clicks and hours for what is left, with an interval.

An object that is left takes what finished ones of its class and size took; where these are fewer
than ALIKE, those of its class, else of its size, else all. The interval holds what may come by both
kinds of chance: which objects happened to be finished so far (bootstrap), and which are left. It
knows nothing of tiredness, practice, or a part of the layer that looks otherwise.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rsisrefiner_jax.errors import require
from rsisrefiner_jax.evaluation.bootstrap import AT_ONCE, LEVEL
from rsisrefiner_jax.forecast.efforts import Effort, Group

LEAST = 5  # finished objects
ALIKE = 5  # finished objects that speak for a group
DRAWS = 4000
OTHERS = Group("others")


class Interval(NamedTuple):
    """Of a total: what is expected, and between what it lies in 95 of 100 cases."""

    mean: float
    low: float
    high: float


class Forecast(NamedTuple):
    """remaining: objects. clicks, hours: for all of them together."""

    remaining: int
    clicks: Interval
    hours: Interval


def forecast(done: Sequence[Effort], remaining: Mapping[Group, int]) -> Forecast:
    """What is left, given what was done.

    Raises:
        UserError: too few objects are finished.
    """
    require(
        len(done) >= LEAST,
        f"{len(done)} finished objects with clicks are too few to forecast from; {LEAST} are "
        "needed, and 30 say more",
    )
    values = np.array([(one.clicks, one.seconds / 3600) for one in done])  # [n, 2]
    alike = [(speaking_for(group, done), count) for group, count in remaining.items() if count]
    expected = sum((count * values[who].mean(0) for who, count in alike), np.zeros(2))
    rng = np.random.default_rng(0)
    totals = np.concatenate([_draws(values, alike, rng) for _ in range(DRAWS // AT_ONCE)])
    outside = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(totals, [outside, 100 - outside], axis=0).clip(min=0)
    clicks, hours = (Interval(*map(float, one)) for one in zip(expected, low, high, strict=True))
    return Forecast(sum(remaining.values()), clicks, hours)


def with_others(done: Sequence[Effort]) -> list[Effort]:
    """The same with groups of fewer than ALIKE objects as one, so that all speak for themselves."""
    counts = Counter(one.group for one in done)
    return [one if counts[one.group] >= ALIKE else one._replace(group=OTHERS) for one in done]


def mixed_as(done: Sequence[Effort], remaining: int) -> dict[Group, int]:
    """So many objects in groups, in the shares of the finished ones, rounded to whole numbers."""
    counts = {group: took["objects"] for group, took in groups(done).items()}
    exact = {group: remaining * count / len(done) for group, count in counts.items()}
    whole = {group: int(share) for group, share in exact.items()}
    rest = sorted(exact, key=lambda group: whole[group] - exact[group])
    for group in rest[: remaining - sum(whole.values())]:
        whole[group] += 1
    return whole


def _draws(
    values: np.ndarray, alike: Sequence[tuple[np.ndarray, int]], rng: np.random.Generator
) -> np.ndarray:
    """AT_ONCE totals [draws, 2], each as if other objects had been finished, and others were left.

    The same draw of finished objects stands for all groups.
    """
    n = len(values)
    times = rng.multinomial(n, np.full(n, 1 / n), AT_ONCE).astype(float)  # [draws, n]
    totals = np.zeros((AT_ONCE, values.shape[1]))
    for who, count in alike:
        weights = times[:, who]
        weights[weights.sum(1) == 0] = 1.0  # none of them was drawn
        weights /= weights.sum(1, keepdims=True)
        mean, square = weights @ values[who], weights @ values[who] ** 2
        spread = np.sqrt(count * np.maximum(square - mean**2, 0))
        totals += count * mean + spread * rng.standard_normal(mean.shape)
    return totals


def speaking_for(group: Group, done: Sequence[Effort]) -> np.ndarray:
    """int [k]: places of the finished objects that are most like those of a group."""
    for like in (group, Group(group.category), Group(None, group.size)):
        found = [i for i, one in enumerate(done) if _matches(one.group, like)]
        if len(found) >= ALIKE:
            return np.array(found)
    return np.arange(len(done))


def _matches(group: Group, like: Group) -> bool:
    return all(wanted in (None, own) for own, wanted in zip(group, like, strict=True))


def groups(done: Sequence[Effort]) -> dict[Group, dict[str, Any]]:
    """Group -> {"objects", "clicks", "seconds"}: how many were finished, and the means of each."""
    members: dict[Group, list[Effort]] = {}
    for one in sorted(done, key=lambda one: (one.group.category or "", one.group.size or "")):
        members.setdefault(one.group, []).append(one)
    return {
        group: {
            "objects": len(own),
            "clicks": float(np.mean([one.clicks for one in own])),
            "seconds": float(np.mean([one.seconds for one in own])),
        }
        for group, own in members.items()
    }
