"""The results of an evaluation: a log that survives a crash, and the numbers they sum up to."""

import dataclasses
import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsisrefiner_jax.atomic import atomic_file, drop_torn_line
from rsisrefiner_jax.data.object_hash import object_hash
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation.compare import differences
from rsisrefiner_jax.interaction import metrics
from rsisrefiner_jax.interaction.clicks import Click
from rsisrefiner_jax.protocol import Protocol


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
    scenes: the place of each object's scene in the source.
    left_out: objects without a pixel to find, or smaller than protocol.min_area.
    timed, seconds: the results that this run computed, and its wall time without compilation.
    answers_made, answers_needed: the answers that the model computed in this run (idle rows of a
    batch included), and the clicks that asked for one.
    """

    results: tuple[ObjectResult, ...]
    objects: tuple[tuple[str, int], ...]
    left_out: int
    timed: tuple[ObjectResult, ...] = ()
    seconds: float = 0.0
    answers_made: int = 0
    answers_needed: int = 0
    scenes: tuple[int, ...] = ()

    def in_order(self, results: Iterable[ObjectResult]) -> tuple[ObjectResult, ...]:
        """Results of any process, each object once, in data set order."""
        by_object = {(result.image, result.object_id): result for result in results}
        return tuple(by_object[name] for name in self.objects if name in by_object)


def summarize(runs: Sequence[Evaluation], protocol: Protocol) -> dict[str, Any]:
    """The numbers of one data set as results.json holds them, over one run for each seed.

    `nof` counts objects that never reach the target, `nof_at_max` those with NoC == max_clicks;
    both are averaged over several seeds. Timing is None when nothing was timed (all results
    taken over). `miou_stops_at`: objects that reached this IoU keep it in `miou`; None where every
    object got all clicks, as in the paper's figure 7.

    Raises:
        UserError: an object has no result.
    """
    for run in runs:
        missing = sorted(set(run.objects) - {(r.image, r.object_id) for r in run.results})
        if missing:
            image, object_id = missing[0]
            raise UserError(
                f"{len(missing)} of {len(run.objects)} objects have no result, the first of them "
                f"object {object_id} of {image}: lines are gone, or another process ended early; "
                "run the same command again"
            )
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
        "miou_stops_at": protocol.early_stop,
        "seconds_per_click": seconds / timed_clicks if timed_clicks else None,
        "objects_per_second": len(timed) / seconds if timed_clicks else None,
        "answers_made": sum(run.answers_made for run in runs),
        "answers_needed": sum(run.answers_needed for run in runs),
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
        UserError: the directory holds results of other settings, cannot be written, or another
            evaluation writes there.
    """

    def __init__(
        self, directory: Path, settings: dict[str, Any], rank: int = 0, count: int = 1
    ) -> None:
        self._whole = directory / "objects.jsonl"
        self._own = directory / f"objects.part-{rank}.jsonl" if count > 1 else self._whole
        self._directory = directory
        self._lock: int | None = None
        kept = directory / "settings.json"
        settings = json.loads(json.dumps(settings))  # as it will be read back
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(directory) if rank == 0 else None
            if self._files():
                self._require_same(kept, settings)
            elif rank == 0:
                kept.write_text(json.dumps(settings, indent=2) + "\n")
            drop_torn_line(self._own)
        except OSError as error:
            raise UserError(
                f"--out {directory}: cannot be written ({error.strerror}); name another directory"
            ) from error

    def _require_same(self, kept: Path, settings: dict[str, Any]) -> None:
        """Raises UserError: the directory's results belong to other settings."""
        try:
            old = json.loads(kept.read_text()) if kept.exists() else {}
        except ValueError:
            old = {}
        for name, before, now in differences(old, settings):
            raise UserError(
                f"--out {self._directory}: holds results of other settings ({name} was {before}, "
                f"now {now}); choose another directory or delete it"
            )

    def of(self, dataset: str, seed: int = 0) -> list[ObjectResult]:
        """The finished objects of one data set, in the order in which they finished."""
        results = (result for path in self._files() for result in _read(path))
        return [result for result in results if (result.dataset, result.seed) == (dataset, seed)]

    def append(self, result: ObjectResult) -> None:
        """Writes one more line at once. Raises UserError: the disk is full."""
        try:
            with self._own.open("a") as file:
                file.write(result.to_json() + "\n")
        except OSError as error:
            raise UserError(
                f"{self._own}: cannot be written ({error.strerror}); what is finished stays, and "
                "the same command goes on from there"
            ) from error

    def finish(self, results: Iterable[ObjectResult]) -> None:
        """Replaces everything by `results`."""
        with atomic_file(self._whole) as file:
            file.writelines(f"{result.to_json()}\n".encode() for result in results)
        for path in self._files():
            if path != self._whole:
                path.unlink()

    def close(self) -> None:
        """Lets others write."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    __del__ = close

    def _files(self) -> list[Path]:
        """All files with results; the whole comes first."""
        parts = sorted(self._whole.parent.glob("objects.part-*.jsonl"))
        return [path for path in (self._whole, *parts) if path.exists()]


def _read(path: Path) -> Iterator[ObjectResult]:
    """The results in complete lines (another process may be writing)."""
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            yield ObjectResult.from_json(line)


def read_datasets(directory: Path) -> dict[str, Any]:
    """The data sets of an earlier results.json in a directory; none where it cannot be read."""
    try:
        found: dict[str, Any] = json.loads((directory / "results.json").read_text())["datasets"]
        return found
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_results(directory: Path, results: dict[str, Any]) -> None:
    """Writes results.json. Raises OSError."""
    with atomic_file(directory / "results.json") as file:
        file.write((json.dumps(results, indent=2) + "\n").encode())


def _locked(directory: Path) -> int | None:
    """An open directory whose lock says that an evaluation writes there; it ends with the process.

    Raises:
        UserError: another evaluation has it.
    """
    held = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            return None  # a file system without locks
        raise UserError(
            f"--out {directory}: another evaluation is writing there; wait for it or name another "
            "directory"
        ) from error
    return held
