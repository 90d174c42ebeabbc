"""Trains a configuration in a work directory, from its newest checkpoint where there is one."""

import contextlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from rsisrefiner_jax import config as config_module
from rsisrefiner_jax.atomic import atomic_file
from rsisrefiner_jax.checkpoint.changes import check_changes, check_frozen
from rsisrefiner_jax.checkpoint.runs import CheckpointWriter, first_weights, save_weights
from rsisrefiner_jax.cluster.lock import locked
from rsisrefiner_jax.cluster.peers import Peers, watched
from rsisrefiner_jax.cluster.stopping import StopRequest, stop_request
from rsisrefiner_jax.config import Config
from rsisrefiner_jax.data.pipeline import training_iterator
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.experiment.estimate import cpu_warning
from rsisrefiner_jax.models.parameters import describe, parameter_counts
from rsisrefiner_jax.models.pretrained import backbone_problem
from rsisrefiner_jax.parallel import DataParallel, wait_for_all
from rsisrefiner_jax.training.log import MetricsLog
from rsisrefiner_jax.training.previews import write_preview
from rsisrefiner_jax.training.step import ClickStep, init_state
from rsisrefiner_jax.weights import split


class Together(NamedTuple):
    """What a run shares with whoever started it: signals, and the other processes."""

    request: StopRequest
    peers: Peers


def run(
    config: Config,
    workdir: Path,
    sources: list[Any],
    devices: list[jax.Device] | None = None,
    together: Together | None = None,
    accept_changes: bool = False,
) -> tuple[int, float]:
    """Trains until the configuration's last step, or until a signal asks for an end.

    All processes of the run call this at once.

    Args:
        sources: what `open_data` gave.
        devices: None = all.
        together: None = signals and other processes are looked after within this call.
        accept_changes: go on from a checkpoint of other settings.

    Returns:
        The last step that is saved, and the minutes that it took.

    Raises:
        UserError: another run writes there, or the checkpoint there is of other settings.
    """
    if together is None:
        with stop_request() as request, watched(config.parallel.patience) as peers:
            own = Together(request, peers)
            return run(config, workdir, sources, devices, own, accept_changes)
    with locked(workdir) if jax.process_index() == 0 else contextlib.nullcontext():
        spread = DataParallel(config.parallel.backend, config.train.batch_size, devices)
        batches = training_iterator(config, jax.process_index(), jax.process_count(), sources)
        first, scenes = first_weights(config), [len(source) for source in sources]
        wait_for_all()
        writer = CheckpointWriter(workdir / "checkpoints", config.train.keep)
        begun = start(config, workdir, spread, writer, first, scenes, accept_changes)
        batches.set_state({"next_batch": begun.step})
        return train(config, workdir, spread, batches, writer, begun, together)


def open_data(config: Config) -> list[Any]:
    """The data sets; all that is missing for this run is said at once, before anything slow.

    Raises:
        UserError: what is missing, a line each.
    """
    problems = [None if config.train.init_from else backbone_problem(config.model)]
    recipe, sources = Recipe.of(config.data), []
    for spec in config.data.train:
        try:
            sources.append(open_source(spec, recipe))
        except UserError as error:
            problems.append(str(error))
    if any(problems):
        raise UserError("\nerror: ".join(p for p in problems if p))
    return sources


class Run(NamedTuple):
    """Where a run stands. The frozen tree is apart: no step differentiates or changes it."""

    state: Any
    frozen: Any
    step: int
    scenes: list[int]  # of each data set


def start(
    config: Config,
    workdir: Path,
    devices: DataParallel,
    writer: CheckpointWriter,
    first: tuple[dict[str, Any], dict[str, Any]],
    scenes: list[int],
    accept_changes: bool = False,
) -> Run:
    """The first state of a run, or that of its newest checkpoint that can be read.

    first: what `first_weights` gave. scenes: how many each data set has.
    """
    is_main = jax.process_index() == 0
    variables, meta = first
    frozen, trainable = split(variables["params"], config.model.frozen)
    state = jax.tree.map(np.asarray, init_state(config, trainable, variables["batch_stats"]))
    saved, changes = writer.newest(), []
    if saved is not None:
        changes = check_changes(saved, config, scenes, accept_changes)
        check_frozen(writer.directory, frozen, config)
        state = saved.restored(state, anew=accept_changes)
    writer.save_frozen(frozen, meta)
    if saved is None and config.train.save_untrained and is_main:
        untrained = workdir / "untrained"
        if not untrained.exists():
            save_weights(untrained, config, variables["params"], variables["batch_stats"], meta)
    step = int(state.step)
    if is_main:
        with atomic_file(workdir / "config.json") as file:
            file.write(f"{config_module.to_json(config)}\n".encode())
        counts = parameter_counts(config.model, variables["params"], int(meta.get("unused", 0)))
        origin = "its last checkpoint" if saved else config.train.init_from or "scratch"
        print(f"{config.name}: {config.note}" if config.note else config.name)
        print(describe(counts))
        warning = cpu_warning(config, counts["total"], step)
        if warning:
            print(warning, file=sys.stderr)
        for change in changes:
            print(f"changed since step {step}: {change}")
        print(f"{where(devices)}, {workdir}: ", end="")
        print(f"{'resuming at' if saved else 'from'} step {step} of {config.train.steps}", end="")
        print(f", weights of {origin}")
    return Run(devices.replicate(state), devices.replicate(frozen), step, scenes)


def where(devices: DataParallel) -> str:
    """'2 processes, 8 x NVIDIA H100' of the devices that a run has."""
    count = jax.process_count()
    several = f"{count} processes, " if count > 1 else ""
    return f"{several}{len(devices.devices)} x {devices.devices[0].device_kind}"


def train(
    config: Config,
    workdir: Path,
    devices: DataParallel,
    batches: Any,
    writer: CheckpointWriter,
    run: Run,
    together: Together,
) -> tuple[int, float]:
    """The loop. Returns the last step that is saved, and the minutes that it took."""
    settings, state = config.train, run.state
    request, peers = together
    is_main = jax.process_index() == 0
    train_step = ClickStep(config, devices)
    log = MetricsLog(workdir, run.step, settings.batch_size) if is_main else None
    progress = tqdm(total=settings.steps, initial=run.step, unit="step", disable=not is_main)
    started, saved = time.time(), run.step

    def save() -> None:
        nonlocal saved
        peers.at("saving", step)
        writer.save(state, config, run.scenes)
        saved = request.saved = step

    step = run.step
    for step in range(run.step + 1, settings.steps + 1):
        peers.at("reading the data", step)
        batch = next(batches)
        peers.at("computing", step)
        state, metrics, shown = train_step(state, run.frozen, devices.shard(batch), step - 1)
        if step == run.step + 1:  # compiled
            request.begin_loop(run.step)
        progress.update()
        stop = request.asked(step) or step == settings.steps
        # Fetched only at log steps, so that the device never waits for them.
        if log and (step % settings.log_every == 0 or step == settings.steps):
            progress.set_postfix(log.write_step(step, metrics))
        if is_main and (step % settings.preview_every == 0 or step == settings.steps):
            answers = devices.own_rows(shown)
            peers.at("drawing a preview", step)
            write_preview(workdir, step, batch, answers)
        if step % settings.checkpoint_every == 0 or stop:
            save()
        if stop:
            break
    if writer.latest_step() is None:  # train.epochs=0
        save()
    progress.close()
    batches.close()
    peers.at("saving", step)
    writer.close()
    return saved, (time.time() - started) / 60


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
