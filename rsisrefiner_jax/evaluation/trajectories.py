"""Robustness: the best and the worst clicks, and the gap in IoU between them.

    python -m rsisrefiner_jax.evaluation.trajectories runs/a/clicks runs/b/clicks

Each directory is one that `eval.py --trajectories` wrote: an evaluation for each click strategy.
`docs/robustness.md` says what the numbers mean.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsisrefiner_jax.console import program
from rsisrefiner_jax.errors import UserError, require, run_main
from rsisrefiner_jax.evaluation.strata import size_of

if TYPE_CHECKING:
    from rsisrefiner_jax.evaluation.results import ObjectResult

# What is run, in this order: the strategy, and how often every object is clicked.
STRATEGIES = {"best": 1, "centre": 1, "random": 5, "worst": 1}
AT = (1, 3, 5, 10, 20)  # clicks whose mean IoU is shown
Results = Mapping[str, "Sequence[ObjectResult]"]  # of every strategy


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; see `--help`. Raises UserError: a directory holds no trajectories."""
    parser = argparse.ArgumentParser(
        prog=program("trajectories"),
        description="One table of best and worst clicks from the output of eval.py --trajectories.",
    )
    parser.add_argument("directories", nargs="+", type=Path, metavar="DIR")
    options = parser.parse_args(arguments)
    print(markdown({str(d): summarize(d) for d in options.directories}))


def write(directory: Path) -> str:
    """Writes trajectories.json and trajectories.md, and returns the latter's text."""
    summary = summarize(directory)
    text = markdown({str(directory): summary})
    (directory / "trajectories.json").write_text(json.dumps(summary, indent=2) + "\n")
    (directory / "trajectories.md").write_text(text)
    return text


def summarize(directory: Path) -> dict[str, Any]:
    """The numbers as trajectories.json holds them.

    Raises:
        UserError: a strategy is missing, or the objects are not the same in all of them.
    """
    results = {strategy: _results(directory / strategy) for strategy in STRATEGIES}
    objects = {strategy: _objects(directory / strategy) for strategy in STRATEGIES}
    protocol = results["centre"]["protocol"]
    return {
        "checkpoint": results["centre"]["checkpoint"],
        "protocol": protocol,
        "candidates": results["best"]["protocol"]["click_candidates"],
        "margin": results["best"]["protocol"]["click_margin"],
        "datasets": {
            name: _dataset(
                {strategy: entry["datasets"][name] for strategy, entry in results.items()},
                {strategy: found[name] for strategy, found in objects.items()},
                protocol["max_clicks"],
            )
            for name in results["centre"]["datasets"]
        },
    }


def _dataset(entries: Mapping[str, Any], objects: Results, clicks: int) -> dict[str, Any]:
    """entries: the data set as each strategy's results.json has it."""
    from rsisrefiner_jax.interaction import metrics  # imports jax

    hashes = {entry["object_hash"] for entry in entries.values()}
    require(len(hashes) == 1, "the strategies were run on other objects; use one --limit for all")
    curves = {strategy: _curves(found, clicks) for strategy, found in objects.items()}
    gap = (curves["best"] - curves["worst"]).mean(1)
    centre = objects["centre"]
    sizes = [size_of(r.area_px) for r in centre]
    keep = ("noc", "noc_ci95", "nof", "miou", "miou_stops_at")
    return {
        "objects": len(centre),
        "strategies": {
            strategy: {key: entry[key] for key in keep if key in entry}
            | {"mean_iou": float(curves[strategy].mean())}
            for strategy, entry in entries.items()
        },
        "gap": {
            "mean": float(gap.mean()),
            "ci95": metrics.confidence_interval(gap) if len(gap) > 1 else None,
            "after_click": (curves["best"] - curves["worst"]).mean(0).tolist(),
        },
        "classes": _strata([r.category for r in centre], curves),
        "sizes": _strata(sizes, curves),
    }


def _curves(results: "Sequence[ObjectResult]", clicks: int) -> np.ndarray:
    """float32 [objects, clicks]: the IoU after each click, over seeds; the last one stays."""
    from rsisrefiner_jax.interaction import metrics  # imports jax

    rows: dict[tuple[str, int], list[np.ndarray]] = {}
    for result in results:
        row = metrics.miou_curve([result.ious], clicks)
        rows.setdefault((result.image, result.object_id), []).append(row)
    return np.stack([np.mean(several, 0) for several in rows.values()])


def _strata(labels: Sequence[str], curves: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Mean IoU over clicks of each strategy and the gap, for the objects of each label."""
    found = {}
    for label in dict.fromkeys(labels):
        chosen = np.array([other == label for other in labels])
        means = {strategy: float(curve[chosen].mean()) for strategy, curve in curves.items()}
        gap = means["best"] - means["worst"]
        found[label] = {"objects": int(chosen.sum()), **means, "gap": gap}
    return found


def markdown(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """A table for every data set, the runs of these names side by side."""
    names = dict.fromkeys(name for summary in summaries.values() for name in summary["datasets"])
    parts = []
    for name in names:
        runs = {k: s for k, s in summaries.items() if name in s["datasets"]}
        parts.append(f"## {name}\n\n{_comparison(name, runs)}")
        if len(runs) == 1:
            (summary,) = runs.values()
            entry = summary["datasets"][name]
            for title, key in (("class", "classes"), ("size", "sizes")):
                parts.append(_table(_strata_rows(title, entry[key])))
    return "\n\n".join(parts) + "\n"


def _comparison(name: str, runs: Mapping[str, Mapping[str, Any]]) -> str:
    first = next(iter(runs.values()))["datasets"][name]
    targets = list(first["strategies"]["centre"]["noc"])
    at = [k for k in AT if k <= len(first["gap"]["after_click"])]
    header = ["run", "clicks", *(f"NoC@{t}" for t in targets)]
    header += [*(f"IoU at {k}" for k in at), "mean IoU over clicks"]
    rows, notes = [header], []
    for run, summary in runs.items():
        entry = summary["datasets"][name]
        for strategy, row in entry["strategies"].items():
            nocs = [_noc(row, target) for target in targets]
            ious = [*(row["miou"][k - 1] for k in at), row["mean_iou"]]
            rows.append([run, strategy, *nocs, *(f"{iou:.3f}" for iou in ious)])
        after, mean = entry["gap"]["after_click"], f"**{_gap(entry['gap'])}**"
        blank = ["" for _ in targets]
        rows.append([run, "**gap**", *blank, *(f"{after[k - 1]:.3f}" for k in at), mean])
        notes.append(
            f"{run}: {summary['checkpoint']}, {entry['objects']} objects, protocol "
            f"{summary['protocol']['name']}; of {summary['candidates']} positions for a click, "
            f"deeper than {summary['margin']:g} of the error's largest depth."
        )
    return "\n\n".join([_table(rows), *notes])


def _noc(row: Mapping[str, Any], target: str) -> str:
    text = f"{row['noc'][target]:.2f}"
    if "noc_ci95" in row:
        low, high = row["noc_ci95"][target]
        text += f" [{low:.2f}, {high:.2f}]"
    return text


def _gap(gap: Mapping[str, Any]) -> str:
    text = f"{gap['mean']:.3f}"
    if gap["ci95"] is not None:
        low, high = gap["ci95"]
        text += f" [{low:.3f}, {high:.3f}]"
    return text


def _strata_rows(title: str, strata: Mapping[str, Any]) -> list[list[str]]:
    columns = [*STRATEGIES, "gap"]
    rows = [[title, "objects", *columns]]
    for label, entry in strata.items():
        numbers = [f"{entry[column]:.3f}" for column in columns]
        rows.append([label or "-", str(entry["objects"]), *numbers])
    return rows


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _results(directory: Path) -> dict[str, Any]:
    """results.json. Raises UserError."""
    try:
        found: dict[str, Any] = json.loads((directory / "results.json").read_text())
        return found
    except (OSError, ValueError) as error:
        raise UserError(
            f"{directory}: holds no finished evaluation; run eval.py --trajectories to its end"
        ) from error


def _objects(directory: Path) -> "dict[str, list[ObjectResult]]":
    """The objects of each data set, in its order."""
    from rsisrefiner_jax.evaluation.results import ObjectResult  # imports jax

    found: dict[str, list[ObjectResult]] = {}
    for line in (directory / "objects.jsonl").read_text().splitlines():
        result = ObjectResult.from_json(line)
        found.setdefault(result.dataset, []).append(result)
    return found


if __name__ == "__main__":
    run_main(main)
