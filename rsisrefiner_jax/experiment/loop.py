"""The loop of a run: steps, and what comes after some of them."""

import contextlib
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
from tqdm import tqdm

from rsisrefiner_jax.checkpoint.runs import CheckpointWriter
from rsisrefiner_jax.cluster.peers import Peers
from rsisrefiner_jax.cluster.stopping import StopRequest
from rsisrefiner_jax.config import Config
from rsisrefiner_jax.experiment.validation import Validation
from rsisrefiner_jax.networks import FROZEN
from rsisrefiner_jax.parallel import DataParallel
from rsisrefiner_jax.training.finite import FiniteWatch
from rsisrefiner_jax.training.log import MetricsLog
from rsisrefiner_jax.training.previews import write_preview
from rsisrefiner_jax.training.profile import Profile
from rsisrefiner_jax.training.step import ClickStep
from rsisrefiner_jax.training.writers import open_writers


class Together(NamedTuple):
    """What a run shares with whoever started it: signals, and the other processes."""

    request: StopRequest
    peers: Peers


class Run(NamedTuple):
    """Where a run stands. The frozen tree is apart: no step differentiates or changes it."""

    state: Any
    frozen: Any
    step: int
    scenes: list[int]  # of each data set


class Outcome(NamedTuple):
    """What came of a run."""

    step: int  # the last one that is saved
    minutes: float
    finished: bool  # there is nothing to go on with


class Loop:
    """Takes a run to its end.

    All processes take it at once. What ends it is the same in all of them; only the first one logs.

    Raises:
        UserError: data to validate on cannot be opened, or a writer of metrics is not installed.
    """

    def __init__(
        self,
        config: Config,
        workdir: Path,
        devices: DataParallel,
        batches: Any,
        writer: CheckpointWriter,
        run: Run,
        together: Together,
        profile_steps: int = 0,
    ) -> None:
        self._config, self._workdir, self._devices = config, workdir, devices
        self._batches, self._writer, self._begun = batches, writer, run
        self._request, self._peers = together
        self._state, self._step, self._saved = run.state, run.step, run.step
        self._is_main = jax.process_index() == 0
        self._train_step = ClickStep(config, devices)
        self._watch = FiniteWatch(workdir)
        self._validation: Validation | None = None
        if config.validate.every is not None:
            frozen = writer.directory / FROZEN
            self._validation = Validation(config, workdir, frozen, devices.devices, run.step)
        self._log: MetricsLog | None = None
        if self._is_main:
            writers = open_writers(config, workdir, run.step)
            self._log = MetricsLog(workdir, run.step, config.train.batch_size, writers)
        self._profile = Profile(
            workdir / "profile", run.step, profile_steps if self._is_main else 0
        )

    def run(self) -> Outcome:
        """Steps until the last one, until nothing better comes, or until a signal asks for an end.

        Raises:
            NotFiniteError: a step came to a number that is infinite or none.
        """
        started, last = time.time(), self._config.train.last_step
        self._progress = tqdm(
            total=last, initial=self._step, unit="step", disable=not self._is_main
        )
        with contextlib.closing(self._log) if self._log else contextlib.nullcontext():
            if self._validation and self._validation.owed:
                self._validate()
            asked = False
            while self._step < last and not asked and not self._exhausted:
                self._step += 1
                asked = self._advance()
            if self._writer.latest_step() is None:  # train.epochs=0
                self._save()
            self._profile.close()
        self._progress.close()
        self._batches.close()
        self._peers.at("saving", self._step)
        self._writer.close()
        owed = self._validation is not None and self._validation.owed
        finished = self._exhausted or (self._saved >= last and not owed)
        return Outcome(self._saved, (time.time() - started) / 60, finished)

    def _advance(self) -> bool:
        """One step and what comes after it. Returns whether a signal asks for an end."""
        step, train, validate = self._step, self._config.train, self._config.validate
        batch, metrics, shown = self._compute()
        asked = self._request.asked(step)
        log_now, show_now, validate_now, save_now = (
            train.is_due(every, step)
            for every in (
                train.log_every,
                train.preview_every,
                validate.every,
                train.checkpoint_every,
            )
        )
        # What is validated is saved before: a stop may come meanwhile.
        save_now = save_now or validate_now or asked
        self._watch.add(step, batch, metrics, now=log_now or save_now)
        # Fetched only at log steps, so that the device never waits for them.
        if self._log and log_now:
            self._progress.set_postfix(self._log.write_step(step, metrics))
        if self._is_main and show_now:
            answers = self._devices.own_rows(shown)
            self._peers.at("drawing a preview", step)
            write_preview(self._workdir, step, batch, answers)
        if save_now:
            self._save()
        if self._validation and validate_now:
            if asked:
                self._validation.owed = True  # done first when the run goes on
            else:
                self._validate()
        return asked

    def _compute(self) -> tuple[Any, Any, Any]:
        """The step itself: (this process's rows of its batch, metrics, what it shows)."""
        step = self._step
        self._peers.at("reading the data", step)
        batch = next(self._batches)
        self._peers.at("computing", step)
        with self._profile.step(step):
            given = (self._begun.frozen, self._devices.shard(batch), step - 1)
            self._state, metrics, shown = self._train_step(self._state, *given)
        self._profile.finish(step, metrics)
        if step == self._begun.step + 1:  # compiled
            self._request.begin_loop(self._begun.step)
        self._progress.update()
        return batch, metrics, shown

    def _save(self) -> None:
        self._peers.at("saving", self._step)
        if self._log:
            self._log.flush()
        self._writer.save(self._state, self._config, self._begun.scenes)
        self._saved = self._request.saved = self._step

    def _validate(self) -> None:
        assert self._validation
        self._peers.at("validating", self._step)
        values = self._validation(self._state, self._begun.frozen)
        if self._log:
            self._log.write(self._step, values)

    @property
    def _exhausted(self) -> bool:
        return self._validation is not None and self._validation.exhausted
