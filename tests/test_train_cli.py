"""train.py as a person runs it: what it writes, how it stops, goes on and refuses."""

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest

import train
from rsisrefiner_jax.checkpoint.loading import load_model
from rsisrefiner_jax.checkpoint.runs import load_weights
from rsisrefiner_jax.config import Clicks, Config, Parallel, from_json, to_json
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.models import pretrained
from rsisrefiner_jax.models.parameters import describe, parameter_counts
from rsisrefiner_jax.weights import save_npz, split
from tests import tiny

ROOT = Path(__file__).parent.parent
STEPS, EVERY = 24, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Holds tiny.py, a config like the paper's: a frozen backbone from a file."""
    folder = tmp_path_factory.mktemp("train")
    frozen, _ = split(tiny.variables()["params"], tiny.MODEL.frozen)
    save_npz(str(folder / "backbone.npz"), frozen, {"unused": 11})
    settings = dataclasses.replace(
        tiny.CONFIG,
        note="a note",
        # The single pass compiles one program instead of two.
        model=dataclasses.replace(
            tiny.MODEL, first_pass="single", backbone_weights=str(folder / "backbone.npz")
        ),
        clicks=Clicks(iterations=(1.0, 1.0)),
        train=dataclasses.replace(
            tiny.CONFIG.train,
            epochs=3,
            samples_per_epoch=4 * STEPS // 3,
            checkpoint_every=EVERY,
            preview_every=10,
        ),
        parallel=Parallel(backend="shard_map"),
    )
    write_config(folder / "tiny.py", settings)
    return folder


def write_config(path: Path, config: Config) -> None:
    path.write_text(
        f"from rsisrefiner_jax.config import from_json\nconfig = from_json({to_json(config)!r})\n"
    )


def start(*arguments: object) -> subprocess.Popen:
    """train.py on four devices; all runs share one cache of compiled programs."""
    # What is ignored here, as in a job in the background, would be there, too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, ROOT / "train.py", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ
        | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_NUM_CPU_DEVICES": "4"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, before)
    return process


def finish(process: subprocess.Popen, code: int) -> str:
    """Everything it said, once it has ended with `code`."""
    try:
        said, errors = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == code, errors[-3000:]
    return said + errors


def saved_steps(workdir: Path) -> list[int]:
    names = (path.name for path in (workdir / "checkpoints").glob("*"))
    return sorted(int(name) for name in names if name.isdigit())


def wait_for_step(process: subprocess.Popen, workdir: Path, step: int) -> None:
    while not any(saved >= step for saved in saved_steps(workdir)):
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.02)


def metrics(workdir: Path) -> list[dict]:
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in line.items() if k != "samples_per_second"} for line in lines]


@pytest.fixture(scope="module")
def run(folder) -> tuple[Path, str]:
    """A run from start to end without a break, and what it printed."""
    workdir = folder / "whole"
    return workdir, finish(start("--config", folder / "tiny.py", "--workdir", workdir), 0)


def test_what_a_run_writes(run):
    workdir, said = run
    config = from_json((workdir / "config.json").read_text())
    assert (config.name, config.train.steps) == ("tiny", STEPS)
    lines = metrics(workdir)
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert set(lines[0]) == {"step", "loss", "iou", "grad_norm", "lr", "iterations"}
    assert {line["iterations"] for line in lines} == {1, 2}
    np.testing.assert_allclose([line["lr"] for line in lines], 3e-3, rtol=1e-5)
    assert all(0 < line["loss"] < 5 and 0 <= line["iou"] <= 1 for line in lines)
    assert saved_steps(workdir) == [16, 20, 24]
    previews = sorted(path.name for path in (workdir / "previews").iterdir())
    assert previews == ["0000010.png", "0000020.png", "0000024.png"]
    sheet = cv2.imread(str(workdir / "previews" / previews[0]))
    assert sheet.shape == (128, 256, 3)  # four samples, target and answer side by side
    assert sheet.std() > 10
    assert "tiny: a note" in said
    assert describe(parameter_counts(tiny.MODEL, tiny.variables()["params"], 11)) in said
    assert f"from step 0 of {STEPS}" in said
    assert f"next: python eval.py --checkpoint {workdir}" in said


def test_a_checkpoint_alone_is_enough(run, tmp_path):
    workdir, _ = run
    shutil.copytree(workdir / "checkpoints", tmp_path / "net")
    model = load_model(tmp_path / "net")
    assert model.step == STEPS
    assert model.config.model.width == 32
    assert model.parameters["unused"] == 11
    backbone = tiny.variables()["params"]["backbone"]
    jax.tree.map(
        np.testing.assert_array_equal, dict(model.variables["params"]["backbone"]), backbone
    )
    fresh = tiny.variables()["params"]["decoder"]["up_1"]["kernel"]
    assert np.abs(model.variables["params"]["decoder"]["up_1"]["kernel"] - fresh).max() > 1e-3


def test_a_run_that_is_stopped_and_killed_ends_the_same(run, folder):
    whole, _ = run
    workdir = folder / "broken"
    command = ("--config", folder / "tiny.py", "--workdir", workdir)

    # Ctrl-C: the step that is running is finished and saved.
    process = start(*command)
    wait_for_step(process, workdir, EVERY)
    process.send_signal(signal.SIGINT)
    said = finish(process, 130)
    stopped = max(saved_steps(workdir))
    assert f"step {stopped} is saved" in said
    assert "Traceback" not in said
    assert len(metrics(workdir)) == stopped < STEPS

    # kill -9, at any moment after another checkpoint.
    process = start(*command)
    wait_for_step(process, workdir, stopped + 1)
    time.sleep(random.uniform(0, 0.2))
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    killed = max(saved_steps(workdir))
    assert killed < STEPS

    said = finish(start(*command), 0)
    assert f"resuming at step {killed} of {STEPS}" in said
    assert metrics(workdir) == metrics(whole)
    got, expected = load_weights(workdir), load_weights(whole)
    assert got.step == expected.step == STEPS
    jax.tree.map(np.testing.assert_array_equal, got.params, expected.params)
    jax.tree.map(np.testing.assert_array_equal, got.batch_stats, expected.batch_stats)


def test_without_data_and_weights_all_is_said_at_once(tmp_path):
    workdir = tmp_path / "run"
    process = start("--config", "configs/base.py", "--workdir", workdir)
    lines = [line for line in finish(process, 2).splitlines() if line]
    parts = ("model.backbone_weights", "isaid:train", "potsdam:train")
    for line, part in zip(lines, parts, strict=True):
        assert line.startswith("error: ")
        assert part in line
    assert not workdir.exists()


@pytest.fixture
def train_here(monkeypatch, folder):
    """train.main in this process of four devices, for what ends before the first step."""
    handler = signal.getsignal(signal.SIGINT)
    cache = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", cache)
    monkeypatch.setattr(pretrained, "init_variables", lambda *_: tiny.variables())
    params = tiny.variables()["params"]
    save_npz(str(folder / "vit.npz"), {"backbone": params["backbone"]}, {})
    save_npz(str(folder / "coords.npz"), {"patch_embed_coords": {"bias": np.ones(32)}}, {})
    save_npz(str(folder / "other.npz"), {"classifier": {"bias": np.ones(32)}}, {})

    def call(*arguments: object) -> None:
        words = ["train.py", "--config", folder / "tiny.py", *arguments]
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        train.main()

    yield call
    signal.signal(signal.SIGINT, handler)


def test_a_run_that_begins_with_the_weights_of_another(run, train_here, tmp_path, capsys):
    whole, _ = run
    origin, workdir = f"train.init_from={whole}", tmp_path / "begun"
    settings = ("--data", "synthetic:train@96", "--set", origin)
    train_here(*settings, "train.epochs=0", "--workdir", workdir)
    assert f"from step 0 of 0, weights of {whole}" in capsys.readouterr().out
    got, expected = load_weights(workdir), load_weights(whole)
    assert (got.step, got.config.data.train) == (0, ("synthetic:train@96",))
    jax.tree.map(np.testing.assert_array_equal, got.params, expected.params)
    jax.tree.map(np.testing.assert_array_equal, got.batch_stats, expected.batch_stats)

    with pytest.raises(UserError, match="params does not fit the model") as error:
        train_here(*settings, "model.width=64", "--workdir", tmp_path / "misfit")
    assert str(error.value).startswith(origin)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ("--config configs/bass.py", "configs/bass.py: no such file"),
        ("--set optim.lrr=1", "did you mean 'lr'?"),
        ("--set optim.lr=high", "'high' is not float"),
        ("--set data.train=[synthetic:trian]", "did you mean 'train'?"),
        ("--set seed=-1", "seed=-1 must not be negative"),
        ("--set parallel.backend=pjit", "not one of auto, pmap, shard_map"),
        ("--set model.backbone_weights={}/no.npz", "no.npz: no such file"),
        ("--set model.backbone_weights={}/tiny.py", "tiny.py is not a weights file"),
        ("--set model.backbone_weights={}/vit.npz", "set model.frozen=[backbone]"),
        ("--set model.backbone_weights={}/coords.npz model.frozen=[]", "1 missing (kernel)"),
        ("--set model.backbone_weights={}/other.npz model.frozen=[]", "1 unexpected (bias)"),
        ("--workdir {}/tiny.py/run", "cannot be written (Not a directory)"),
    ],
)
def test_what_is_refused(train_here, folder, tmp_path, arguments, part):
    words = [word.format(folder) for word in arguments.split()]
    with pytest.raises(UserError) as error:
        train_here("--workdir", tmp_path / "run", *words)
    assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_no_epochs_leave_the_untrained_network(train_here, tmp_path, capsys):
    workdir = tmp_path / "run"
    train_here("--workdir", workdir, "--set", "train.epochs=0", "train.save_untrained=True")
    assert "0 steps done" in capsys.readouterr().out
    for place in (workdir, workdir / "untrained"):
        weights = load_weights(place)
        assert weights.step == 0
        jax.tree.map(
            np.testing.assert_array_equal, dict(weights.params), tiny.variables()["params"]
        )
    assert (workdir / "metrics.jsonl").read_text() == ""
