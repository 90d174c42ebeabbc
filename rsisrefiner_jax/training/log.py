"""Metrics of a run: JSON lines always, and what `training.writers` adds."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rsisrefiner_jax.atomic import atomic_file
from rsisrefiner_jax.training.writers import Writer, scalars

FILE = "metrics.jsonl"


class MetricsLog:
    """Appends one JSON object a line to `metrics.jsonl`.

    A run that goes on from step k drops the lines after k: they will be written again.
    """

    def __init__(
        self, workdir: Path, resume_step: int, batch_size: int = 1, writers: Sequence[Writer] = ()
    ):
        path = workdir / FILE
        lines = path.read_text().splitlines() if path.exists() else []
        kept = [line for line in lines if _step(line) <= resume_step]
        with atomic_file(path) as file:  # a kill or a full disk must not cost what is logged
            file.write("".join(line + "\n" for line in kept).encode())
        self._file = path.open("a")
        self._writers = writers
        self._batch_size, self._first, self._started = batch_size, resume_step, time.time()

    def write_step(self, step: int, metrics: Mapping[str, Any]) -> dict[str, str]:
        """Writes the metrics of a step and the samples a second; returns some for people."""
        values = {name: float(value) for name, value in metrics.items() if name != "finite"}
        rate = (step - self._first) * self._batch_size / (time.time() - self._started)
        self.write(step, values | {"samples_per_second": round(rate, 3)})
        loss, iou = values["loss"], values["iou"]
        return {"loss": f"{loss:.4f}", "iou": f"{iou:.3f}", "samples_s": f"{rate:.1f}"}

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Writes numbers, or lists of them, of a step."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        for writer in self._writers:
            writer.write(step, scalars(values))

    def flush(self) -> None:
        """Writers hand on what they hold back: a step that is saved is not logged again."""
        for writer in self._writers:
            writer.flush()

    def close(self) -> None:
        self._file.close()
        for writer in self._writers:
            writer.close()


def read_lines(workdir: Path) -> list[dict[str, Any]]:
    """What is logged, a dictionary a line; a line cut short by a crash is left out."""
    path = workdir / FILE
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if _step(line) < math.inf]


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):
        return math.inf  # a line cut short by a crash
