"""Something done every few seconds beside everything else."""

import threading
from collections.abc import Callable


class RepeatingTimer:
    """Calls `job` every `seconds` in a thread of its own, from one pause after now until `stop`.

    `job` deals with its own errors.
    """

    def __init__(self, seconds: float, job: Callable[[], None], name: str) -> None:
        self._seconds = seconds
        self._job = job
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Lets a call that has begun end; there is none afterwards."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            self._job()
