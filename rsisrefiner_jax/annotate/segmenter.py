"""The model on windows of rasters: what a row of clicks comes to, however large the raster.

The answer is a function of the picture, what it starts from, and the clicks, and of nothing else:
a session, its undo and redo, its replay after a crash and the stateless call all ask the same
question, and what was answered lately is only kept for speed.

The first window is as large as the network's input, so that it is looked at pixel by pixel.
It doubles when a click lies outside, and when the clicked object reaches its border. Then a few
clicks are given again from the first on, in the larger window; of more the last alone is, on what
the others have led to, so that no click takes the time of many.
"""

import copy
import dataclasses
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import cv2
import jax
import numpy as np

from rsisrefiner_jax.annotate.masks import EMPTY, Mask, copy_shared, union_box
from rsisrefiner_jax.data.raster import Window
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.evaluation import clicker
from rsisrefiner_jax.evaluation.session import ClickSession, Programs

LARGEST = 4096  # pixels, side of a window
LOOK = 1.4  # how much wider than a box or mask the window about it is
REPLAYED = 3  # clicks that are given again in a larger window


class Picture(Protocol):
    """Where pixels come from. key: two pictures of the same have the same pixels."""

    key: str
    height: int
    width: int

    def read(self, window: Window) -> np.ndarray:
        """RGB, uint8 [h, w, 3]."""
        ...


class Click(NamedTuple):
    """In pixels of the raster."""

    x: float
    y: float
    positive: bool


@dataclasses.dataclass(frozen=True)
class Question:
    """box: where to look first, (left, top, right, bottom). start: the mask that clicks refine,
    with a name for it that no other mask has."""

    picture: Picture
    box: tuple[float, float, float, float] | None = None
    start: Mask | None = None
    start_name: str = ""

    @property
    def key(self) -> tuple:
        return self.picture.key, self.box, self.start_name


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """mask: the whole object. window and probabilities (float32 [h, w]): where it was looked at."""

    mask: Mask
    window: Window
    probabilities: np.ndarray
    seconds: float


class _Moment(NamedTuple):
    window: Window
    session: ClickSession

    def arrays(self) -> dict[int, int]:
        """The bytes of every array it holds; moments share most of them."""
        leaves = jax.tree.leaves(vars(self.session))
        return {id(leaf): leaf.nbytes for leaf in leaves if isinstance(leaf, jax.Array)}


class Segmenter:
    """Answers questions; one thread only, beside which another may call `warm_up`.

    Args:
        largest: side of the largest window, pixels.
        budget: bytes for answers that are kept.
    """

    def __init__(self, programs: Programs, largest: int = LARGEST, budget: int = 256 << 20) -> None:
        self._programs = programs
        self._largest = largest
        self._first = min(programs.network.image_size, largest)
        self._budget = budget
        self._kept: OrderedDict[tuple, _Moment] = OrderedDict()

    @property
    def image_size(self) -> int:
        """Side of the network's input, pixels."""
        return self._programs.network.image_size

    def warm_up(self) -> Iterator[int]:
        """Compiles what clicks need in windows of one side (yielded, pixels) after the other."""
        side = self._first
        while side < 2 * self._largest:
            window = np.zeros((min(side, self._largest),) * 2 + (3,), np.uint8)
            self._session(window).click(0, 0, True)
            yield len(window)
            side *= 2

    def answer(self, question: Question, clicks: Sequence[Click]) -> Answer:
        """What the clicks, at least one, come to.

        Raises:
            UserError: they lie too far apart for one window.
        """
        started = time.perf_counter()
        moment = self._moment(question, tuple(clicks))
        window, session = moment
        start = question.start or EMPTY
        mask = start.pasted(window.x, window.y, session.mask)
        return Answer(mask, window, session.probs, time.perf_counter() - started)

    def _moment(self, question: Question, clicks: tuple[Click, ...]) -> _Moment:
        known = len(clicks)
        while known and (question.key, clicks[:known]) not in self._kept:
            known -= 1
        moment = self._kept[question.key, clicks[:known]] if known else None
        for count in range(known + 1, len(clicks) + 1):
            moment = self._next(question, clicks[:count], moment)
            self._keep((question.key, clicks[:count]), moment)
        assert moment is not None
        if (key := (question.key, clicks)) in self._kept:
            self._kept.move_to_end(key)
        return moment

    def _keep(self, key: tuple, moment: _Moment) -> None:
        self._kept[key] = moment
        while len(self._kept) > 1 and self._size() > self._budget:
            self._kept.popitem(last=False)

    def _size(self) -> int:
        """Bytes of all that is kept."""
        arrays: dict[int, int] = {}
        for moment in self._kept.values():
            arrays |= moment.arrays()
        return sum(arrays.values())

    def _next(
        self, question: Question, clicks: tuple[Click, ...], before: _Moment | None
    ) -> _Moment:
        """The moment after the last click, given the one before it."""
        window = before.window if before else self._first_window(question, clicks[0])
        larger = self._holding(question, window, clicks)
        if before is None or larger != window:
            moment = self._moved(question, clicks, before, larger)
        else:
            session = copy.copy(before.session)  # shares what is never written to
            session.click(*_in(window, clicks[-1]))
            moment = _Moment(window, session)
        if self._cut_off(question, moment, clicks):
            grown = self._grown(question, moment.window, clicks, moment.session.mask)
            moment = self._moved(question, clicks, moment, grown)
        return moment

    def _moved(
        self, question: Question, clicks: tuple[Click, ...], before: _Moment | None, window: Window
    ) -> _Moment:
        """The moment after the last click in another window than that of `before`."""
        session = self._session(question.picture.read(window))
        inside = [_in(window, click) for click in clicks]
        carried = before if len(clicks) > REPLAYED else None
        answered = len(clicks) - 1 if carried else 0
        if carried or question.start:
            start = question.start or EMPTY
            probs = start.within(window.x, window.y, window.width, window.height)
            if carried:
                probs, was = probs.astype(np.float32), carried.window
                copy_shared(carried.session.probs, (was.x, was.y), probs, (window.x, window.y))
            session.set_mask(probs, inside[:answered])
        for click in inside[answered:]:
            session.click(*click)
        return _Moment(window, session)

    def _session(self, window: np.ndarray) -> ClickSession:
        return ClickSession(self._programs, window, keep_history=False, square=True)

    def _first_window(self, question: Question, click: Click) -> Window:
        centre, side = (click.x, click.y), self._first
        box = question.box or (question.start.box if question.start else None)
        if box is not None:
            left, top, right, bottom = box
            wanted = int(LOOK * max(right - left, bottom - top))
            if wanted <= self._largest:
                centre, side = ((left + right) / 2, (top + bottom) / 2), max(side, wanted)
            else:
                side = self._largest
        return self._window(question.picture, centre, side)

    def _holding(self, question: Question, window: Window, clicks: tuple[Click, ...]) -> Window:
        """The window, grown until it holds the last click with room around it."""
        while not self._comfortable(question.picture, window, clicks[-1]):
            if max(window.height, window.width) >= self._largest:
                return self._window(question.picture, _middle(clicks), self._largest)
            window = self._grown(question, window, clicks, None)
        return window

    def _comfortable(self, picture: Picture, window: Window, click: Click) -> bool:
        margin = min(self._first // 8, window.width // 4, window.height // 4)
        y, x, height, width = window
        left = x if x == 0 else x + margin
        top = y if y == 0 else y + margin
        right = x + width if x + width == picture.width else x + width - margin
        bottom = y + height if y + height == picture.height else y + height - margin
        return left <= click.x <= right and top <= click.y <= bottom

    def _cut_off(self, question: Question, moment: _Moment, clicks: tuple[Click, ...]) -> bool:
        """Whether the clicked object reaches a border of the window beyond which there is more."""
        y, x, height, width = moment.window
        picture = question.picture
        if max(height, width) >= self._largest:
            return False
        open_sides = (y > 0, y + height < picture.height, x > 0, x + width < picture.width)
        if not any(open_sides):
            return False
        mask = moment.session.mask
        sides = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
        if not any(beyond and side.any() for beyond, side in zip(open_sides, sides, strict=True)):
            return False
        _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
        added = (_in(moment.window, click) for click in clicks if click.positive)
        mine = {int(parts[int(click.y), int(click.x)]) for click in added} - {0}
        borders = (parts[0], parts[-1], parts[:, 0], parts[:, -1])
        return any(
            beyond and np.isin(border, list(mine)).any()
            for beyond, border in zip(open_sides, borders, strict=True)
        )

    def _grown(
        self,
        question: Question,
        window: Window,
        clicks: tuple[Click, ...],
        mask: np.ndarray | None,
    ) -> Window:
        """Twice as large, about the clicks and the object."""
        side = min(2 * max(window.height, window.width), self._largest)
        boxes = [(int(c.x), int(c.y), int(c.x) + 1, int(c.y) + 1) for c in clicks]
        if mask is not None:
            boxes.append(Mask(window.x, window.y, mask).trimmed().box)
        left, top, right, bottom = union_box(boxes)
        if max(right - left, bottom - top) > side:
            return self._window(question.picture, _middle(clicks), side)
        return self._window(question.picture, ((left + right) / 2, (top + bottom) / 2), side)

    @staticmethod
    def _window(picture: Picture, centre: tuple[float, float], side: int) -> Window:
        """A square about a point, moved into the picture and cut to it."""
        width, height = min(side, picture.width), min(side, picture.height)
        # By whole pixels: where within its pixel a click lies must not matter.
        x = min(max(int(centre[0]) - width // 2, 0), picture.width - width)
        y = min(max(int(centre[1]) - height // 2, 0), picture.height - height)
        return Window(y, x, height, width)


def require_reach(clicks: Sequence[Click], largest: int = LARGEST) -> None:
    """Raises UserError when clicks lie too far apart for one window."""
    for values in ([c.x for c in clicks], [c.y for c in clicks]):
        require(
            max(values) - min(values) <= largest - 256,
            f"this click is more than {largest - 256} pixels away from another one of the same "
            "object; finish it and refine it from there",
        )


def _middle(clicks: Sequence[Click]) -> tuple[float, float]:
    xs, ys = [c.x for c in clicks], [c.y for c in clicks]
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def _in(window: Window, click: Click) -> clicker.Click:
    """On the pixel of the window that was clicked."""
    row, column = int(click.y) - window.y, int(click.x) - window.x
    y, x = min(max(row, 0), window.height - 1), min(max(column, 0), window.width - 1)
    return clicker.Click(y, x, click.positive)
