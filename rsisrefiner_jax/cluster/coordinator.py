"""Says why jax aborts this process: process 0, the coordinator, is gone.

jax calls abort() from a thread of its own seconds after it has lost the coordinator, and takes no
function to call instead (its callback needs a type that Python does not have: jaxlib 0.10).
"""

import ctypes
import os
import signal
import socket

import jax
from jax._src import distributed

from rsisrefiner_jax.cluster.leaving import leave

GONE = "error: process 0, the coordinator, is gone: killed, or its machine is"
_TIMEOUT = 5.0  # seconds
_kept: list[object] = []  # what C code calls must not be collected


def explain_aborts() -> None:
    """An abort for want of the coordinator becomes its sentence and exit code 1; others stay."""
    if jax.process_index() == 0 or os.name != "posix":
        return

    library = ctypes.CDLL(None)

    def handler(number: int) -> None:
        if not _listens(distributed.global_state.coordinator_address):
            leave(1, GONE)
        library.signal(number, None)  # what the system does by itself
        os.kill(os.getpid(), number)

    # Python runs its own handlers in the main thread, which no longer comes to it.
    called = ctypes.CFUNCTYPE(None, ctypes.c_int)(handler)
    _kept.append(called)
    library.signal(int(signal.SIGABRT), called)


def _listens(address: str | None) -> bool:
    """Whether somebody takes connections at HOST:PORT."""
    host, _, port = (address or "").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT).close()
    except (OSError, ValueError):
        return False
    return True
