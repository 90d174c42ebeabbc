"""The thread that runs the model, and the queue of work for it."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from rsisrefiner_jax.annotate.refusals import NotReady
from rsisrefiner_jax.annotate.segmenter import Segmenter
from rsisrefiner_jax.errors import UserError

PATIENCE = 5.0  # seconds; supervisors kill after ten


class Worker:
    """Runs jobs on the model, one after the other, in the order in which they came.

    Args:
        load: makes the model; called in the thread, so that the server answers meanwhile.
    """

    def __init__(self, load: Callable[[], Segmenter]) -> None:
        self._load = load
        self._jobs: queue.SimpleQueue[tuple[Future, Callable[[Segmenter], Any]] | None]
        self._jobs = queue.SimpleQueue()
        self.segmenter: Segmenter | None = None
        self.error: str | None = None
        self._stopped = threading.Event()
        self._loaded = threading.Event()  # or failed to be
        self._warm_up: threading.Thread | None = None
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether a click is computed at once."""
        return self.segmenter is not None

    def submit(self, job: Callable[[Segmenter], Any]) -> Future:
        """Its result, once it is its turn; cancelled when the worker stops before that.

        Raises:
            NotReady: the model could not be loaded.
        """
        self.check()
        future: Future = Future()
        self._jobs.put((future, job))
        if self._stopped.is_set():
            self.refuse()
        return future

    def check(self) -> None:
        """Raises NotReady: the model could not be loaded."""
        if self.error is not None:
            raise NotReady(f"the model could not be loaded: {self.error}")

    def refuse(self) -> None:
        """Cancels the jobs that wait, and all that come; the one at hand goes on."""
        self._stopped.set()
        with contextlib.suppress(queue.Empty):
            while True:
                if item := self._jobs.get_nowait():
                    item[0].cancel()
        self._jobs.put(None)

    def stop(self, compiled: bool = True) -> None:
        """Lets the job at hand end, within PATIENCE seconds, and no other begin.

        compiled: lets also the program end that is being compiled, within as many.
        """
        self.refuse()
        if self._loaded.is_set():  # nothing is at hand before
            self._thread.join(PATIENCE)
        if self._warm_up is not None and compiled:
            self._warm_up.join(PATIENCE)

    def _run(self) -> None:
        segmenter = None
        try:
            segmenter = self._load()
            larger = segmenter.warm_up()
            next(larger)
            self.segmenter = segmenter
            self._warm_up = threading.Thread(target=self._compile, args=(larger,), daemon=True)
            self._warm_up.start()
        except UserError as error:
            self.error = str(error)
        except Exception as error:  # said to every client, instead of a queue that never moves
            self.error = f"{type(error).__name__}: {error}"
        self._loaded.set()
        self._work(segmenter)

    def _compile(self, warm_up: Iterator[int]) -> None:
        """What clicks in larger windows need, while others are answered."""
        for _ in warm_up:
            if self._stopped.is_set():
                return

    def _work(self, segmenter: Segmenter | None) -> None:
        while item := self._jobs.get():
            future, job = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if segmenter is None or self.error is not None:
                    raise NotReady(f"the model could not be loaded: {self.error}")
                result = job(segmenter)
            except BaseException as error:
                future.set_exception(error)
                continue
            future.set_result(result)
            if self._jobs.empty():
                with contextlib.suppress(Exception):  # said where a click comes to it
                    segmenter.look_ahead()
