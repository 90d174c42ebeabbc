"""What a table says, from the evaluations of its rows: tableN.json."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from rsisrefiner_jax.config import Config
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.evaluation.results import percent
from rsisrefiner_jax.evaluation.runs import Run, read_run
from rsisrefiner_jax.interaction.metrics import clicks_needed, miou_curve
from rsisrefiner_jax.tables.jobs import Job, budget
from rsisrefiner_jax.tables.noise import paired_difference, sentence
from rsisrefiner_jax.tables.table import Table


def table_results(table: Table, base: Config, rows: Mapping[str, Sequence[Job]]) -> dict[str, Any]:
    """tableN.json. rows: the finished jobs of every row, one a seed; the last is the reference.

    Raises:
        UserError: rows were evaluated on other objects.
    """
    runs = {name: [read_run(job.evaluated) for job in jobs] for name, jobs in rows.items()}
    reference = list(rows)[-1]
    seeds = len(rows[reference])
    published, entries = table.published(), []
    for name, jobs in rows.items():
        entry: dict[str, Any] = {"name": name, **_cost(jobs[0].config, runs[name])}
        entry["paper"] = published[name]
        entry["evaluations"] = [str(job.evaluated) for job in jobs]
        entry["datasets"] = {
            dataset: _dataset(table, base, dataset, runs[name], runs[reference], name == reference)
            for dataset in runs[reference][0].objects
        }
        entries.append(entry)
    results = {
        "table": table.number,
        "title": table.title,
        "metrics": table.metrics,
        "base": base.name,
        "reference": reference,
        "seeds": seeds,
        "protocol": runs[reference][0].results["protocol"],
        "environment": runs[reference][0].results["environment"],
        "budget": dict(budget(base)),
        "training_data": list(base.data.train),
        "rows": entries,
    }
    return results | {"noise": _noise(table, entries, reference, seeds)}


def _dataset(
    table: Table,
    base: Config,
    dataset: str,
    runs: Sequence[Run],
    reference: Sequence[Run],
    is_reference: bool,
) -> dict[str, Any]:
    """What a row reached on one data set: NoC, NoF, and the mean IoU after the last click."""
    most = base.protocol.max_clicks

    def both(measure: Callable[[Sequence[float]], float]) -> tuple[np.ndarray, np.ndarray]:
        """float64 [seeds, objects] of the row and of the reference."""
        of_row, against = (
            np.stack([_per_object(run, dataset, measure, reference[0]) for run in some])
            for some in (runs, reference)
        )
        return np.broadcast_to(of_row, against.shape), against  # the untrained has no seeds

    own = [run.results["datasets"][dataset] for run in runs]
    entry: dict[str, Any] = {
        "objects": own[0]["objects"],
        "object_hash": own[0]["object_hash"],
        "seconds_per_click": [one["seconds_per_click"] for one in own],
        "noc": {},
        "nof": {},
        "miou": {},
        "difference": {},  # by metric, as "NoC90"
    }
    for target in table.targets or base.protocol.noc_targets:
        t = percent(target)
        clicks, against = both(partial(clicks_needed, target=target, max_clicks=most))
        entry["noc"][t] = _mean(clicks)
        failures = [one["nof" if base.protocol.nof == "strict" else "nof_at_max"][t] for one in own]
        entry["nof"][t] = {"mean": float(np.mean(failures)), "seeds": failures}
        if not is_reference:
            entry["difference"][f"NoC{t}"] = paired_difference(clicks, against)
    ious, against = both(lambda ious: miou_curve([ious], most)[-1])
    entry["miou"] = {"clicks": most, **_mean(ious)}
    if not is_reference:
        entry["difference"]["mIoU"] = paired_difference(ious, against)
    return entry


def _mean(values: np.ndarray) -> dict[str, Any]:
    return {"mean": float(values.mean()), "seeds": [*map(float, values.mean(1))]}


def _per_object(
    run: Run, dataset: str, measure: Callable[[Sequence[float]], float], like: Run
) -> np.ndarray:
    """float64 [objects]: a measure of each object's IoUs, in the order of `like`; its mean over
    the annotator's seeds, where there are several."""
    lines, order = run.objects.get(dataset, {}), like.objects[dataset]
    require(
        lines.keys() == order.keys(),
        f"{run.directory}: other objects of {dataset} than {like.directory}; "
        "the data have changed, so name another --out",
    )
    found: dict[tuple[str, int], list[float]] = {}
    for image, number, seed in order:
        value = measure(lines[image, number, seed]["ious"])
        found.setdefault((image, number), []).append(value)
    return np.array([np.mean(each, dtype=np.float64) for each in found.values()])


def _cost(config: Config, runs: Sequence[Run]) -> dict[str, Any]:
    """Parameters, operations of a pass and time of a click.

    What is not trained trains nothing, whatever its configuration leaves open.
    """
    model = runs[0].results["model"]
    times = [
        entry["seconds_per_click"] for run in runs for entry in run.results["datasets"].values()
    ]
    timed = [time for time in times if time is not None]
    return {
        "parameters": model["parameters"],
        "trainable": model["trainable"] if config.train.steps else 0,
        "steps": config.train.steps,
        "gflops": model["flops"]["later_click"] / 1e9,
        "ms_per_click": 1e3 * float(np.mean(timed)) if timed else None,
    }


def _noise(table: Table, rows: Sequence[dict[str, Any]], reference: str, seeds: int) -> str:
    found = [
        (f"{row['name']}, {metric} on {dataset}", difference)
        for row in rows
        for dataset, entry in row["datasets"].items()
        for metric, difference in entry["difference"].items()
    ]
    return sentence(found, reference, seeds)
