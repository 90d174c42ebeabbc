"""How the server ends: the same by Ctrl-C, SIGTERM (supervisors) and SIGHUP (a closed terminal).

Requests get some seconds to end, the click at hand is computed, and the project is closed. Clicks
that wait are written down and are computed after the next start. The exit status is 130 after
Ctrl-C, as shells expect, and 0 after the other two: the server did as it was told, where 143 would
be a failure to systemd and in a pod.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

from fastapi import Response

from rsisrefiner_jax.annotate.guard import App, Message, Receive, Scope, Send

STOPPED, INTERRUPTED = 0, 130  # exit statuses


@contextlib.contextmanager
def by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise SystemExit in the block, as Ctrl-C does KeyboardInterrupt.

    A server takes SIGTERM for itself while it runs and passes it on at its end; SIGHUP comes as
    one, unless it is to be ignored (nohup).
    """

    def stop(number: int, frame: Any) -> None:
        raise SystemExit(STOPPED)

    def hang_up(number: int, frame: Any) -> None:
        signal.raise_signal(signal.SIGTERM)

    handlers: dict[signal.Signals, Any] = {signal.SIGTERM: stop}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        handlers[signal.SIGHUP] = hang_up
    with _handled(handlers):
        yield


def undisturbed() -> contextlib.AbstractContextManager[None]:
    """No further signal ends the block, short as it is."""
    numbers = [
        signal.SIGINT,
        signal.SIGTERM,
        *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []),
    ]
    return _handled(dict.fromkeys(numbers, signal.SIG_IGN))


@contextlib.contextmanager
def _handled(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # which alone may do so
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def answered(app: App) -> App:
    """An application that also answers requests that are cut off: 503, as a proxy would.

    The page takes that for a server that is away, and asks again once it is back.
    """

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await app(scope, receive, noted)
        except asyncio.CancelledError:
            if not started:
                await Response("the server is stopping", 503)(scope, receive, send)

    return application


def leave(status: int) -> NoReturn:
    """Ends the process without waiting for threads.

    They may compile a program, or write an export that nobody waits for any more.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the terminal is closed
            stream.flush()
    os._exit(status)
