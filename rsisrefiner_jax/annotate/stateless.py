"""The network without a project and a server, for tools that keep pictures and clicks themselves.

    segmenter = StatelessSegmenter("box")
    answer = segmenter.segment(picture_in(data, "image"), [Click(120.5, 90.5, True)])

Every question brings all that it is about. What is kept in between is kept in one place, by
`segmenter.Segmenter`: answers by picture and clicks so far, within a budget, so that clicks that go
on from earlier ones are answered at the price of one.
"""

import functools
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

from rsisrefiner_jax.annotate.loading import load
from rsisrefiner_jax.annotate.prompts import segmentation_task
from rsisrefiner_jax.annotate.segmenter import Picture, Segmentation, Segmenter
from rsisrefiner_jax.annotate.windows import Box, Click
from rsisrefiner_jax.annotate.worker import Worker
from rsisrefiner_jax.networks import DEFAULT, require_checkpoint

VARIABLE = "RSISREFINER_CHECKPOINT"
REMEMBERED = 512  # requests whose order of clicks is known

Point = tuple[float, float]  # x, y


class StatelessSegmenter:
    """Answers with a checkpoint's network. Any thread may ask.

    The network is loaded meanwhile, in a thread of its own; the first question waits for it. JAX
    does not survive a fork: make it in the process that asks.
    """

    def __init__(
        self, checkpoint: str | None = None, make: Callable[[], Segmenter] | None = None
    ) -> None:
        """checkpoint: a folder, or a packaged network's name; None = the environment variable
            RSISREFINER_CHECKPOINT, else the default of the package.
        make: makes another segmenter than the checkpoint's.

        Raises:
            UserError: there is no such checkpoint.
        """
        self.name = checkpoint or os.environ.get(VARIABLE) or DEFAULT
        self._worker = Worker(make or functools.partial(load, require_checkpoint(self.name)))

    def segment(
        self, picture: Picture, clicks: Sequence[Click], box: Box | None = None
    ) -> Segmentation:
        """The object that clicks mean, after those on a box; see `prompts.segmentation_task`.

        Raises:
            UserError: they cannot be meant, or the network could not be loaded.
        """
        task, whole = segmentation_task(picture, clicks, box)
        return self._worker.submit(lambda segmenter: segmenter.segment(task, whole)).result()

    def stop(self) -> None:
        """Answers nothing more."""
        self._worker.stop()


class ClickOrder:
    """Finds the order again in which clicks were made, for tools that send them in two lists.

    Any answer depends on it, as each click corrects the one before. So it is remembered from
    earlier requests: one that has all the clicks of an earlier one, and more, goes on from there.
    What is new comes last, positive before negative, as does all of it after a restart.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Hashable, tuple[Click, ...]], None] = OrderedDict()

    def restored(
        self, about: Hashable, positive: Sequence[Point], negative: Sequence[Point]
    ) -> tuple[Click, ...]:
        """The clicks in their order. about: what they were made on; others have no say in it."""
        lists = {True: [(x, y) for x, y in positive], False: [(x, y) for x, y in negative]}
        earlier: tuple[Click, ...] = ()
        for known, clicks in self._known:
            if known == about and len(clicks) >= len(earlier) and _begin(lists, clicks):
                earlier = clicks
        new = [
            Click(*point, sign)
            for sign, points in lists.items()
            for point in points[sum(click.positive == sign for click in earlier) :]
        ]
        key = about, (*earlier, *new)
        self._known[key] = None
        self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return key[1]


def _begin(lists: dict[bool, list[Point]], clicks: Sequence[Click]) -> bool:
    """Whether both lists of points begin with those of the clicks."""
    for sign, points in lists.items():
        own = [(click.x, click.y) for click in clicks if click.positive == sign]
        if points[: len(own)] != own:
            return False
    return True
