"""report.json: every number of the report, from the outputs of one or several evaluations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rsisrefiner_jax.errors import require
from rsisrefiner_jax.evaluation import published
from rsisrefiner_jax.evaluation.bootstrap import LEVEL
from rsisrefiner_jax.evaluation.report import per_object, pictures
from rsisrefiner_jax.evaluation.runs import Run
from rsisrefiner_jax.evaluation.strata import by_class, by_size

AT = (1, 2, 3, 5, 10, 20)  # numbers of clicks whose mean IoU is told


def document(
    runs: Mapping[str, Run], published_as: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What report.json holds, as plain values.

    runs: name -> evaluation; differences are to the first. published_as: data set -> that of the
    paper whose numbers stand beside it; left out = by its name, as in `nwpu` or `isaid:val`.

    Raises:
        UserError: `published_as` names what is not there.
    """
    names = list(dict.fromkeys(name for run in runs.values() for name in run.results["datasets"]))
    paper = _papers(names, published_as or {})
    return {
        "interval_level": LEVEL,
        "runs": {name: _about(run) for name, run in runs.items()},
        "datasets": {name: _dataset(runs, name, paper.get(name)) for name in names},
        "published_costs": {name: vars(cost) for name, cost in published.COSTS.items()},
    }


def _papers(names: Sequence[str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Data set -> the paper's, where it has one."""
    for name, paper in chosen.items():
        said, papers = f"--published {name}={paper}", ", ".join(published.DATASETS)
        require(name in names, f"{said}: the runs have the data sets {', '.join(names)}")
        require(paper in published.DATASETS, f"{said}: the paper's data sets are {papers}")
    known = {name: chosen.get(name, name.partition(":")[0]) for name in names}
    return {name: paper for name, paper in known.items() if paper in published.DATASETS}


def _about(run: Run) -> dict[str, Any]:
    """What a run is, and what it costs; None where nobody knows."""
    results = run.results
    model, entries = results["model"], results["datasets"].values()
    seconds = [e["seconds_per_click"] for e in entries if e["seconds_per_click"] is not None]
    return {
        "directory": str(run.directory),
        "checkpoint": results["checkpoint"],
        "protocol": results["protocol"],
        "environment": results.get("environment", {}),
        "parameters": model.get("parameters"),
        "trainable": model.get("trainable"),
        "flops": model.get("flops") or {"first_click": None, "later_click": None},
        "seconds_per_click": float(np.mean(seconds)) if seconds else None,
    }


def _dataset(runs: Mapping[str, Run], name: str, paper: str | None) -> dict[str, Any]:
    """All of one data set, by the runs that have it."""
    having = {key: run for key, run in runs.items() if name in run.results["datasets"]}
    (first, base), *others = having.items()
    return {
        "targets": list(per_object.targets_of(base)),
        "runs": {key: _summary(run, name) for key, run in having.items()},
        "published": _published(paper) if paper else None,
        "differences_to": first,
        "differences": {key: per_object.difference(base, run, name) for key, run in others},
        "sizes": per_object.strata(having, name, by_size),
        "classes": per_object.strata(having, name, by_class),
        "panels": {key: pictures.panels(run, name) for key, run in having.items()},
        "extremes": {key: pictures.extremes(run, name) for key, run in having.items()},
        "robustness": {k: r.robustness for k, r in having.items() if r.robustness is not None},
    }


def _summary(run: Run, name: str) -> dict[str, Any]:
    """The numbers of results.json, and intervals over objects."""
    entry, strict = run.results["datasets"][name], run.results["protocol"]["nof"] == "strict"
    miou = entry["miou"]
    kept = ("objects", "left_out", "object_hash", "noc", "noc_std", "miou", "miou_stops_at")
    return {key: entry[key] for key in (*kept, "seconds_per_click")} | {
        "nof": entry["nof" if strict else "nof_at_max"],
        "noc_interval": {t: per_object.noc_interval(run, name, t) for t in entry["noc"]},
        "noc_interval_of_clicks": entry.get("noc_ci95"),
        "miou_at": {str(k): miou[k - 1] for k in AT if k <= len(miou)},
    }


def _published(paper: str) -> dict[str, Any]:
    """The paper's numbers on one of its data sets, by method and target."""
    title, objects = published.DATASETS[paper]
    nocs, nofs = published.noc(paper), published.nof(paper)

    def by_target(numbers: Sequence[float]) -> dict[str, float]:
        return dict(zip(published.TARGETS, numbers, strict=True))

    return {
        "dataset": title,
        "objects": objects,
        "methods": {m: {"noc": by_target(nocs[m]), "nof": by_target(nofs[m])} for m in nocs},
    }
