"""A full disk costs a run nothing that was there, and leaves nothing half-made."""

import csv
import errno
import logging
import os
import sys
import types
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.checkpoint import best, runs
from rsisrefiner_jax.interaction.clicks import Clicks
from rsisrefiner_jax.training.log import MetricsLog
from rsisrefiner_jax.training.previews import write_preview
from rsisrefiner_jax.training.writers import Csv, TensorBoard
from tests import tiny


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def full(monkeypatch):
    """The disk is full when a file is to be finished."""
    monkeypatch.setattr(os, "fsync", no_space)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def logged(tmp_path):
    """A work directory with three steps in its logs."""
    log = MetricsLog(tmp_path, 0, writers=[Csv(tmp_path / "metrics.csv", 0)])
    for step in (1, 2, 3):
        log.write(step, {"loss": step / 10})
    log.close()
    return tmp_path


@pytest.mark.parametrize("begin", [MetricsLog, lambda run, step: Csv(run / "metrics.csv", step)])
def test_a_start_costs_no_line_of_a_log(logged, full, begin):
    before = files(logged)
    with pytest.raises(OSError, match="No space"):
        begin(logged, 2)
    assert files(logged) == before


def test_a_row_cut_within_its_step_is_no_row(logged):
    with (logged / "metrics.csv").open("a") as file:
        file.write("1")  # of 10
    Csv(logged / "metrics.csv", 2).write(3, {"loss": 0.3})
    with (logged / "metrics.csv").open(newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3"]


def test_tensorboard_holds_back_nothing_of_a_step_that_is_saved(tmp_path, monkeypatch):
    done = []
    writer = types.SimpleNamespace(
        add_scalar=lambda *point: done.append(point), flush=lambda: done.append("flushed")
    )
    module = types.SimpleNamespace(SummaryWriter=lambda *_, **__: writer)
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    log = MetricsLog(tmp_path, 0, writers=[TensorBoard.open(tmp_path, 0)])
    log.write(4, {"loss": 0.5})
    log.flush()
    assert done == [("loss", 0.5, 4), "flushed"]


def test_a_preview_is_whole_or_not_there(tmp_path, full):
    batch = tiny.batch(2)
    clicks = Clicks(jnp.asarray(batch["first_click"][:, None]), jnp.ones((2, 1), jnp.int32))
    shown = {"prob": np.zeros((2, tiny.SIZE, tiny.SIZE)), "clicks": clicks}
    with pytest.raises(OSError, match="No space"):
        write_preview(tmp_path, 5, batch, shown)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_checkpoint_of_weights_is_whole_or_not_there(tmp_path, monkeypatch):
    params = {"backbone": {"kernel": np.ones(2)}, "head": {"kernel": np.ones(3)}}
    given = (tmp_path / "untrained", tiny.CONFIG, params, {"norm": {"mean": np.zeros(2)}})
    with monkeypatch.context() as patch:
        patch.setattr(runs.ocp, "CheckpointManager", no_space)
        with pytest.raises(OSError, match="No space"):
            runs.save_weights(*given)
    assert list(tmp_path.iterdir()) == []
    runs.save_weights(*given)
    assert runs.load_weights(tmp_path / "untrained").step == 0


def test_what_orbax_logs_of_an_error_that_it_raises_is_left_out(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda given: told.append(str(given.exc_value)))
    for _ in range(2):
        runs.CheckpointWriter(tmp_path / "checkpoints").close()
    for text in ("Event loop is closed", "another"):
        sys.unraisablehook(types.SimpleNamespace(exc_value=RuntimeError(text)))
    assert told == ["another"]
    assert not logging.getLogger("absl").isEnabledFor(logging.ERROR)


def test_the_best_weights_have_the_frozen_ones_whole_or_not_at_all(tmp_path, monkeypatch, full):
    (tmp_path / "frozen.npz").write_bytes(b"weights")
    monkeypatch.setattr(os, "link", no_space)  # a file system without links
    with pytest.raises(OSError, match="No space"):
        best.BestWeights(tmp_path / "best", tmp_path / "frozen.npz")
    assert list((tmp_path / "best").iterdir()) == []
