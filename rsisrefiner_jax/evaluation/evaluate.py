"""Clicks every object of a data set: shape by shape, in batches, on every local device."""

import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from rsisrefiner_jax.data.scene import Scene, Source
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation.device_work import device_work
from rsisrefiner_jax.evaluation.plan import Entry, plan
from rsisrefiner_jax.evaluation.results import Evaluation, ObjectResult
from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.interaction.simulate import Trace
from rsisrefiner_jax.interaction.slots import Item
from rsisrefiner_jax.protocol import Protocol

# Called after each object as it finishes: its place in the data set, its result, its scene, its
# target and what happened.
OnObject = Callable[[int, ObjectResult, Scene, np.ndarray, Trace], None]


def evaluate(
    model: ClickModel,
    variables: Any,
    source: Source,
    protocol: Protocol,
    *,
    dataset: str = "",
    batch_size: int = 1,
    rows: int | None = None,
    devices: Sequence[jax.Device] | None = None,
    rank: int = 0,
    count: int = 1,
    seed: int = 0,
    limit: int | None = None,
    finished: Sequence[ObjectResult] = (),
    on_object: OnObject | None = None,
    progress: bool = True,
) -> Evaluation:
    """Simulates the clicks of every object of every scene of `source`.

    What comes out does not depend on batch_size, devices, rank and count.

    Args:
        batch_size: objects in flight on each device.
        rows: objects that share a forward pass; None = 1 on CPU, where more bring nothing, else
            batch_size.
        devices: None = all local ones.
        rank, count: this process, of so many, takes every count-th object.
        seed: of the annotator's random draws, where the protocol's click_strategy has any.
        limit: only the first so many objects.
        finished: results of earlier runs, in any order; they are taken over.

    Returns:
        The results of this process and those taken over.

    Raises:
        UserError: the protocol contradicts itself, there is nothing to evaluate, or `finished`
            does not fit `source`.
    """
    return run_work(
        device_work(model, protocol, variables, batch_size, rows, devices),
        source,
        protocol,
        dataset=dataset,
        rank=rank,
        count=count,
        seed=seed,
        limit=limit,
        finished=finished,
        on_object=on_object,
        progress=progress,
    )


class Work(typing.Protocol):
    """How objects are clicked. seconds: that it took, without compilation; made, needed: answers
    of the model (idle rows of a batch included), and the clicks that asked for one."""

    seconds: float
    made: int
    needed: int

    def click(
        self, source: Source, entries: Sequence[Entry], seed: int
    ) -> Iterator[tuple[Item, Trace]]:
        """Every object with its trace as it finishes; tags of the items are (entry, scene)."""


def run_work(
    work: Work,
    source: Source,
    protocol: Protocol,
    *,
    dataset: str,
    rank: int,
    count: int,
    seed: int,
    limit: int | None,
    finished: Sequence[ObjectResult],
    on_object: OnObject | None,
    progress: bool,
) -> Evaluation:
    """What `evaluate` does, whoever answers the clicks; the arguments are described there."""
    entries, left_out = plan(source, protocol, limit, progress)
    if not entries:
        raise UserError(f"data set {dataset!r} holds no object to evaluate ({left_out} left out)")
    results = _taken_over(entries, finished, dataset)
    todo = [e for e in entries if e.index % count == rank and e.index not in results]
    timed: list[int] = []
    with _progress_bar(len(entries), len(results), dataset, progress) as bar:
        for item, trace in work.click(source, todo, seed):
            entry, scene = item.tag
            result = _result(dataset, entry, trace, seed)
            results[entry.index] = result
            timed.append(entry.index)
            if on_object is not None:
                on_object(entry.index, result, scene, item.target, trace)
            bar.set_postfix(iou=f"{result.ious[-1]:.3f}")
            bar.update()
    return _evaluation(entries, left_out, results, timed, work)


def _progress_bar(total: int, done: int, dataset: str, shown: bool) -> Any:
    return tqdm(total=total, initial=done, unit="object", desc=dataset, disable=not shown)


def _evaluation(
    entries: Sequence[Entry],
    left_out: int,
    results: Mapping[int, ObjectResult],
    timed: Sequence[int],
    work: Work,
) -> Evaluation:
    """What came of it; timed: the objects of this run, in the order they finished."""
    return Evaluation(
        results=tuple(results[index] for index in sorted(results)),
        objects=tuple((entry.image, entry.item.id) for entry in entries),
        left_out=left_out,
        timed=tuple(results[index] for index in timed),
        seconds=work.seconds,
        answers_made=work.made,
        answers_needed=work.needed,
        scenes=tuple(entry.scene for entry in entries),
    )


def _result(dataset: str, entry: Entry, trace: Trace, seed: int) -> ObjectResult:
    return ObjectResult(
        dataset=dataset,
        image=entry.image,
        object_id=entry.item.id,
        category=entry.item.category,
        area_px=entry.area_px,
        ious=tuple(float(iou) for iou in trace.ious),
        clicks=trace.clicks,
        seed=seed,
    )


def _taken_over(
    entries: Sequence[Entry], finished: Sequence[ObjectResult], dataset: str
) -> dict[int, ObjectResult]:
    """The finished results by their place in the data set."""
    places = {(entry.image, entry.item.id): entry for entry in entries}
    results = {}
    for result in finished:
        entry = places.get((result.image, result.object_id))
        if entry is None or entry.area_px != result.area_px:
            raise UserError(
                f"data set {dataset!r} has changed since the run that --out holds; "
                "choose another --out"
            )
        results[entry.index] = result
    return results
