"""eval.py in two processes writes what it writes in one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.checkpoint.runs import save_weights
from rsisrefiner_jax.evaluation import processes
from rsisrefiner_jax.evaluation.processes import gather
from rsisrefiner_jax.models import registry
from tests import tiny
from tests.fakes import evaluation, source

ROOT = Path(__file__).parent.parent
# eval.py, around a network that compiles quickly.
COMMAND = """
import runpy
from rsisrefiner_jax.models import registry
from tests import tiny
registry.Refiner = tiny.SmallModel
runpy.run_path("eval.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("net") / "checkpoint"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "Refiner", tiny.SmallModel)
        values = tiny.small_variables()
    # As a run saves them: orbax notes the device of each, which the other process has not.
    values = jax.tree.map(jnp.asarray, values)
    save_weights(directory, tiny.SMALL, values["params"], values["batch_stats"])
    return directory


def start(checkpoint: Path, out: Path, *more: str, **environment: str) -> subprocess.Popen:
    """eval.py on one device."""
    arguments = [
        *("--checkpoint", checkpoint, "--out", out, "--data", "synthetic:val@96", "--limit", "6"),
        *("--set", "protocol.max_clicks=4", "eval.batch_size=2", *more),
    ]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes: subprocess.Popen) -> list[str]:
    """What each has said, once all have ended."""
    try:
        said = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, said, strict=True):
        assert process.returncode == 0, errors[-3000:]
    return [output for output, _ in said]


def start_two(checkpoint: Path, out: Path, *more: str) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cluster = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": "2"}
    return [start(checkpoint, out, *more, **cluster, JAX_PROCESS_ID=str(rank)) for rank in range(2)]


def test_two_processes_equal_one(checkpoint, tmp_path):
    finish(start(checkpoint, tmp_path / "one"))
    said = finish(*start_two(checkpoint, tmp_path / "two"))
    lines = [(tmp_path / out / "objects.jsonl").read_bytes() for out in ("one", "two")]
    assert lines[0] == lines[1]
    assert len(lines[0].splitlines()) == 6
    files = [sorted(path.name for path in (tmp_path / out).iterdir()) for out in ("one", "two")]
    assert files[0] == files[1]
    one, two = (
        json.loads((tmp_path / out / "results.json").read_text())["datasets"]["synthetic:val@96"]
        for out in ("one", "two")
    )
    for timing in ("seconds_per_click", "objects_per_second"):
        assert one.pop(timing) > 0
        assert two.pop(timing) > 0
    assert one == two
    assert "Report: " in said[0]
    assert "Report: " not in said[1]


def test_one_process_gathers_nothing():
    own = evaluation(source())
    assert gather(own, lambda: pytest.fail("there is nobody else")) is own


def test_what_several_processes_have_done_is_one_evaluation(monkeypatch):
    """Results of both, the seconds of the slower, the passes of both; nothing timed twice."""
    first = evaluation(source(), limit=1).results  # of an earlier run
    shares = [evaluation(source(), rank=rank, count=2, finished=first) for rank in range(2)]
    numbers = [[run.seconds, run.answers_made, run.answers_needed] for run in shares]
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(
        "jax.experimental.multihost_utils.process_allgather", lambda own: np.array(numbers)
    )
    logged = [result for run in shares for result in run.timed]
    order = []
    monkeypatch.setattr(processes, "wait_for_all", lambda: order.append("all"))
    whole = gather(shares[0], lambda: order.append("read") or [*first, *logged])
    assert order == ["all", "read", "all"]  # or another would put the files together first
    assert [(r.image, r.object_id) for r in whole.results] == list(shares[0].objects)
    assert set(whole.timed) == set(logged)
    assert whole.seconds == max(run.seconds for run in shares)
    assert whole.answers_made == sum(run.answers_made for run in shares)
    assert whole.left_out == shares[1].left_out
