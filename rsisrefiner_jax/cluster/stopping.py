"""How a run is asked to end: Ctrl-C, SIGTERM, SIGUSR1 (Slurm's early notice) and SIGHUP.

Before the first step there is nothing to save, and the process leaves at once, even while a
program is being compiled. From then on the step at hand is finished and saved. If that takes longer
than GRACE (another program is compiled, or objects are clicked to validate) the process leaves with
what was saved before. SIGUSR1 comes ahead of a SIGTERM, so that it alone sets no such limit.

Several processes have to end at the same step. jax's preemption service finds it once one of them
gets SIGTERM; all signals are told to it as that one.
"""

import contextlib
import ctypes
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import jax
from jax._src import distributed
from jax.experimental import multihost_utils

from rsisrefiner_jax.cluster.leaving import leave
from rsisrefiner_jax.errors import STOP_SIGNALS, STOPPED

GRACE = 25.0  # seconds; schedulers kill after 30 as a rule
AHEAD = getattr(signal, "SIGUSR1", None)  # Windows has none


class StopRequest:
    """What signals ask for."""

    def __init__(self) -> None:
        self.number: int | None = None  # the signal, once there was one
        self.saved: int | None = None  # the newest step that is on the disk
        self.tell: Callable[[int, str], None] = lambda code, sentence: None  # other processes
        self._in_loop = False
        self._preempt: Callable[[int], Any] | None = None  # tells jax's preemption service
        self._clock: threading.Thread | None = None
        self._ended = threading.Event()

    @property
    def code(self) -> int:
        """The exit code that this end has. Several processes end with the same one."""
        alone = self._preempt is None
        return 130 if alone and self.number == signal.SIGINT else STOPPED

    def begin_loop(self, step: int) -> None:
        """From now on, after `step`, steps are finished and saved. 0: nothing is saved yet."""
        self.saved, self._in_loop = step or None, True
        if jax.process_count() > 1:
            self._preempt = _preemption()
            if self.number is not None:  # it came meanwhile
                self._preempt(signal.SIGTERM)

    def asked(self, step: int) -> bool:
        """Whether to save after `step` and end; to be called after every step, by all processes."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self.number is not None

    def receive(self, number: int) -> None:
        """What is done about a signal, in the thread that waits for them."""
        if not self._in_loop:
            self.number = number
            self._leave(" before the first step of this start; nothing is lost")
        if self.number is None:
            self.number = number
            again = "; Ctrl-C again to stop at once" if number == signal.SIGINT else ""
            _say(f"\n{signal.Signals(number).name}: stopping after this step{again}\n")
            if self._preempt:
                self._preempt(signal.SIGTERM)
        elif number == signal.SIGINT:
            self._leave(f": {self._kept()}")
        if number != AHEAD and self._clock is None:
            self._clock = threading.Thread(target=self._lose_patience, daemon=True)
            self._clock.start()

    def end(self) -> None:
        """The run has ended by itself."""
        self._ended.set()

    def _lose_patience(self) -> None:
        if not self._ended.wait(GRACE):
            self._leave(f": not ended within {GRACE:.0f} s; {self._kept()}")

    def _kept(self) -> str:
        return "no step was saved yet" if self.saved is None else f"step {self.saved} is saved"

    def _leave(self, where: str) -> NoReturn:
        name = signal.Signals(self.number or signal.SIGTERM).name
        sentence = f"stopped by {name}{where}; the same command goes on from there"
        self.tell(self.code, sentence)
        leave(self.code, sentence)


_tell_service: Callable[[int], Any] | None = None  # of this process, once it is started


def _preemption() -> Callable[[int], Any]:
    """Starts jax's preemption service; the function that tells it of a SIGTERM.

    Only once the loop runs (joining.py keeps it back): before, nobody asks it.
    """
    global _tell_service
    service = distributed.global_state
    if _tell_service is None and service.preemption_sync_manager is not None:
        service.preemption_sync_manager.shutdown()  # a caller's, whose handler ours has replaced
        service.preemption_sync_manager = None
    if service.preemption_sync_manager is None:
        jax.config.update("jax_enable_preemption_service", True)
        ours = signal.getsignal(signal.SIGTERM)
        service.initialize_preemption_sync_manager()
        _tell_service = _c_handler(signal.SIGTERM)
        # Its handler is in the place of ours, which counts the seconds as well.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ours)
    assert _tell_service
    return _tell_service


def _c_handler(number: int) -> Callable[[int], Any]:
    """The C function that handles a signal: the first field of POSIX's struct sigaction."""
    action = (ctypes.c_void_p * 64)()
    ctypes.CDLL(None).sigaction(number, None, action)
    handler = action[0] or 0
    if handler <= 1:  # the default, or ignored: there is no function
        return lambda number: None
    return ctypes.CFUNCTYPE(None, ctypes.c_int)(handler)


@contextlib.contextmanager
def stop_request() -> Iterator[StopRequest]:
    """The signals are taken within the block; on another thread than the main one, none is."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # What comes ignored (nohup, a job in the background) stays so.
    taken = [n for n in STOP_SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
    # Python's own handlers wait for the main thread, which may be compiling for minutes: they do
    # nothing, and a thread reads what the C handler writes.
    before = {number: signal.signal(number, lambda *_: None) for number in taken}
    descriptor = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    ended = threading.Event()
    thread = threading.Thread(target=_wait, args=(reading, request, ended), daemon=True)
    thread.start()
    try:
        yield request
    finally:
        request.end()
        ended.set()
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.write(writing, b"\0")
        thread.join()
        os.close(reading)
        os.close(writing)


def _wait(reading: int, request: StopRequest, ended: threading.Event) -> None:
    while not ended.is_set():
        select.select([reading], [], [])
        for number in os.read(reading, 64):
            if number in STOP_SIGNALS and not ended.is_set():
                request.receive(number)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, text.encode())
