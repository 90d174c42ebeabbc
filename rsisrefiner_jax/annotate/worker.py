"""The thread that runs the model, and the queue of work for it."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from rsisrefiner_jax.annotate.refusals import Conflict, NotReady
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
        self._changing = threading.Lock()
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

    def change(self, load: Callable[[], Segmenter], chosen: Callable[[], None]) -> None:
        """Goes on with another model; the present one answers until that one is ready.

        What was answered stays as it is: answers are kept elsewhere.

        Args:
            chosen: called when it is ready, before it answers anything.

        Raises:
            Conflict: a model is being loaded already.
            UserError: it cannot be loaded; the present one goes on.
        """
        if not self._loaded.is_set() or not self._changing.acquire(blocking=False):
            raise Conflict("a network is being loaded; choose another one when it is ready")
        try:
            segmenter = load()
            larger = segmenter.warm_up()
            next(larger)
            chosen()
            self._begin(segmenter, larger)
        finally:
            self._changing.release()

    def _begin(self, segmenter: Segmenter, larger: Iterator[int]) -> None:
        """Answers with a model from now on."""
        self.segmenter, self.error = segmenter, None
        compiling = threading.Thread(target=self._compile, args=(segmenter, larger), daemon=True)
        compiling.start()
        self._warm_up = compiling  # `stop` may wait for it now

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
        try:
            segmenter = self._load()
            larger = segmenter.warm_up()
            next(larger)
            self._begin(segmenter, larger)
        except UserError as error:
            self.error = str(error)
        except Exception as error:  # said to every client, instead of a queue that never moves
            self.error = f"{type(error).__name__}: {error}"
        self._loaded.set()
        self._work()

    def _compile(self, segmenter: Segmenter, larger: Iterator[int]) -> None:
        """What clicks in larger windows need, while others are answered."""
        for _ in larger:
            if self._stopped.is_set() or self.segmenter is not segmenter:
                return

    def _work(self) -> None:
        while item := self._jobs.get():
            future, job = item
            if not future.set_running_or_notify_cancel():
                continue
            segmenter = self.segmenter
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
