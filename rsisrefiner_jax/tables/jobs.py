"""Trains and evaluates the rows of tables, each once; goes on where it was stopped or killed."""

import ctypes
import dataclasses
import json
import queue
import re
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax

from rsisrefiner_jax.checkpoint.changes import is_free
from rsisrefiner_jax.config import Config, from_json, to_json
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.evaluated import Checkpoint
from rsisrefiner_jax.evaluation.compare import differences
from rsisrefiner_jax.evaluation.results import read_datasets
from rsisrefiner_jax.experiment import evaluation, training


@dataclasses.dataclass(frozen=True)
class Job:
    """A row under one seed: trained in `directory`, evaluated in `directory`/eval."""

    directory: Path
    config: Config

    @property
    def evaluated(self) -> Path:
        """Where the evaluation lies."""
        return self.directory / "eval"

    def is_done(self) -> bool:
        """Whether its evaluation is finished."""
        return bool(read_datasets(self.evaluated))

    def check(self) -> None:
        """Raises UserError: the directory holds a run of other settings."""
        kept = self.directory / "config.json"
        if not kept.exists():
            return
        earlier = from_json(kept.read_text())  # fields that are new since have their defaults
        was, now = (json.loads(to_json(config)) for config in (earlier, self.config))
        for name, before, value in differences(was, now):
            if name.startswith("parallel.") and is_free(name):
                continue
            raise UserError(
                f"{self.directory}: holds a run of other settings ({name} was {before}, now "
                f"{value}); name another --out or delete it"
            )

    def run(self, sources: Sequence[Any], device: jax.Device | None = None) -> None:
        """Trains from where it stands, then evaluates. device: None = all.

        Raises:
            UserError: the loss became no number.
            KeyboardInterrupt: Ctrl-C; what is done is saved.
        """
        training.make_workdir(self.directory)
        devices = None if device is None else [device]
        try:
            outcome = training.run(self.config, self.directory, list(sources), devices)
        except FloatingPointError as error:
            raise UserError(f"{self.directory}: {error}") from error
        if not outcome.finished:
            raise KeyboardInterrupt
        subject = Checkpoint.load(str(self.directory), ())
        setup = evaluation.prepare(subject, self.config.protocol)
        evaluation.run(setup, self.evaluated, devices)


def job_of(out: Path, base: Config, table: int, row: str, config: Config, seed: int) -> Job:
    """The job of a row under the seed-th seed. Rows that are the same share one.

    What is not trained has no seed.
    """
    names = "ours" if config == base else f"table-{shared(table)}-{slug(row)}"
    seed = seed if config.train.steps else 0
    config = dataclasses.replace(config, seed=base.seed + seed)
    return Job(out / "runs" / slug(base.name) / names / f"seed-{config.seed}", config)


def shared(table: int) -> int:
    """Table V has the rows of Table III."""
    return 3 if table == 5 else table


def slug(name: str) -> str:
    """A name as part of a path."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def run_all(
    jobs: Iterable[tuple[Job, Sequence[Any]]],
    devices: Sequence[jax.Device],
    finished: Callable[[], None],
) -> None:
    """Runs jobs, each with its data sources, one on each device at a time.

    finished: called after each job, always by this thread. With a single device a job has all.
    """
    jobs = list(jobs)
    if len(devices) < 2:
        for job, sources in jobs:
            job.run(sources)
            _give_memory_back()
            finished()
        return
    waiting = _Waiting(jobs)
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def work(device: jax.Device) -> None:
        with jax.default_device(device):
            while pair := waiting.take(device):
                job, sources = pair
                try:
                    job.run(sources, device)
                    ended.put(None)
                except BaseException as error:
                    ended.put(error)
                    return

    for device in devices:
        threading.Thread(target=work, args=(device,), daemon=True).start()
    for _ in jobs:
        error = ended.get()
        if error is not None:  # the other threads end with the process; a kill loses nothing
            raise error
        _give_memory_back()
        finished()


def _give_memory_back() -> None:
    """Every row compiles programs, and glibc keeps most of what a compiler has let go."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


class _Waiting:
    """Jobs that no device has taken yet, for several threads."""

    def __init__(self, jobs: Sequence[tuple[Job, Sequence[Any]]]):
        self._jobs = list(jobs)
        self._device_of: dict[Path, jax.Device] = {}  # of a row
        self._lock = threading.Lock()

    def take(self, device: jax.Device) -> tuple[Job, Sequence[Any]] | None:
        """The next job for a device; None when all are taken.

        A row's seeds stay on one device, since programs are compiled for one. Only when nothing
        else is left does a device help with another one's row.
        """
        with self._lock:
            if not self._jobs:
                return None
            rows = [job.directory.parent for job, _ in self._jobs]
            own = (k for k, row in enumerate(rows) if self._device_of.get(row, device) == device)
            chosen = next(own, 0)
            self._device_of.setdefault(rows[chosen], device)
            return self._jobs.pop(chosen)


def check_budgets(jobs: Iterable[Job]) -> None:
    """Raises UserError: rows of one table would be trained for unequal budgets."""
    budgets = {budget(job.config) for job in jobs if job.config.train.steps}
    require(len(budgets) <= 1, f"rows would be trained for unequal budgets: {budgets}")


def budget(config: Config) -> tuple[tuple[str, Any], ...]:
    """What a training may use up: the same for every row of a table."""
    iterations = config.clicks.iterations
    return (
        ("steps", config.train.steps),
        ("batch_size", config.train.batch_size),
        ("targets", config.data.targets),
        ("image_size", config.model.image_size),
        ("clicks", sum((i + 1) * w for i, w in enumerate(iterations)) / sum(iterations)),
    )
