"""The click loop around an external predictor, with the host in it.

Clicks are chosen, counted and stopped by the rules of our own loop (`annotator`, `metrics`).
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from rsisrefiner_jax.interaction import metrics
from rsisrefiner_jax.interaction.annotator import ClickRule
from rsisrefiner_jax.interaction.clicks import Click
from rsisrefiner_jax.interaction.external import Asked, Question
from rsisrefiner_jax.interaction.external_views import Square, View, WholePicture, ZoomIn
from rsisrefiner_jax.interaction.loop import Loop
from rsisrefiner_jax.interaction.simulate import Trace, iou, next_click
from rsisrefiner_jax.interaction.slots import Item
from rsisrefiner_jax.protocol import Protocol


def click_objects(
    asked: Asked,
    items: Iterator[Item],
    protocol: Protocol,
    zoom_in_size: int | None,
    batch_size: int,
) -> Iterator[tuple[Item, Trace]]:
    """Every item with its trace as it finishes.

    zoom_in_size: None = whole pictures. batch_size: objects in flight, where the predictor takes
    batches.
    """
    view_of = _view_of(protocol, zoom_in_size)
    rule = ClickRule(protocol.click_strategy, protocol.click_jitter)
    room = batch_size if asked.takes_batches else 1
    running: list[_Running] = []
    while True:
        new = itertools.islice(items, room - len(running))
        running += [_Running(item, view_of(item.image)) for item in new]
        if not running:
            return
        questions = [one.ask(protocol, rule) for one in running]
        answers = iter(asked.answers([each for asks in questions for each in asks]))
        for one, asks in zip(running, questions, strict=True):
            one.take(list(itertools.islice(answers, len(asks))), protocol)
        yield from ((one.item, one.trace()) for one in running if one.is_done(protocol))
        running = [one for one in running if not one.is_done(protocol)]


def _view_of(protocol: Protocol, zoom_in_size: int | None) -> Callable[[np.ndarray], View]:
    if zoom_in_size is None:
        return WholePicture
    loop = Loop(Square(image_size=zoom_in_size), protocol, rows=1)
    return lambda image: ZoomIn(image, loop)


class ExternalSession:
    """One object that is clicked where one is told, as a `ClickSession` is.

    image: uint8 [h, w, 3], RGB. zoom_in_size: as in `click_objects`.
    """

    def __init__(
        self, asked: Asked, image: np.ndarray, protocol: Protocol, zoom_in_size: int | None
    ) -> None:
        self._asked = asked
        self._view = _view_of(protocol, zoom_in_size)(image)

    def click(self, y: float, x: float, positive: bool) -> np.ndarray:
        """Adds a click and returns the new probabilities, float32 [h, w]."""
        questions = self._view.ask(Click(y, x, positive))
        self._view.take(self._asked.answers(questions))
        return self.probs

    @property
    def probs(self) -> np.ndarray:
        """float32 [h, w]: probability of object at image size."""
        return self._view.probs

    @property
    def roi(self) -> tuple[int, ...] | None:
        """The crop in force; None without zoom-in."""
        return self._view.roi


@dataclasses.dataclass
class _Running:
    """An object in flight."""

    item: Item
    view: View
    ious: list[float] = dataclasses.field(default_factory=list)
    rois: list[tuple[int, ...] | None] = dataclasses.field(default_factory=list)

    def ask(self, protocol: Protocol, rule: ClickRule) -> list[Question]:
        """The next click, as questions."""
        mask = self.view.probs > protocol.pred_thr
        click = next_click(self.item.target, mask, self.view.clicks, rule, self.item.seed)
        return self.view.ask(click)

    def take(self, answers: list[np.ndarray], protocol: Protocol) -> None:
        """Counts the click that is answered."""
        self.view.take(answers)
        self.ious.append(iou(self.item.target, self.view.probs > protocol.pred_thr))
        self.rois.append(self.view.roi)

    def is_done(self, protocol: Protocol) -> bool:
        """Whether that was the last click."""
        return bool(metrics.is_done(self.ious[-1], len(self.ious), protocol))

    def trace(self) -> Trace:
        """What happened."""
        ious = np.asarray(self.ious, np.float32)
        return Trace(self.view.clicks, ious, tuple(self.rois), self.view.probs)
