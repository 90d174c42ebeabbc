"""Metrics of a run: JSON lines always, TensorBoard where it is installed."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class MetricsLog:
    """Appends one JSON object a line to `metrics.jsonl`.

    A run that goes on from step k drops the lines after k: they will be written again.
    """

    def __init__(self, workdir: Path, resume_step: int, batch_size: int = 1):
        path = workdir / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        kept = [line for line in lines if _step(line) <= resume_step]
        path.write_text("".join(line + "\n" for line in kept))
        self._file = path.open("a")
        self._board = _tensorboard(workdir)
        self._batch_size, self._first, self._started = batch_size, resume_step, time.time()

    def write_step(self, step: int, metrics: Mapping[str, Any]) -> dict[str, str]:
        """Writes the metrics of a step and the samples a second; returns some for people.

        Raises:
            FloatingPointError: the loss is not a number.
        """
        values = {name: float(value) for name, value in metrics.items()}
        rate = (step - self._first) * self._batch_size / (time.time() - self._started)
        self.write(step, values | {"samples_per_second": round(rate, 3)})
        loss, iou = values["loss"], values["iou"]
        return {"loss": f"{loss:.4f}", "iou": f"{iou:.3f}", "samples_s": f"{rate:.1f}"}

    def write(self, step: int, values: dict[str, float]) -> None:
        """Raises FloatingPointError when the loss is not a number."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
        if not math.isfinite(values.get("loss", 0.0)):
            raise FloatingPointError(f"the loss became {values['loss']} at step {step}")

    def close(self) -> None:
        self._file.close()
        if self._board:
            self._board.close()


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):
        return math.inf  # a line cut short by a crash


def _tensorboard(workdir: Path):
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(workdir))
