"""Trains a configuration in a work directory, from its newest checkpoint where there is one."""

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rsisrefiner_jax import config as config_module
from rsisrefiner_jax.atomic import atomic_file, remove_parts
from rsisrefiner_jax.checkpoint.changes import check_changes, check_frozen
from rsisrefiner_jax.checkpoint.runs import CheckpointWriter, first_weights, save_weights
from rsisrefiner_jax.cluster.lock import locked
from rsisrefiner_jax.cluster.peers import watched
from rsisrefiner_jax.cluster.stopping import stop_request
from rsisrefiner_jax.config import Config
from rsisrefiner_jax.data.pipeline import training_iterator
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.experiment import validation
from rsisrefiner_jax.experiment.estimate import cpu_warning
from rsisrefiner_jax.experiment.loop import Loop, Outcome, Run, Together
from rsisrefiner_jax.models.parameters import as_stored, describe, parameter_counts
from rsisrefiner_jax.models.pretrained import backbone_problem
from rsisrefiner_jax.networks import CHECKPOINTS
from rsisrefiner_jax.ops.precision import describe_precision
from rsisrefiner_jax.parallel import DataParallel, wait_for_all
from rsisrefiner_jax.training.step import init_state
from rsisrefiner_jax.weights import split


def run(
    config: Config,
    workdir: Path,
    sources: list[Any],
    devices: list[jax.Device] | None = None,
    together: Together | None = None,
    accept_changes: bool = False,
    profile: int = 0,
) -> Outcome:
    """Trains until the last step, until nothing better comes, or until a signal asks for an end.

    All processes of the run call this at once.

    Args:
        sources: what `open_data` gave.
        devices: None = all.
        together: None = signals and other processes are looked after within this call.
        accept_changes: go on from a checkpoint of other settings.
        profile: steps that are traced into WORKDIR/profile.

    Raises:
        UserError: another run writes there, or the checkpoint there is of other settings.
        NotFiniteError: a step came to a number that is infinite or none.
    """
    if together is None:
        with stop_request() as request, watched(config.parallel.patience) as peers:
            own = Together(request, peers)
            return run(config, workdir, sources, devices, own, accept_changes, profile)
    is_main = jax.process_index() == 0
    with locked(workdir) if is_main else contextlib.nullcontext():
        if is_main:
            remove_parts(workdir)
        spread = DataParallel(config.parallel.backend, config.train.batch_size, devices)
        batches = training_iterator(config, jax.process_index(), jax.process_count(), sources)
        first, scenes = first_weights(config), [len(source) for source in sources]
        wait_for_all()
        writer = CheckpointWriter(workdir / CHECKPOINTS, config.train.keep)
        begun = start(config, workdir, spread, writer, first, scenes, accept_changes)
        batches.set_state({"next_batch": begun.step})
        return Loop(config, workdir, spread, batches, writer, begun, together, profile).run()


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
    if is_main:
        with atomic_file(workdir / "config.json") as file:
            file.write(f"{config_module.to_json(config)}\n".encode())
        counts = parameter_counts(config.model, variables["params"], int(meta.get("unused", 0)))
        announce(config, workdir, devices, counts, saved.step if saved else None, changes)
    frozen = devices.replicate(as_stored(config.model, frozen))
    return Run(devices.replicate(state), frozen, int(state.step), scenes)


def announce(
    config: Config,
    workdir: Path,
    devices: DataParallel,
    counts: dict[str, int],
    resumed: int | None,
    changes: list[str],
) -> None:
    """Says what begins. resumed: the step that the run goes on from, of other settings."""
    step = resumed or 0
    print(f"{config.name}: {config.note}" if config.note else config.name)
    print(describe(counts))
    model, platform = config.model, devices.devices[0].platform
    print(describe_precision(model.dtype, model.matmul_precision, platform))
    warning = cpu_warning(config, counts["total"], step)
    if warning:
        print(warning, file=sys.stderr)
    for change in changes:
        print(f"changed since step {step}: {change}")
    origin = config.train.init_from or "scratch" if resumed is None else "its last checkpoint"
    print(f"{where(devices)}, {workdir}: ", end="")
    print(f"{'from' if resumed is None else 'resuming at'} step {step} of ", end="")
    print(f"{config.train.last_step}, weights of {origin}", flush=True)


def where(devices: DataParallel) -> str:
    """'2 processes, 8 x NVIDIA H100' of the devices that a run has."""
    count = jax.process_count()
    several = f"{count} processes, " if count > 1 else ""
    return f"{several}{len(devices.devices)} x {devices.devices[0].device_kind}"


def make_workdir(workdir: Path) -> None:
    """Raises UserError when nothing can be written there."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):
            pass
    except OSError as error:
        raise UserError(
            f"{workdir}: cannot be written ({error.strerror}); name another directory"
        ) from error
