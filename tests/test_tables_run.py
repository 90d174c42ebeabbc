"""The tables' command line with real training and evaluation, of a small network."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
STEPS = 12

CONFIG = f"""
import dataclasses
from rsisrefiner_jax.config import Eval, Parallel
from tests import tiny
config = dataclasses.replace(
    tiny.CONFIG,
    name="small",
    model=dataclasses.replace(tiny.MODEL, frozen=(), first_pass="single"),
    data=dataclasses.replace(tiny.CONFIG.data, eval=("synthetic:test@96",)),
    train=dataclasses.replace(
        tiny.CONFIG.train, samples_per_epoch={4 * STEPS}, checkpoint_every=2, batch_size=4
    ),
    parallel=Parallel("shard_map"),
    eval=Eval(batch_size=2),
    protocol=dataclasses.replace(tiny.CONFIG.protocol, max_clicks=3, flip=False),
)
"""

COMMAND = """
from rsisrefiner_jax.errors import run_main
from rsisrefiner_jax.models import registry
from rsisrefiner_jax.tables.__main__ import main
from tests import tiny
registry.Refiner = tiny.SmallModel
run_main(main)
"""


def start(folder: Path) -> subprocess.Popen:
    arguments = ["9", "--base", "small.py", "--out", "out", "--seeds", "1", "--limit", "2"]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=folder,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_NUM_CPU_DEVICES": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_command_goes_on(tmp_path):
    (tmp_path / "small.py").write_text(CONFIG)
    directory = tmp_path / "out" / "runs" / "small" / "ours" / "seed-0"
    process = start(tmp_path)
    while not any(directory.glob("checkpoints/[2-9]")):  # in the midst of the second row
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    other = directory.parent.parent / "table-9-original" / "seed-0" / "eval"
    finished = (other / "results.json").stat().st_mtime_ns
    assert not (tmp_path / "out" / "table9.json").exists()

    process = start(tmp_path)
    said, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-3000:]
    assert "1 rows to train and evaluate" in said
    assert "resuming at step" in said
    assert (other / "results.json").stat().st_mtime_ns == finished
    lines = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    table = json.loads((tmp_path / "out" / "table9.json").read_text())
    # The small network is not modulated: both rows are the same training.
    difference = table["rows"][0]["datasets"]["synthetic:test@96"]["difference"]["NoC90"]
    assert difference["mean"] == 0
    assert not difference["outside_noise"]
    assert table["rows"][0]["ms_per_click"] > 0
    assert table["noise"] in said
