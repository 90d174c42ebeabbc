"""One evaluation by several processes that share the output directory."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.experimental import multihost_utils

from rsisrefiner_jax.evaluation.results import Evaluation, ObjectResult
from rsisrefiner_jax.parallel import wait_for_all


def gather_ious(own: Evaluation, clicks: int) -> list[tuple[float, ...]]:
    """The IoUs after each of up to so many clicks of every object, in data set order.

    Of all processes together, without a shared directory; waits until each has come to this point.
    """
    table = np.full((len(own.objects), clicks), -1, np.float32)
    places = {name: place for place, name in enumerate(own.objects)}
    for result in own.results:
        table[places[result.image, result.object_id], : len(result.ious)] = result.ious
    wait_for_all()
    if jax.process_count() > 1:
        table = multihost_utils.process_allgather(table).max(0)
    return [tuple(row[row >= 0].tolist()) for row in table]


def gather(own: Evaluation, logged: Callable[[], Sequence[ObjectResult]]) -> Evaluation:
    """The evaluation of all processes together; waits until each has read the results.

    own: what this process did. logged: reads the results of all from the shared directory.
    """
    if jax.process_count() == 1:
        return own
    wait_for_all()
    names = {(result.image, result.object_id) for result in own.timed}
    taken_over = {(r.image, r.object_id) for r in own.results} - names
    numbers = np.array([own.seconds, own.answers_made, own.answers_needed], np.float64)
    seconds, made, needed = multihost_utils.process_allgather(numbers).T
    results = own.in_order(logged())
    wait_for_all()  # until all have read: one process puts the files together next
    return dataclasses.replace(
        own,
        results=results,
        timed=tuple(r for r in results if (r.image, r.object_id) not in taken_over),
        seconds=float(seconds.max()),
        answers_made=int(made.sum()),
        answers_needed=int(needed.sum()),
    )
