"""The results of an evaluation: a log that survives a crash, and the numbers they sum up to."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsisrefiner_jax.data.object_hash import object_hash
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation import metrics
from rsisrefiner_jax.evaluation.clicker import Click
from rsisrefiner_jax.protocol import Protocol
from rsisrefiner_jax.weights import atomic_file


@dataclasses.dataclass(frozen=True)
class ObjectResult:
    """One line of objects.jsonl."""

    dataset: str
    image: str
    object_id: int
    category: str
    area_px: int  # without ignored pixels
    ious: tuple[float, ...]  # after each click
    clicks: tuple[Click, ...]
    seed: int = 0  # of the annotator's random draws; written only where it is not 0

    def to_json(self) -> str:
        """One line of JSON. IoUs have as many digits as float32 needs to come back unchanged."""
        fields: dict[str, Any] = {
            "class" if name == "category" else name: value
            for name, value in dataclasses.asdict(self).items()
        }
        if not self.seed:
            del fields["seed"]
        return json.dumps(fields | {"ious": [float(str(np.float32(iou))) for iou in self.ious]})

    @staticmethod
    def from_json(line: str) -> "ObjectResult":
        """The inverse of `to_json`."""
        fields = json.loads(line)
        return ObjectResult(
            category=fields.pop("class"),
            ious=tuple(fields.pop("ious")),
            clicks=tuple(Click(*click) for click in fields.pop("clicks")),
            **fields,
        )


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The results on one data set, in data set order.

    objects: (image, object id) of all that there are; another process may hold some results.
    left_out: objects without a pixel to find, or smaller than protocol.min_area.
    timed, seconds: the results that this run computed, and its wall time without compilation.
    passes_made, passes_needed: forward passes of an object that were computed in this run, and
    those that its clicks asked for.
    """

    results: tuple[ObjectResult, ...]
    objects: tuple[tuple[str, int], ...]
    left_out: int
    timed: tuple[ObjectResult, ...] = ()
    seconds: float = 0.0
    passes_made: int = 0
    passes_needed: int = 0

    def in_order(self, results: Iterable[ObjectResult]) -> tuple[ObjectResult, ...]:
        """Results of any process, each object once, in data set order."""
        by_object = {(result.image, result.object_id): result for result in results}
        return tuple(by_object[name] for name in self.objects if name in by_object)


def summarize(runs: Sequence[Evaluation], protocol: Protocol) -> dict[str, Any]:
    """The numbers of one data set as results.json holds them, over one run for each seed.

    `nof` counts objects that never reach the target, `nof_at_max` those with NoC == max_clicks;
    both are averaged over several seeds. Timing is None when nothing was timed (all results
    taken over).
    """
    clicks = protocol.max_clicks
    traces = [[result.ious for result in run.results] for run in runs]
    everything = [ious for run in traces for ious in run]
    nocs = {
        t: [metrics.number_of_clicks(run, t, clicks)[0] for run in traces]
        for t in protocol.noc_targets
    }
    failures = {t: [metrics.number_of_failures(run, t) for run in traces] for t in nocs}
    at_max = {
        t: [metrics.number_of_failures_at_max(run, t, clicks) for run in traces] for t in nocs
    }
    seconds = sum(run.seconds for run in runs)
    timed = [result for run in runs for result in run.timed]
    timed_clicks = sum(len(result.clicks) for result in timed)
    objects = runs[0].results
    summary: dict[str, Any] = {
        "objects": len(objects),
        "left_out": runs[0].left_out,
        "object_hash": object_hash((r.image, r.object_id, r.area_px) for r in objects),
        "noc": {percent(t): float(np.mean(noc)) for t, noc in nocs.items()},
        "noc_std": {percent(t): metrics.number_of_clicks(everything, t, clicks)[1] for t in nocs},
        "nof": {percent(t): _mean(counts) for t, counts in failures.items()},
        "nof_at_max": {percent(t): _mean(counts) for t, counts in at_max.items()},
        "miou": [float(iou) for iou in metrics.miou_curve(everything, clicks)],
        "seconds_per_click": seconds / timed_clicks if timed_clicks else None,
        "objects_per_second": len(timed) / seconds if timed_clicks else None,
        "passes_made": sum(run.passes_made for run in runs),
        "passes_needed": sum(run.passes_needed for run in runs),
    }
    if len(runs) > 1:
        summary["seeds"] = len(runs)
        summary["noc_ci95"] = {
            percent(t): metrics.confidence_interval(noc) for t, noc in nocs.items()
        }
    return summary


def _mean(counts: Sequence[int]) -> int | float:
    """A count stays a whole number where there is one run."""
    return counts[0] if len(counts) == 1 else float(np.mean(counts))


def percent(target: float) -> str:
    """How a target IoU is named: 0.85 -> "85"."""
    return f"{100 * target:g}"


class ResultLog:
    """objects.jsonl and, beside it, settings.json: the settings that the results belong to.

    Opening the log of an interrupted run takes its finished objects over. Lines are appended as
    objects finish; `finish` puts them in order. Several processes share the directory: each
    appends to a part of its own, and the first merges them.

    Raises:
        UserError: the directory holds results of other settings.
    """

    def __init__(
        self, directory: Path, settings: dict[str, Any], rank: int = 0, count: int = 1
    ) -> None:
        self._whole = directory / "objects.jsonl"
        self._own = directory / f"objects.part-{rank}.jsonl" if count > 1 else self._whole
        directory.mkdir(parents=True, exist_ok=True)
        kept = directory / "settings.json"
        settings = json.loads(json.dumps(settings))  # as it will be read back
        if self._files():
            old = json.loads(kept.read_text()) if kept.exists() else {}
            difference = _difference(old, settings)
            if difference:
                raise UserError(
                    f"--out {directory}: holds results of other settings ({difference}); "
                    "choose another directory or delete it"
                )
        elif rank == 0:
            kept.write_text(json.dumps(settings, indent=2) + "\n")
        _drop_torn_line(self._own)

    def of(self, dataset: str, seed: int = 0) -> list[ObjectResult]:
        """The finished objects of one data set, in the order in which they finished."""
        results = (result for path in self._files() for result in _read(path))
        return [result for result in results if (result.dataset, result.seed) == (dataset, seed)]

    def append(self, result: ObjectResult) -> None:
        """Writes one more line at once."""
        with self._own.open("a") as file:
            file.write(result.to_json() + "\n")

    def finish(self, results: Iterable[ObjectResult]) -> None:
        """Replaces everything by `results`."""
        with atomic_file(self._whole) as file:
            file.writelines(f"{result.to_json()}\n".encode() for result in results)
        for path in self._files():
            if path != self._whole:
                path.unlink()

    def _files(self) -> list[Path]:
        """All files with results; the whole comes first."""
        parts = sorted(self._whole.parent.glob("objects.part-*.jsonl"))
        return [path for path in (self._whole, *parts) if path.exists()]


def _drop_torn_line(path: Path) -> None:
    """Takes off the last line if a crash cut it short."""
    content = path.read_bytes() if path.exists() else b""
    complete = content[: content.rfind(b"\n") + 1]
    if len(complete) < len(content):
        path.write_bytes(complete)


def _read(path: Path) -> Iterator[ObjectResult]:
    """The results in complete lines (another process may be writing)."""
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            yield ObjectResult.from_json(line)


def _difference(old: Any, new: Any, name: str = "") -> str:
    """The first field in which two JSON values differ, in words; empty if they are equal."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            inner = f"{name}.{key}" if name else key
            difference = _difference(old.get(key), new.get(key), inner)
            if difference:
                return difference
        return ""
    return "" if old == new else f"{name} was {old}, now {new}"
