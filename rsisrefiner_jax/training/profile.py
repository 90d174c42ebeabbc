"""A trace of some steps, for TensorBoard's or XProf's profile page and for Perfetto."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

WARM_UP = 3  # steps before the trace: they compile


class Profile:
    """Writes a trace of `steps` steps of a run, that begins after step `first`, into `folder`.

    steps: 0: none.
    """

    def __init__(self, folder: Path, first: int, steps: int) -> None:
        self._folder, self._running = folder, False
        self._begin = first + WARM_UP + 1
        self._end = self._begin + steps  # exclusive

    @contextlib.contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Around a step."""
        if number == self._begin < self._end:
            self._folder.mkdir(parents=True, exist_ok=True)
            jax.profiler.start_trace(self._folder, create_perfetto_trace=True)
            self._running = True
        with jax.profiler.StepTraceAnnotation("train", step_num=number):
            yield

    def finish(self, number: int, results: Any) -> None:
        """After step `number`: ends the trace with its last step, once that is computed."""
        if self._running and number + 1 >= self._end:
            jax.block_until_ready(results)
            self.close()

    def close(self) -> None:
        """Ends the trace, if it still runs."""
        if self._running:
            self._running = False
            jax.profiler.stop_trace()
            print(f"profile: {self._folder} (tensorboard --logdir, or its .json.gz in Perfetto)")
