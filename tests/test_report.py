"""What eval.py writes, and its command line, with a fake network."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation import published, report, trajectories
from rsisrefiner_jax.evaluation.results import ObjectResult, ResultLog, summarize
from rsisrefiner_jax.interaction.clicks import Click
from tests import tiny
from tests.fakes import PAPER, SHORT, Disks, evaluation, scene, source

ROOT = Path(__file__).parents[1]


@pytest.fixture
def written(tmp_path):
    galleries, datasets = {}, {}
    for name in ("isaid:val", "my <ships>"):
        galleries[name] = report.Gallery(tmp_path / "gallery", name, SHORT)
        run = evaluation(source(), dataset=name, on_object=galleries[name].add)
        galleries[name].complete(run.results)
        datasets[name] = summarize([run], SHORT)
    results = {
        "protocol": dataclasses.asdict(SHORT),
        "model": {"kind": "rsisrefiner", "parameters": 3, "trainable": 2},
        "checkpoint": "runs/x",
        "datasets": datasets,
    }
    report.write_report(tmp_path, results, galleries)
    return tmp_path


def test_results_json(written):
    results = json.loads((written / "results.json").read_text())
    assert list(results) == ["protocol", "model", "checkpoint", "datasets"]
    assert list(results["datasets"]) == ["isaid:val", "my <ships>"]
    entry = results["datasets"]["isaid:val"]
    assert set(entry) >= {
        "objects", "object_hash", "noc", "noc_std", "nof", "nof_at_max", "miou",
        "seconds_per_click", "objects_per_second", "answers_made", "answers_needed",
    }  # fmt: skip
    assert entry["objects"] == 4
    assert len(entry["miou"]) == 6
    assert re.fullmatch("sha256:[0-9a-f]{64}", entry["object_hash"])


def test_tables(written):
    text = (written / "table.md").read_text()
    ours, theirs = text.split("## my <ships>: 4 objects")
    assert "## isaid:val: 4 objects (paper: iSAID, 844 objects)" in ours
    assert "| paper: RS-ISRefiner (ViT-B) | 2.25 | 3.38 | 6.51 | 14 | 30 | 113 | - |" in ours
    assert ours.count("| paper: ") == 11
    assert "paper" not in theirs
    assert theirs.count("| this run |") == 1


def test_html_is_self_contained(written):
    page = (written / "report.html").read_text()
    assert "my &lt;ships&gt;" in page
    assert "<ships>" not in page
    assert page.count("<img") == page.count("data:image/png;base64,iVBOR") == 1 + 2 * 4
    assert not re.search(r"(src|href)\s*=\s*['\"](?!data:)", page)


def test_curve_is_a_picture(written):
    curve = cv2.imread(str(written / "miou.png"))
    assert curve is not None
    assert curve.shape == (480, 720, 3)


def test_unknown_targets_of_the_paper_stay_empty():
    protocol = dataclasses.replace(PAPER, noc_targets=(0.9, 0.95), early_stop=None)
    rows = report.comparison("nwpu", summarize([evaluation(source())], protocol), "at_max")
    assert rows[0] == ["method", "NoC@90", "NoC@95", "NoF@90", "NoF@95", "s/click"]
    assert rows[-1] == ["paper: RS-ISRefiner (ViT-B)", "6.56", "-", "299", "-", "-"]


def test_paper_tables_are_complete():
    for dataset in published.DATASETS:
        for table in (published.noc(dataset), published.nof(dataset)):
            assert len(table) == 11
            for numbers in table.values():
                assert len(numbers) == 3
                assert list(numbers) == sorted(numbers)
    assert published.noc("whu_building")["MFP (ViT-B)"] == (4.01, 5.63, 9.28)


def fake_result(index, ious):
    clicks = tuple(Click(5, 5, True) for _ in ious)
    return ObjectResult("d", f"image{index}", 1, "", 4, ious, clicks)


def test_gallery_keeps_the_best_and_the_worst(tmp_path):
    finals = [0.95, 0.1, 0.6, 0.97, 0.3, 0.99, 0.92, 0.5]
    only = scene("a", [(4, 6, 4, 6)])
    target = np.zeros((100, 120), np.int8)
    trace = report.Trace((), np.zeros(1, np.float32), (), np.zeros((100, 120), np.float32))
    results = [fake_result(index, (iou,)) for index, iou in enumerate(finals)]
    whole = report.Gallery(tmp_path / "whole", "d", PAPER, size=2)
    for index, result in enumerate(results):
        whole.add(index, result, only, target, trace)
    assert (whole.best(), whole.worst()) == ([5, 3], [1, 4])
    kept = sorted(path.name for path in (tmp_path / "whole" / "d").iterdir())
    assert kept == ["000001.png", "000003.png", "000004.png", "000005.png"]
    first = report.Gallery(tmp_path / "resumed", "d", PAPER, size=2)
    for index in (3, 0, 4, 2, 1):
        first.add(index, results[index], only, target, trace)
    resumed = report.Gallery(tmp_path / "resumed", "d", PAPER, size=2)
    for index in (7, 5, 6):
        resumed.add(index, results[index], only, target, trace)
    resumed.complete(results)
    assert (resumed.best(), resumed.worst()) == ([5, 3], [1, 4])
    assert all(resumed.picture(index)[1] for index in [*resumed.best(), *resumed.worst()])


def test_gallery_does_not_depend_on_the_order(tmp_path):
    only, target = scene("a", [(4, 6, 4, 6)]), np.zeros((100, 120), np.int8)
    trace = report.Trace((), np.zeros(1, np.float32), (), np.zeros((100, 120), np.float32))
    pictures = []
    for seed in range(3):
        gallery = report.Gallery(tmp_path / str(seed), "d", PAPER, size=2)
        for index in np.random.default_rng(seed).permutation(9).tolist():
            result = fake_result(index, (0.1 * (index // 2),))  # some are as good as others
            gallery.add(index, result, only, target, trace)
        assert (gallery.best(), gallery.worst()) == ([8, 6], [1, 0])
        pictures.append(sorted(path.name for path in (tmp_path / str(seed) / "d").iterdir()))
    assert pictures == [["000000.png", "000001.png", "000006.png", "000008.png"]] * 3


def test_clicks_are_drawn_where_they_were_made():
    target = np.zeros((100, 120), np.int8)
    target[40:60, 50:90] = 1
    clicks = (Click(50, 70, True), Click(45, 85, False))
    result = ObjectResult("d", "a", 1, "", 800, (0.5, 0.6), clicks)
    picture = report.draw_object(np.zeros((100, 120, 3), np.uint8), target, target == 1, result)
    assert max(picture.shape) == 320
    # The window is the object's box and a margin of 14 pixels: rows 26..73, columns 36..103.
    scale = 320 / 68
    for click, color in zip(clicks, (report.GREEN, report.RED), strict=True):
        y, x = int((click.y - 26 + 0.5) * scale), int((click.x - 36 + 0.5) * scale)
        assert tuple(picture[y, x].tolist()) == color


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
    assert results["model"] == {"kind": "rsisrefiner", "parameters": 9, "trainable": 3}
    assert list(results["datasets"]) == ["ships", "synthetic"]
    lines = [json.loads(line) for line in (tmp_path / "objects.jsonl").read_text().splitlines()]
    assert [line["dataset"] for line in lines] == ["ships"] * 4 + ["synthetic"] * 4
    for name in ("table.md", "miou.png", "report.html"):
        assert (tmp_path / name).stat().st_size > 0
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


def test_names_of_data_sets(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    import eval as command

    specs = [
        "isaid:val", "coco:i,x/val.json", "coco:j,y/val.json", "instances:/d/mini/i,/d/mini/m",
        "classes:/d/land/i,/d/land/m,class=2", "geo:a.tif,roofs.gpkg", "synthetic",
    ]  # fmt: skip
    assert command.names(specs) == [
        "isaid:val", "val", "val-2", "mini", "land", "roofs", "synthetic",
    ]  # fmt: skip
