"""Requests one after the other, in the order in which they were made."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from .server import Refused, Reply, Request, understood

Send = Callable[[Request, Callable[[Reply], None]], None]
"""Sends a request and calls back with what came of it, at once or later."""


class Conversation:
    """Talks to a server without ever waiting for it.

    A request is made when it is its turn, as it may need what an earlier one has brought. When one
    is refused, those behind it are dropped: they were made for a state that did not come about.

    Args:
        send: how requests travel.
        failed: is told what was refused, a sentence.
        changed: is called whenever `busy` may have changed.
    """

    def __init__(
        self,
        send: Send,
        failed: Callable[[str], None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.failed = failed
        self._send = send
        self._changed = changed
        self._waiting: deque = deque()
        self._asking = False

    @property
    def busy(self) -> bool:
        """Whether an answer is being waited for."""
        return self._asking

    def ask(
        self,
        make: Callable[[], Request],
        done: Callable[[Any], None],
        refused: Callable[[str], None] | None = None,
    ) -> None:
        """Sends a request when all before it are answered.

        Args:
            done: is given the content of the reply.
            refused: is told instead of `failed`; what waits behind is dropped all the same.
        """
        self._waiting.append((make, done, refused))
        self._next()

    def _next(self) -> None:
        if self._asking or not self._waiting:
            return
        make, done, refused = self._waiting.popleft()
        self._asking = True
        self._changed()
        self._send(make(), lambda reply: self._answered(reply, done, refused))

    def _answered(self, reply: Reply, done: Callable, refused: Callable | None) -> None:
        self._asking = False
        try:
            content = understood(reply)
        except Refused as error:
            self._waiting.clear()
            (refused or self.failed)(str(error))
        else:
            done(content)
        self._next()
        if not self._asking:
            self._changed()
