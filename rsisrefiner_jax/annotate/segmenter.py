"""The model on windows of rasters: the mask of a series of clicks, however large the raster.

The answer is a function of the picture, what it starts from, and the clicks, and of nothing else:
a session, its undo and redo, its replay after a crash and the stateless call all give the
same task, and what was answered lately is only kept for speed.

The first window is as large as the network's input, so that it is looked at pixel by pixel.
It doubles when a click lies outside, and when the clicked object reaches its border. Then a few
clicks are given again from the first on, in the larger window; of more the last alone is, on what
the others have led to, so that no click takes the time of many.

A window of the largest size moves instead. What it leaves behind stays as it is, until a click
brings a window back there; the network is told of the clicks in the present window only.
"""

import copy
import dataclasses
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import jax
import numpy as np

from rsisrefiner_jax.annotate.windows import LARGEST, Click, Windows, holds
from rsisrefiner_jax.data.raster import Window
from rsisrefiner_jax.formats.label_image import components
from rsisrefiner_jax.formats.masks import EMPTY, Mask, copy_shared
from rsisrefiner_jax.interaction import clicks as pixel_clicks
from rsisrefiner_jax.interaction.session import ClickSession, Programs

REPLAYED = 3  # clicks that are given again in a larger window

Array = jax.Array | np.ndarray


class Picture(Protocol):
    """A source of pixels. key: two pictures with the same key have the same pixels."""

    key: str
    height: int
    width: int

    def read(self, window: Window) -> np.ndarray:
        """RGB, uint8 [h, w, 3]."""
        ...


@dataclasses.dataclass(frozen=True)
class SegmentationTask:
    """What is clicked on. box: where to look first, (left, top, right, bottom). start: the mask
    that clicks refine, with a name for it that no other mask has."""

    picture: Picture
    box: tuple[float, float, float, float] | None = None
    start: Mask | None = None
    start_name: str = ""

    @property
    def key(self) -> tuple:
        return self.picture.key, self.box, self.start_name


@dataclasses.dataclass(frozen=True, eq=False)
class Segmentation:
    """mask: the whole object. window and probabilities (float32 [h, w]): where it was looked at."""

    mask: Mask
    window: Window
    probabilities: np.ndarray
    seconds: float

    @property
    def score(self) -> float:
        """The mean probability of the object's pixels in the window; 0 where there are none.

        It is not calibrated.
        """
        y, x, height, width = self.window
        inside = self.probabilities[self.mask.within(x, y, width, height)]
        return float(inside.mean()) if inside.size else 0.0


class _State(NamedTuple):
    """outside: the object beyond the window. No array in it is ever written to."""

    window: Window
    session: ClickSession
    outside: Mask

    @property
    def mask(self) -> Mask:
        """The whole object."""
        return self.outside.pasted(self.window.x, self.window.y, self.session.mask)

    def arrays(self) -> dict[int, int]:
        """The bytes of every array it holds; states share most of them."""
        leaves = [*jax.tree.leaves(vars(self.session)), self.outside.pixels]
        return {id(leaf): leaf.nbytes for leaf in leaves if isinstance(leaf, Array)}


class Segmenter:
    """Finds what clicks mean; one thread only, beside which another may call `warm_up`.

    Args:
        largest: side of the largest window, pixels.
        budget: bytes for answers that are kept.
    """

    def __init__(self, programs: Programs, largest: int = LARGEST, budget: int = 256 << 20) -> None:
        self._programs = programs
        self._largest = largest
        self._first = min(programs.model.image_size, largest)
        self._budget = budget
        self._kept: OrderedDict[tuple, _State] = OrderedDict()

    @property
    def image_size(self) -> int:
        """Side of the network's input, pixels."""
        return self._programs.model.image_size

    def warm_up(self) -> Iterator[int]:
        """Compiles what clicks need in windows of one side (yielded, pixels) after the other."""
        side = self._first
        while side < 2 * self._largest:
            window = np.zeros((min(side, self._largest),) * 2 + (3,), np.uint8)
            self._session(window).click(0, 0, True)
            yield len(window)
            side *= 2

    def segment(self, task: SegmentationTask, clicks: Sequence[Click]) -> Segmentation:
        """The mask of one click or more."""
        started = time.perf_counter()
        state = self._state_after(task, tuple(clicks))
        mask, probabilities = state.mask, state.session.probs
        return Segmentation(mask, state.window, probabilities, time.perf_counter() - started)

    def look_ahead(self) -> None:
        """Gets ready for a click after the last one; no answer changes by it."""
        if self._kept:
            next(reversed(self._kept.values())).session.look_ahead()

    def _state_after(self, task: SegmentationTask, clicks: tuple[Click, ...]) -> _State:
        known = len(clicks)
        while known and (task.key, clicks[:known]) not in self._kept:
            known -= 1
        state = self._kept[task.key, clicks[:known]] if known else None
        for count in range(known + 1, len(clicks) + 1):
            state = self._next(task, clicks[:count], state)
            self._keep((task.key, clicks[:count]), state)
        assert state is not None
        if (key := (task.key, clicks)) in self._kept:
            self._kept.move_to_end(key)
        return state

    def _keep(self, key: tuple, state: _State) -> None:
        self._kept[key] = state
        while len(self._kept) > 1 and self._size() > self._budget:
            self._kept.popitem(last=False)

    def _size(self) -> int:
        """Bytes of all that is kept."""
        arrays: dict[int, int] = {}
        for state in self._kept.values():
            arrays |= state.arrays()
        return sum(arrays.values())

    def _next(
        self, task: SegmentationTask, clicks: tuple[Click, ...], before: _State | None
    ) -> _State:
        """The state after the last click, given the one before it."""
        windows = self._windows(task.picture)
        if before is None:
            start = task.start
            box = task.box or (start.box if start and start.area else None)
            window = windows.at_first(box, clicks[0])
        else:
            window = before.window
        larger = windows.with_last(window, clicks)
        if before is None or larger != window:
            state = self._moved(task, clicks, before, larger)
        else:
            session = copy.copy(before.session)  # shares what is never written to
            session.click(*_in(window, clicks[-1]))
            state = before._replace(session=session)
        if self._cut_off(task.picture, state, clicks):
            window = state.window
            box = Mask(window.x, window.y, state.session.mask).trimmed().box
            grown = windows.grown(window, clicks, box)
            state = self._moved(task, clicks, state, grown)
        return state

    def _moved(
        self,
        task: SegmentationTask,
        clicks: tuple[Click, ...],
        before: _State | None,
        window: Window,
    ) -> _State:
        """The state after the last click in another window than that of `before`."""
        start = task.start or EMPTY
        whole = before.mask if before else start
        outside = _without(whole, window)
        inside = [_in(window, click) for click in clicks if holds(window, click)]
        # Given again only where nothing that they have led to is left behind.
        all_here = len(inside) == len(clicks) and outside.same(_without(start, window))
        carried = None if all_here and len(clicks) <= REPLAYED else before
        session = self._opened(task.picture, window)
        answered = len(inside) - 1 if carried else 0
        if carried or task.start:
            mask = whole if carried else start
            probs = mask.within(window.x, window.y, window.width, window.height)
            if carried:
                probs, was = probs.astype(np.float32), carried.window
                copy_shared(carried.session.probs, (was.x, was.y), probs, (window.x, window.y))
            session.set_mask(probs, inside[:answered])
        for click in inside[answered:]:
            session.click(*click)
        return _State(window, session, outside)

    def _opened(self, picture: Picture, window: Window) -> ClickSession:
        """A session on a window, which is neither read nor encoded again where it was lately."""
        for (task, _), state in self._kept.items():
            if task[0] == picture.key and state.window == window:
                session = copy.copy(state.session)  # shares what is never written to
                session.reset()
                return session
        return self._session(picture.read(window))

    def _session(self, window: np.ndarray) -> ClickSession:
        return ClickSession(self._programs, window, keep_history=False, square=self._first)

    def _windows(self, picture: Picture) -> Windows:
        return Windows(picture.width, picture.height, self._first, self._largest)

    def _cut_off(self, picture: Picture, state: _State, clicks: tuple[Click, ...]) -> bool:
        """Whether the clicked object reaches a border of the window beyond which there is more."""
        y, x, height, width = window = state.window
        if self._windows(picture).is_largest(window):
            return False
        open_sides = (y > 0, y + height < picture.height, x > 0, x + width < picture.width)
        if not any(open_sides):
            return False
        mask = state.session.mask
        sides = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
        if not any(beyond and side.any() for beyond, side in zip(open_sides, sides, strict=True)):
            return False
        parts = components(mask)
        added = [_in(window, c) for c in clicks if c.positive and holds(window, c)]
        mine = {int(parts[int(click.y), int(click.x)]) for click in added} - {0}
        borders = (parts[0], parts[-1], parts[:, 0], parts[:, -1])
        return any(
            beyond and np.isin(border, list(mine)).any()
            for beyond, border in zip(open_sides, borders, strict=True)
        )


def _without(mask: Mask, window: Window) -> Mask:
    """The part of a mask that lies outside a window."""
    return mask.pasted(window.x, window.y, np.zeros((window.height, window.width), bool))


def _in(window: Window, click: Click) -> pixel_clicks.Click:
    """On the pixel of the window that was clicked."""
    row, column = int(click.y) - window.y, int(click.x) - window.x
    y, x = min(max(row, 0), window.height - 1), min(max(column, 0), window.width - 1)
    return pixel_clicks.Click(y, x, click.positive)
