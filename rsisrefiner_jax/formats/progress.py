"""How far long work on many objects is, and whether it is still wanted."""

import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class Cancelled(Exception):
    """The work is not wanted any more."""


class Progress:
    """Counted by the thread that works, read and cancelled by others.

    total: how many steps there are, 0 as long as that is unknown; done: how many are done.
    """

    def __init__(self) -> None:
        self.total = 0
        self.done = 0
        self._began = 0.0
        self._cancelled = threading.Event()

    def begin(self, total: int) -> None:
        """The steps are known and the first one begins."""
        self.total = total
        self._began = time.monotonic()

    def each(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, each of them a step. Raises Cancelled."""
        for item in items:
            self.check()
            yield item
            self.done += 1

    def check(self) -> None:
        """Raises Cancelled when it is so."""
        if self._cancelled.is_set():
            raise Cancelled

    def cancel(self) -> None:
        """Makes the worker stop at its next step."""
        self._cancelled.set()

    @property
    def seconds_left(self) -> float | None:
        """About how long it will take, once that can be told from the steps done."""
        passed = time.monotonic() - self._began
        if not 0 < self.done <= self.total or passed < 1:
            return None
        return passed * (self.total - self.done) / self.done
