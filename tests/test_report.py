"""The command line of eval.py and what it writes, with a fake network."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation import trajectories
from rsisrefiner_jax.evaluation.results import ResultLog
from rsisrefiner_jax.experiment.evaluation import names
from tests import tiny
from tests.fakes import Disks, source

ROOT = Path(__file__).parents[1]


def run_eval(*arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "eval.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "papr"], "did you mean 'paper'"),
        (["--set", "protocol.max_click=3"], "did you mean 'max_clicks'"),
        (["--limit", "0"], "--limit 0"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, arguments, message):
    answer = run_eval("--checkpoint", tmp_path, "--out", tmp_path / "out", *arguments)
    assert answer.returncode == 2
    assert message in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


@pytest.fixture
def eval_main(monkeypatch):
    """eval.main with a fake network and a fake data set; returns the number of objects clicked."""
    from types import SimpleNamespace

    import jax

    import rsisrefiner_jax.checkpoint.loading
    import rsisrefiner_jax.data.spec
    from rsisrefiner_jax.config import Config, apply_overrides

    monkeypatch.syspath_prepend(ROOT)
    import eval as command

    calls, append, devices = [], ResultLog.append, jax.devices()[:1]

    def counted(log, result):
        calls.append(result)
        append(log, result)

    def load_model(directory, overrides):
        return SimpleNamespace(
            config=apply_overrides(Config(), ["model.image_size=64", *overrides]),
            model=Disks(),
            parameters={"frozen": 5, "trainable": 3, "unused": 1, "total": 9},
            variables={"params": {"weights": np.ones(3, np.float32)}},
        )

    monkeypatch.setattr(rsisrefiner_jax.checkpoint.loading, "load_model", load_model)
    monkeypatch.setattr(rsisrefiner_jax.data.spec, "open_source", lambda spec, recipe: source())
    monkeypatch.setattr(ResultLog, "append", counted)
    monkeypatch.setattr(jax, "local_devices", lambda: devices)

    def main(*arguments):
        calls.clear()
        monkeypatch.setattr(sys, "argv", ["eval.py", *map(str, arguments)])
        with tiny.quick_compilation():
            command.main()
        return len(calls)

    return main


def test_eval_py_end_to_end(tmp_path, eval_main, capsys):
    arguments = [
        "--checkpoint", "runs/x", "--out", tmp_path, "--data", "coco:a,b/ships.json", "synthetic",
        "--set", "protocol.max_clicks=4",
    ]  # fmt: skip
    assert eval_main(*arguments) == 8
    output = capsys.readouterr().out
    assert "## ships: 4 objects" in output
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["protocol"]["max_clicks"] == 4
    assert results["protocol"]["name"] == "paper with max_clicks=4"
    assert "Protocol: paper with max_clicks=4" in output
    assert "stop once they reach 0.9" in output
    about = results["environment"]
    assert (about["platform"], about["dtype"]) == ("cpu", "float32")
    assert about["versions"]["jax"] == jax.__version__
    assert about["code"]
    # The fake has neither matrix products nor convolutions.
    assert results["model"] == {
        "kind": "rsisrefiner",
        "parameters": 9,
        "trainable": 3,
        "flops": {"first_click": 0, "later_click": 0},
    }
    assert list(results["datasets"]) == ["ships", "synthetic"]
    lines = [json.loads(line) for line in (tmp_path / "objects.jsonl").read_text().splitlines()]
    assert [line["dataset"] for line in lines] == ["ships"] * 4 + ["synthetic"] * 4
    for name in ("table.md", "miou.png", "report.html", "report.json"):
        assert (tmp_path / name).stat().st_size > 0
    panels = sorted(path.name for path in (tmp_path / "panels" / "ships").iterdir())
    assert panels[:3] == ["000000-1.png", "000000-2.png", "000000-3.png"]
    assert [line["object_id"] for line in lines] == [1, 2, 1, 3] * 2
    assert all("seed" not in line for line in lines)
    assert results["datasets"]["ships"]["answers_made"] > 0
    assert eval_main(*arguments) == 0
    assert json.loads((tmp_path / "results.json").read_text()) == results
    # One object is lost, which is all that is clicked again.
    kept = (tmp_path / "objects.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "objects.jsonl").write_text("".join(kept[:2] + kept[3:]))
    assert eval_main(*arguments) == 1
    assert (tmp_path / "objects.jsonl").read_text() == "".join(kept)


def test_eval_py_repeats_what_is_random(tmp_path, eval_main, capsys):
    arguments = [
        "--checkpoint", "runs/x", "--out", tmp_path, "--data", "synthetic", "--limit", "2",
        "--set", "protocol.max_clicks=4", "protocol.click_strategy=random", "eval.seeds=3",
    ]  # fmt: skip
    assert eval_main(*arguments) == 6
    entry = json.loads((tmp_path / "results.json").read_text())["datasets"]["synthetic"]
    assert (entry["objects"], entry["seeds"]) == (2, 3)
    low, high = entry["noc_ci95"]["90"]
    assert low <= entry["noc"]["90"] <= high
    lines = [json.loads(line) for line in (tmp_path / "objects.jsonl").read_text().splitlines()]
    assert [line.get("seed", 0) for line in lines] == [0, 0, 1, 1, 2, 2]
    assert eval_main(*arguments) == 0
    with pytest.raises(UserError, match="the centre click draws nothing at random"):
        eval_main(*arguments, "protocol.click_strategy=centre")


def test_eval_py_trajectories(tmp_path, eval_main, monkeypatch, capsys):
    monkeypatch.setitem(trajectories.STRATEGIES, "random", 2)
    arguments = [
        "--checkpoint", "runs/x", "--out", tmp_path, "--data", "synthetic", "--limit", "2",
        "--trajectories", "--set", "protocol.max_clicks=2", "protocol.click_candidates=3",
    ]  # fmt: skip
    assert eval_main(*arguments) == 2 * (1 + 1 + 2 + 1)
    assert "**gap**" in capsys.readouterr().out
    summary = json.loads((tmp_path / "trajectories.json").read_text())
    rows = summary["datasets"]["synthetic"]["strategies"]
    assert list(rows) == ["best", "centre", "random", "worst"]
    assert rows["best"]["miou"][0] >= rows["centre"]["miou"][0] >= rows["worst"]["miou"][0]
    assert "noc_ci95" in rows["random"]
    assert json.loads((tmp_path / "worst" / "settings.json").read_text())["seeds"] == 1
    assert eval_main(*arguments) == 0
    assert json.loads((tmp_path / "trajectories.json").read_text()) == summary


def test_names_of_data_sets():
    specs = [
        "isaid:val", "coco:i,x/val.json", "coco:j,y/val.json", "instances:/d/mini/i,/d/mini/m",
        "classes:/d/land/i,/d/land/m,class=2", "geo:a.tif,roofs.gpkg", "synthetic",
    ]  # fmt: skip
    assert names(specs) == [
        "isaid:val", "val", "val-2", "mini", "land", "roofs", "synthetic",
    ]  # fmt: skip
