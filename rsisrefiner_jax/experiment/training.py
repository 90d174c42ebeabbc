"""Trains a configuration in a work directory, from its newest checkpoint where there is one."""

import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
from tqdm import tqdm

from rsisrefiner_jax import config as config_module
from rsisrefiner_jax.atomic import atomic_file
from rsisrefiner_jax.checkpoint.runs import (
    FROZEN,
    CheckpointWriter,
    first_weights,
    save_weights,
)
from rsisrefiner_jax.config import Config
from rsisrefiner_jax.data.pipeline import training_iterator
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.experiment import validation
from rsisrefiner_jax.models.parameters import as_stored, describe, parameter_counts
from rsisrefiner_jax.models.pretrained import backbone_problem
from rsisrefiner_jax.ops.precision import describe_precision
from rsisrefiner_jax.parallel import DataParallel
from rsisrefiner_jax.training.finite import FiniteWatch
from rsisrefiner_jax.training.log import MetricsLog
from rsisrefiner_jax.training.previews import write_preview
from rsisrefiner_jax.training.profile import Profile
from rsisrefiner_jax.training.step import ClickStep, init_state
from rsisrefiner_jax.training.writers import open_writers
from rsisrefiner_jax.weights import split


class Outcome(NamedTuple):
    """What came of a run."""

    step: int  # the last one that is saved
    minutes: float
    finished: bool  # there is nothing to go on with


def run(
    config: Config,
    workdir: Path,
    sources: list[Any],
    devices: list[jax.Device] | None = None,
    profile: int = 0,
) -> Outcome:
    """Trains until the configuration's last step, until nothing better comes, or until Ctrl-C.

    Args:
        sources: what `open_data` gave.
        devices: None = all.
        profile: steps that are traced into WORKDIR/profile.

    Raises:
        NotFiniteError: a step came to a number that is infinite or none.
    """
    spread = DataParallel(config.parallel.backend, config.train.batch_size, devices)
    batches = training_iterator(config, jax.process_index(), jax.process_count(), sources)
    writer = CheckpointWriter(workdir / "checkpoints", config.train.keep)
    begun = start(config, workdir, spread, batches, writer)
    with interruptible() as interrupt:
        return train(config, workdir, spread, batches, writer, begun, interrupt, profile)


def open_data(config: Config) -> list[Any]:
    """The data sets; all that is missing for this run is said at once, before anything slow.

    Raises:
        UserError: what is missing, a line each.
    """
    problems = [None if config.train.init_from else backbone_problem(config.model)]
    recipe, sources = Recipe.of(config.data), []
    for spec in (*config.data.train, *validation.specs(config)):
        try:
            sources.append(open_source(spec, recipe))
        except UserError as error:
            problems.append(str(error))
    if any(problems):
        raise UserError("\nerror: ".join(p for p in problems if p))
    return sources[: len(config.data.train)]


class Run(NamedTuple):
    """Where a run stands. The frozen tree is apart: no step differentiates or changes it."""

    state: Any
    frozen: Any
    step: int


def start(
    config: Config, workdir: Path, devices: DataParallel, batches: Any, writer: CheckpointWriter
) -> Run:
    """The first state of a run, or that of its newest checkpoint."""
    variables, meta = first_weights(config)
    frozen, trainable = split(variables["params"], config.model.frozen)
    state = devices.replicate(init_state(config, trainable, variables["batch_stats"]))
    writer.save_frozen(frozen, meta)
    resumed = writer.latest_step() is not None
    if resumed:
        state = writer.restore(state, batches)
    elif config.train.save_untrained and jax.process_index() == 0:
        untrained = workdir / "untrained"
        if not untrained.exists():
            save_weights(untrained, config, variables["params"], variables["batch_stats"], meta)
    step = int(state.step)
    if jax.process_index() == 0:
        with atomic_file(workdir / "config.json") as file:
            file.write(f"{config_module.to_json(config)}\n".encode())
        counts = parameter_counts(config.model, variables["params"], int(meta.get("unused", 0)))
        origin = "its last checkpoint" if resumed else config.train.init_from or "scratch"
        print(f"{config.name}: {config.note}" if config.note else config.name)
        print(describe(counts))
        model, platform = config.model, devices.devices[0].platform
        print(describe_precision(model.dtype, model.matmul_precision, platform))
        print(f"{len(devices.devices)} x {devices.devices[0].device_kind}, {workdir}: ", end="")
        end = config.train.last_step
        print(f"{'resuming at' if resumed else 'from'} step {step} of {end}", end="")
        print(f", weights of {origin}")
    return Run(state, devices.replicate(as_stored(config.model, frozen)), step)


def train(
    config: Config,
    workdir: Path,
    devices: DataParallel,
    batches: Any,
    writer: CheckpointWriter,
    run: Run,
    interrupt: "Interrupt",
    profile_steps: int = 0,
) -> Outcome:
    """The loop."""
    settings, state, last = config.train, run.state, config.train.last_step
    is_main = jax.process_index() == 0
    train_step, watch = ClickStep(config, devices), FiniteWatch(workdir)
    log = open_log(config, workdir, run.step) if is_main else None
    validate = open_validation(config, workdir, writer, devices, run.step)
    profile = Profile(workdir / "profile", run.step, profile_steps if is_main else 0)
    done = validate is not None and validate.exhausted
    progress = tqdm(total=last, initial=run.step, unit="step", disable=not is_main)
    started, saved = time.time(), run.step
    for step in range(run.step + 1, last + 1) if not done else ():
        batch = next(batches)
        with profile.step(step):
            state, metrics, shown = train_step(state, run.frozen, devices.shard(batch), step - 1)
        profile.finish(step, metrics)
        progress.update()
        log_now, show_now, validate_now = (
            every is not None and (step % every == 0 or step == last)
            for every in (settings.log_every, settings.preview_every, config.validate.every)
        )
        stop = step == last or interrupt.requested
        save_now = step % settings.checkpoint_every == 0 or stop
        watch.add(step, batch, metrics, now=log_now or validate_now or save_now)
        # Fetched only at log steps, so that the device never waits for them.
        if log and log_now:
            progress.set_postfix(log.write_step(step, metrics))
        if is_main and show_now:
            write_preview(workdir, step, batch, shown)
        if validate and validate_now:
            values = validate(state, run.frozen)
            if log:
                log.write(step, values)
            done = validate.exhausted
        if save_now or done:
            writer.save(state, config, batches)
            saved = step
        if stop or done:
            break
    if writer.latest_step() is None:  # train.epochs=0
        writer.save(state, config, batches)
    profile.close()
    progress.close()
    writer.close()
    if log:
        log.close()
    return Outcome(saved, (time.time() - started) / 60, done or saved >= last)


def open_validation(
    config: Config, workdir: Path, writer: CheckpointWriter, devices: DataParallel, step: int
) -> validation.Validation | None:
    """None where it is off. Raises UserError: data that cannot be opened."""
    if config.validate.every is None:
        return None
    frozen = writer.directory / FROZEN
    return validation.Validation(config, workdir, frozen, devices.devices, step)


def open_log(config: Config, workdir: Path, step: int) -> MetricsLog:
    """The log of a run that goes on from `step`. Raises UserError: a writer is not installed."""
    writers = open_writers(config, workdir, step)
    return MetricsLog(workdir, step, config.train.batch_size, writers)


def make_workdir(workdir: Path) -> None:
    """Raises UserError when nothing can be written there."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):
            pass
    except OSError as error:
        raise UserError(
            f"--workdir {workdir} cannot be written ({error.strerror}); name another directory"
        ) from error


@contextlib.contextmanager
def interruptible() -> Iterator["Interrupt"]:
    """Ctrl-C asks for an end within the block: in a process that trains alone, on its main thread.

    Several processes would not stop at the same step.
    """
    interrupt = Interrupt()
    if jax.process_count() > 1 or threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)


class Interrupt:
    """A handler of Ctrl-C: the first asks for an end after this step, a second ends at once."""

    requested = False

    def __call__(self, *_: object) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.write(2, b"\nstopping after this step; Ctrl-C again to stop at once\n")
