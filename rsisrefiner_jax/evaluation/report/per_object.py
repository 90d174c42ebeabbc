"""What single objects add up to: differences between two runs, and groups of objects."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rsisrefiner_jax.evaluation.bootstrap import bootstrap_interval, paired_bootstrap
from rsisrefiner_jax.evaluation.results import percent
from rsisrefiner_jax.evaluation.runs import Line, Run
from rsisrefiner_jax.interaction import metrics

Measure = Callable[[Line], float]


def targets_of(run: Run) -> dict[str, float]:
    """The IoUs that clicks are counted to, by their names: {"85": 0.85, ...}."""
    return {percent(iou): iou for iou in run.results["protocol"]["noc_targets"]}


def noc_interval(run: Run, dataset: str, target: str) -> list[float]:
    """[low, high] of NoC over the objects."""
    found = bootstrap_interval(list(_per_object(run, dataset, _clicks_to(run, target)).values()))
    return [found["low"], found["high"]]


def difference(a: Run, b: Run, dataset: str) -> dict[str, Any]:
    """b - a on the objects that both have: of NoC, and of the share of objects that fail.

    Values of a target are None where the runs have no object or not this target in common.
    """
    shared = [t for t in targets_of(a) if t in targets_of(b)]
    keys = [{(image, id) for image, id, _ in run.objects[dataset]} for run in (a, b)]
    both = sorted(keys[0] & keys[1])

    def paired(measure: Callable[[Run, str], Measure], target: str) -> dict[str, Any] | None:
        one, other = (_per_object(run, dataset, measure(run, target)) for run in (a, b))
        if not both:
            return None
        return paired_bootstrap([one[key] for key in both], [other[key] for key in both])

    hashes = {run.results["datasets"][dataset]["object_hash"] for run in (a, b)}
    return {
        "objects": len(both),
        "same_objects": len(hashes) == 1,
        "noc": {t: paired(_clicks_to, t) for t in shared},
        "failing": {t: paired(_failed, t) for t in shared},
    }


def strata(
    runs: Mapping[str, Run],
    dataset: str,
    group: Callable[[Iterable[Line]], dict[str, list[Line]]],
) -> dict[str, dict[str, Any]]:
    """Group -> run -> its numbers on the objects of the group."""
    members = {name: group(run.objects[dataset].values()) for name, run in runs.items()}
    titles = dict.fromkeys(title for groups in members.values() for title in groups)
    return {
        title: {
            name: _numbers(run, members[name][title])
            for name, run in runs.items()
            if title in members[name]
        }
        for title in titles
    }


def _numbers(run: Run, members: Sequence[Line]) -> dict[str, Any]:
    objects = len({(line["image"], line["object_id"]) for line in members})
    repeats = len(members) / objects

    def mean(measure: Measure) -> float:
        return float(np.mean([measure(line) for line in members]))

    targets = targets_of(run)
    return {
        "objects": objects,
        "noc": {t: mean(_clicks_to(run, t)) for t in targets},
        "nof": {t: sum(map(_failed(run, t), members)) / repeats for t in targets},
        "last_iou": mean(lambda line: line["ious"][-1]),
    }


def _clicks_to(run: Run, target: str) -> Measure:
    """The number of clicks that an object needed."""
    most, iou = run.results["protocol"]["max_clicks"], targets_of(run)[target]
    return lambda line: metrics.clicks_needed(line["ious"], iou, most)


def _failed(run: Run, target: str) -> Measure:
    """1 for an object that counts for NoF, as the run's protocol counts, else 0."""
    most, iou = run.results["protocol"]["max_clicks"], targets_of(run)[target]
    if run.results["protocol"]["nof"] == "strict":
        return lambda line: metrics.number_of_failures([line["ious"]], iou)
    return lambda line: metrics.number_of_failures_at_max([line["ious"]], iou, most)


def _per_object(run: Run, dataset: str, measure: Measure) -> dict[tuple[str, int], float]:
    """Object -> its value, the mean over seeds."""
    values: dict[tuple[str, int], list[float]] = {}
    for (image, id, _), line in run.objects[dataset].items():
        values.setdefault((image, id), []).append(measure(line))
    return {key: float(np.mean(found)) for key, found in values.items()}
