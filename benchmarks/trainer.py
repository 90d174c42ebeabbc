"""A small training as processes that are stopped and started again, and what must come of it."""

import contextlib
import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsisrefiner_jax.checkpoint.runs import load_weights

ROOT = Path(__file__).parent.parent
PATIENCE = 900.0  # seconds that a start may take on a busy machine
POLL = 0.002  # seconds
UNFINISHED = "orbax-checkpoint-tmp"  # in the name of a checkpoint that is being written
# A network of seconds with the parts of a large one, on top of configs/quickstart.py. It logs
# every step, saves every fourth and shows every fifth.
SMALL = (
    *("model.image_size=64", "model.width=16", "model.depth=2", "model.heads=2"),
    *("model.adapter_heads=2", "model.early_blocks=[1,2]", "model.fpn_channels=[8,8,8,8]"),
    *("model.extractor_channels=[8,8,8,8]", "model.mask_channels=[8,8,8,8]"),
    *("data.train=[synthetic:train@96]", "data.eval=[synthetic:test@96]", "data.threads=1"),
    *("data.min_object_area=64", "train.batch_size=8", "train.epochs=1", "train.csv=True"),
    *("train.log_every=1", "train.checkpoint_every=4", "train.preview_every=5"),
    *("clicks.iterations=[1,1]", "optim.warmup_steps=0", "parallel.patience=20"),
)


class Trainer:
    """train.py on one work directory, as one process or several.

    codes: the exit codes of the last start, once it has ended.
    """

    def __init__(
        self,
        workdir: Path,
        logs: Path,
        cache: Path,
        flags: Sequence[str],
        processes: int = 1,
        devices: int = 1,
        program: Path = ROOT / "train.py",
        float64: bool = False,
    ) -> None:
        """flags: of train.py. cache: compiled programs. devices: of each process."""
        self.workdir, self._logs, self._cache = workdir, logs, cache
        self._flags, self._program = [*flags, "--workdir", str(workdir)], program
        self.processes, self.devices, self._float64 = processes, devices, float64
        self.starts = 0
        self._running: list[subprocess.Popen] = []
        self._before: set[Any] = set()
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, *flags: str, cache: Path | None = None) -> None:
        """Starts all processes. cache: another place for compiled programs."""
        self.starts += 1
        made = (self.workdir / "metrics.jsonl", *self._unfinished())
        self._before = {_stamp(path) for path in made}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",  # what a killed process has said is in its log
            "JAX_PLATFORMS": "cpu",
            "JAX_NUM_CPU_DEVICES": str(self.devices),
            "JAX_ENABLE_X64": str(int(self._float64)),
            "JAX_COMPILATION_CACHE_DIR": str(cache or self._cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        self._running = []
        for process in range(self.processes):
            joined = ("--coordinator", f"127.0.0.1:{port}", "--processes", str(self.processes))
            several = (*joined, "--process", str(process)) if self.processes > 1 else ()
            with self._log(process).open("w") as log:
                command = [sys.executable, str(self._program), *self._flags, *several, *flags]
                self._running.append(
                    subprocess.Popen(
                        command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
                    )
                )

    def strike(self, number: signal.Signals, processes: Sequence[int]) -> None:
        """Sends a signal to some of the processes."""
        for process in processes:
            self._running[process].send_signal(number)

    def ends(self, seconds: float = PATIENCE) -> list[int]:
        """The exit codes; processes that run longer than `seconds` are killed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(run.poll() is None for run in self._running):
            time.sleep(POLL)
        self.close()
        return [run.returncode for run in self._running]

    def close(self) -> None:
        """Kills what still runs."""
        for run in self._running:
            run.kill()
            run.wait()

    def wait(self, condition: Callable[[], Any]) -> bool:
        """Whether the condition came to hold while all processes ran."""
        end = time.monotonic() + PATIENCE
        while all(run.poll() is None for run in self._running) and time.monotonic() < end:
            if condition():
                return True
            time.sleep(POLL)
        return False

    def said(self) -> list[str]:
        """What each process has printed since its start."""
        return [self._log(process).read_text() for process in range(self.processes)]

    def begun(self) -> int | None:
        """The step that this start goes on from; None as long as that is not announced."""
        found = re.search(r"(?:from|resuming at) step (\d+) of \d+, weights", self.said()[0])
        return int(found[1]) if found else None

    def logged(self) -> int:
        """The last step that this start has logged; 0: none yet."""
        path = self.workdir / "metrics.jsonl"
        # Until it is written anew it has what an earlier start logged after its checkpoint.
        return 0 if _stamp(path) in {*self._before, None} else last_step(self.workdir)

    def saving(self) -> bool:
        """Whether this start is writing a checkpoint."""
        return any(_stamp(path) not in {*self._before, None} for path in self._unfinished())

    def saved(self) -> int:
        """The newest checkpoint that is complete; 0: none."""
        found = (path.name for path in self.workdir.glob("checkpoints/*"))
        return max((int(name) for name in found if name.isdigit()), default=0)

    def _log(self, process: int) -> Path:
        return self._logs / f"{self.starts:03d}-{process}.txt"

    def _unfinished(self) -> list[Path]:
        return list(self.workdir.glob(f"checkpoints/*{UNFINISHED}*"))


def _stamp(path: Path) -> tuple[int, int] | None:
    """Tells a file from another one of its name; None: there is none."""
    try:
        return path.stat().st_ino, path.stat().st_ctime_ns
    except FileNotFoundError:
        return None


def metrics(workdir: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what differs from run to run; a line cut short is left out."""
    path = workdir / "metrics.jsonl"
    lines = []
    for line in path.read_text().splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):
            lines.append(json.loads(line))
    return [{k: v for k, v in line.items() if k != "samples_per_second"} for line in lines]


def last_step(workdir: Path) -> int:
    return max((line["step"] for line in metrics(workdir)), default=0)


def differences(expected: Path, found: Path) -> list[str]:
    """What a run wrote otherwise than the one it should equal, and what it left behind."""
    return list(_differences(expected, found))


def _differences(expected: Path, found: Path) -> Iterator[str]:
    if metrics(found) != metrics(expected):
        steps = [[line["step"] for line in metrics(run)] for run in (found, expected)]
        yield f"metrics.jsonl ({'other values' if steps[0] == steps[1] else steps[0]})"
    if _table(found) != _table(expected):
        yield "metrics.csv"
    sheets = [{p.name: p.read_bytes() for p in run.glob("previews/*")} for run in (found, expected)]
    if sheets[0] != sheets[1]:
        yield f"previews ({', '.join(sorted(sheets[0]))})"
    for name in (n for n in (".", "untrained") if (expected / n).exists()):
        values = [load_weights(run / name) for run in (found, expected)]
        if not _equal(*((w.step, w.params, w.batch_stats) for w in values)):
            yield f"the weights in {name}"
    for path in found.rglob("*"):
        if path.name.endswith(".part") or UNFINISHED in path.name or "unreadable" in path.name:
            yield f"{path.relative_to(found)} is left behind"


def _table(workdir: Path) -> list[dict[str, str]]:
    path = workdir / "metrics.csv"
    rows = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
    return [{k: v for k, v in row.items() if k != "samples_per_second"} for row in rows]


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[name], b[name]) for name in a)
    if isinstance(a, tuple):
        return all(_equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(np.array_equal(a, b))
