"""Clicks every object of a data set, keeps a log that survives a crash, and sums up."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from rsisrefiner_jax.data.scene import Scene, SceneObject, Source
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation import metrics
from rsisrefiner_jax.evaluation.clicker import Click
from rsisrefiner_jax.evaluation.simulate import Predict, Trace, simulate
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

    def to_json(self) -> str:
        """One line of JSON. IoUs have as many digits as float32 needs to come back unchanged."""
        fields: dict[str, Any] = {
            "class" if name == "category" else name: value
            for name, value in dataclasses.asdict(self).items()
        }
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


# Called after each object, with the result, its scene, its target and what happened.
OnObject = Callable[[ObjectResult, Scene, np.ndarray, Trace], None]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The results on one data set, in data set order.

    left_out: objects without a pixel to find, or smaller than protocol.min_area.
    seconds, timed: wall time of the network and the click loop (reading pictures excluded) and
    the results it was taken on; the first object, which compiles, is not timed if others follow.
    """

    results: tuple[ObjectResult, ...]
    left_out: int
    seconds: float
    timed: tuple[ObjectResult, ...]


def evaluate(
    predict: Predict,
    source: Source,
    protocol: Protocol,
    image_size: int,
    *,
    dataset: str = "",
    limit: int | None = None,
    finished: Sequence[ObjectResult] = (),
    on_object: OnObject | None = None,
    progress: bool = True,
) -> Evaluation:
    """Simulates the clicks of every object of every scene of `source`, in order.

    Args:
        image_size: side of the network's square input, in pixels.
        limit: stop after this many objects.
        finished: results of an earlier run that was interrupted; they are taken over.

    Raises:
        UserError: the protocol contradicts itself, there is nothing to evaluate, or `finished`
            does not fit `source`.
    """
    protocol.check(image_size)
    results: list[ObjectResult] = []
    seconds: list[float] = []
    left_out = 0
    unit, total = ("scene", len(source)) if limit is None else ("object", limit)
    with tqdm(total=total, unit=unit, desc=dataset, disable=not progress) as bar:
        for scene in map(source.__getitem__, range(len(source))):
            for item in scene.objects:
                if len(results) == limit:
                    break
                target = target_of(scene, item)
                area = int(np.count_nonzero(target == 1))
                if area < max(protocol.min_area, 1):
                    left_out += 1
                    continue
                if len(results) < len(finished):
                    results.append(_taken_over(finished[len(results)], scene, item, area))
                else:
                    start = time.perf_counter()
                    trace = simulate(predict, scene.image, target, protocol, image_size)
                    seconds.append(time.perf_counter() - start)
                    results.append(_result(dataset, scene, item, area, trace))
                    if on_object is not None:
                        on_object(results[-1], scene, target, trace)
                    bar.set_postfix(objects=len(results), iou=f"{results[-1].ious[-1]:.3f}")
                bar.update(unit == "object")
            if len(results) == limit:
                break
            bar.update(unit == "scene")
    if not results:
        raise UserError(f"data set {dataset!r} holds no object to evaluate ({left_out} left out)")
    if len(results) < len(finished):
        raise _changed(dataset)
    fresh = results[len(finished) :]
    timed = slice(min(1, len(fresh) - 1), None) if fresh else slice(0)
    return Evaluation(tuple(results), left_out, sum(seconds[timed]), tuple(fresh[timed]))


def target_of(scene: Scene, item: SceneObject) -> np.ndarray:
    """int8 [h, w]: 1 = the object, 0 = background, -1 = ignore, also inside the object."""
    target = scene.mask(item).astype(np.int8)
    target[scene.ignore] = -1
    return target


def _result(dataset: str, scene: Scene, item: SceneObject, area: int, trace: Trace) -> ObjectResult:
    ious = tuple(float(iou) for iou in trace.ious)
    return ObjectResult(dataset, scene.name, item.id, item.category, area, ious, trace.clicks)


def _taken_over(done: ObjectResult, scene: Scene, item: SceneObject, area: int) -> ObjectResult:
    if (done.image, done.object_id, done.area_px) != (scene.name, item.id, area):
        raise _changed(done.dataset)
    return done


def _changed(dataset: str) -> UserError:
    return UserError(
        f"data set {dataset!r} has changed since the run that --out holds; choose another --out"
    )


def summarize(evaluation: Evaluation, protocol: Protocol) -> dict[str, Any]:
    """The numbers of one data set as results.json holds them.

    `nof` counts objects that never reach the target, `nof_at_max` those with NoC == max_clicks.
    Timing is None when nothing was timed (all results taken over).
    """
    results, clicks = evaluation.results, protocol.max_clicks
    traces = [result.ious for result in results]
    nocs = {t: metrics.number_of_clicks(traces, t, clicks) for t in protocol.noc_targets}
    timed_clicks = sum(len(result.clicks) for result in evaluation.timed)
    return {
        "objects": len(results),
        "left_out": evaluation.left_out,
        "object_hash": metrics.object_hash((r.image, r.object_id, r.area_px) for r in results),
        "noc": {percent(t): noc for t, (noc, _) in nocs.items()},
        "noc_std": {percent(t): std for t, (_, std) in nocs.items()},
        "nof": {percent(t): metrics.number_of_failures(traces, t) for t in nocs},
        "nof_at_max": {
            percent(t): metrics.number_of_failures_at_max(traces, t, clicks) for t in nocs
        },
        "miou": [float(iou) for iou in metrics.miou_curve(traces, clicks)],
        "seconds_per_click": evaluation.seconds / timed_clicks if timed_clicks else None,
        "objects_per_second": len(evaluation.timed) / evaluation.seconds if timed_clicks else None,
    }


def percent(target: float) -> str:
    """How a target IoU is named: 0.85 -> "85"."""
    return f"{100 * target:g}"


class ResultLog:
    """objects.jsonl and, beside it, settings.json: the settings that the results belong to.

    Opening the log of an interrupted run takes its finished objects over.

    Raises:
        UserError: the directory holds results of other settings.
    """

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        self._path = directory / "objects.jsonl"
        directory.mkdir(parents=True, exist_ok=True)
        kept = directory / "settings.json"
        settings = json.loads(json.dumps(settings))  # as it will be read back
        if self._path.exists():
            old = json.loads(kept.read_text()) if kept.exists() else {}
            difference = _difference(old, settings)
            if difference:
                raise UserError(
                    f"--out {directory}: holds results of other settings ({difference}); "
                    "choose another directory or delete it"
                )
        else:
            kept.write_text(json.dumps(settings, indent=2) + "\n")
        self.finished = list(self._read())

    def of(self, dataset: str) -> list[ObjectResult]:
        """The finished objects of one data set."""
        return [result for result in self.finished if result.dataset == dataset]

    def append(self, result: ObjectResult) -> None:
        """Writes one more line at once."""
        with self._path.open("a") as file:
            file.write(result.to_json() + "\n")

    def _read(self) -> Iterator[ObjectResult]:
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        complete = content[: content.rfind(b"\n") + 1]
        if len(complete) < len(content):  # the line that a crash cut short
            self._path.write_bytes(complete)
        for line in complete.decode().splitlines():
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
