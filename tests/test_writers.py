"""Metrics beside metrics.jsonl; the points of a killed run are not there twice."""

import csv
import dataclasses
import sys
import types

import pytest

from rsisrefiner_jax.config import Train
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.training.log import MetricsLog, read_lines
from rsisrefiner_jax.training.writers import open_writers
from tests import tiny

STEPS = (2, 4, 6)


def config(**train):
    return dataclasses.replace(tiny.CONFIG, train=Train(**train))


def write(settings, workdir, resume_step, steps=STEPS):
    """A run that logs these steps, after a resume from `resume_step`, and validates at the last."""
    log = MetricsLog(workdir, resume_step, 4, open_writers(settings, workdir, resume_step))
    for step in steps:
        log.write(step, {"loss": step / 10})
    log.write(steps[-1], {"val_noc90": 7.5, "val_miou": [0.25, 0.5]})
    log.close()


def test_csv_has_a_row_a_step_and_none_twice(tmp_path):
    settings = config(csv=True, tensorboard=False)
    write(settings, tmp_path, 0)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("8,0.")  # cut short by a crash
    write(settings, tmp_path, 4, (6, 8))
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["step"], row["loss"]) for row in rows] == [
        ("2", "0.2"), ("4", "0.4"), ("6", "0.6"), ("8", "0.8"), ("8", "")
    ]  # fmt: skip
    last = {"val_noc90": "7.5", "val_miou/01": "0.25", "val_miou/02": "0.5"}
    assert last.items() <= rows[-1].items()
    assert [line["step"] for line in read_lines(tmp_path)] == [2, 4, 6, 8, 8]
    assert read_lines(tmp_path)[-1]["val_miou"] == [0.25, 0.5]


def test_tensorboard_reads_every_point_once(tmp_path):
    pytest.importorskip("tensorboardX")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    write(config(tensorboard=True), tmp_path, 0)
    write(config(), tmp_path, 4, (6, 8))
    events = reader.EventAccumulator(str(tmp_path)).Reload()
    found = [(event.step, round(event.value, 4)) for event in events.Scalars("loss")]
    assert found == [(2, 0.2), (4, 0.4), (6, 0.6), (8, 0.8)]
    assert [event.step for event in events.Scalars("val_miou/02")] == [8]


def test_wandb_goes_on_with_its_run(tmp_path, monkeypatch):
    logged, runs = [], []

    def init(**settings):
        runs.append(settings)
        log = lambda values, step: logged.append((step, values))  # noqa: E731
        return types.SimpleNamespace(log=log, finish=lambda: logged.append("end"))

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    settings = config(wandb="clicks", tensorboard=False)
    write(settings, tmp_path, 0, (2,))
    write(settings, tmp_path, 2, (4,))
    assert runs[0]["id"] == runs[1]["id"]
    assert runs[0]["project"] == "clicks"
    assert runs[0]["config"]["model"]["width"] == 32
    assert logged[0] == (2, {"loss": 0.2})
    assert logged[-2:] == [
        (4, {"val_noc90": 7.5, "val_miou/01": 0.25, "val_miou/02": 0.5}),
        "end",
    ]


@pytest.mark.parametrize(
    ("settings", "module"), [({"tensorboard": True}, "tensorboardX"), ({"wandb": "p"}, "wandb")]
)
def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch, settings, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"needs {module}; pip install"):
        open_writers(config(**{"tensorboard": False} | settings), tmp_path, 0)
