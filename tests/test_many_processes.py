"""train.py by two processes: stopped, killed, and taken up by one, its losses are those of one."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from rsisrefiner_jax.config import Clicks, Config, to_json
from rsisrefiner_jax.experiment import training
from rsisrefiner_jax.models import registry
from tests import tiny

ROOT = Path(__file__).parent.parent
STEPS = 24
PATIENCE = 10.0  # seconds; a busy machine may be late
CONFIG = dataclasses.replace(
    tiny.SMALL,
    model=dataclasses.replace(tiny.SMALL.model, frozen=()),
    clicks=Clicks(iterations=(1.0, 1.0)),
    # With a large eps Adam moves by the gradient, not by its sign.
    optim=dataclasses.replace(tiny.SMALL.optim, lr=0.03, eps=1.0),
    train=dataclasses.replace(
        tiny.SMALL.train,
        batch_size=8,
        samples_per_epoch=8 * STEPS,
        checkpoint_every=4,
        preview_every=5,
    ),
    parallel=dataclasses.replace(tiny.SMALL.parallel, patience=PATIENCE),
)


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    """The run as it is, around a network that compiles quickly."""
    monkeypatch.setattr(registry, "Refiner", tiny.SmallModel)


def train_here(workdir: Path, devices: int, config: Config = CONFIG) -> None:
    """A run, or the rest of it, in this process."""
    training.make_workdir(workdir)
    sources = training.open_data(config)
    outcome = training.run(config, workdir, sources, jax.devices()[:devices])
    assert (outcome.step, outcome.finished) == (STEPS, True)


def losses(workdir: Path) -> dict[int, float]:
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines}


def start_two(workdir: Path) -> list[subprocess.Popen]:
    """train.py in two processes of two devices, on the configuration beside the directory."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ("--coordinator", f"127.0.0.1:{port}", "--processes", "2", "--process")
    return [
        subprocess.Popen(
            [
                *(sys.executable, __file__, "--config", workdir.parent / "config.py"),
                *("--workdir", workdir, *flags, str(process)),
            ],
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "JAX_PLATFORMS": "cpu",
                "JAX_NUM_CPU_DEVICES": "2",
                "JAX_COMPILATION_CACHE_DIR": str(workdir.parent / "cache"),
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for process in range(2)
    ]


def steps_of(workdir: Path) -> list[int]:
    found = (path.name for path in (workdir / "checkpoints").glob("*"))
    return sorted(int(name) for name in found if name.isdigit())


def wait_for_a_step_after(step: int, workdir: Path, runs: list[subprocess.Popen]) -> None:
    while max(steps_of(workdir), default=0) <= step:
        for run in runs:
            assert run.poll() is None, run.communicate()[0][-3000:]
        time.sleep(0.05)


def ends(runs: list[subprocess.Popen]) -> list[tuple[int, str]]:
    """(exit code, what it said) of each."""
    try:
        said = [run.communicate(timeout=600)[0] for run in runs]
    finally:
        for run in runs:
            run.kill()
    return [(run.returncode, text) for run, text in zip(runs, said, strict=True)]


def test_stopped_killed_and_taken_up_by_another_number_of_processes(tmp_path):
    (tmp_path / "config.py").write_text(
        f"from rsisrefiner_jax.config import from_json\nconfig = from_json({to_json(CONFIG)!r})\n"
    )
    train_here(tmp_path / "one", 1)
    workdir = tmp_path / "two"

    # Asked to stop, though only one of them is: both save the same step.
    runs = start_two(workdir)
    wait_for_a_step_after(0, workdir, runs)
    runs[1].send_signal(signal.SIGUSR1)
    stopped = ends(runs)
    assert [code for code, _ in stopped] == [75, 75], stopped
    last = steps_of(workdir)[-1]
    assert all(f"step {last} is saved" in said for _, said in stopped)
    assert last < STEPS

    # Killed: the other one says so and ends.
    runs = start_two(workdir)
    wait_for_a_step_after(last, workdir, runs)
    runs[1].kill()
    since = time.monotonic()
    (code, said), _ = ends(runs)
    assert code == 1, said
    assert "process 1 (" in said
    assert "has not been heard of" in said
    assert time.monotonic() - since < 60
    assert f"resuming at step {last} of {STEPS}" in said

    # One process with four devices does the rest.
    train_here(workdir, 4)
    one, two = losses(tmp_path / "one"), losses(workdir)
    assert list(one) == list(two) == list(range(1, STEPS + 1))
    np.testing.assert_allclose(list(two.values()), list(one.values()), atol=1e-5)
    previews = [
        sorted(p.name for p in (tmp_path / w / "previews").iterdir()) for w in ("one", "two")
    ]
    assert previews[0] == previews[1]


def train_slowly() -> None:
    """What `start_two` starts: train.py, with steps that leave time to do something to it."""
    import train
    from rsisrefiner_jax.errors import run_main
    from rsisrefiner_jax.training.step import ClickStep

    registry.Refiner = tiny.SmallModel
    step = ClickStep.__call__

    def slow(*arguments):
        time.sleep(0.2)
        return step(*arguments)

    ClickStep.__call__ = slow
    run_main(train.main)


if __name__ == "__main__":
    train_slowly()
