"""Results: one line of JSON an object, a log that survives a crash, and what they sum up to."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from rsisrefiner_jax.data.object_hash import object_hash
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation.results import Evaluation, ObjectResult, ResultLog, summarize
from rsisrefiner_jax.interaction import metrics
from rsisrefiner_jax.interaction.clicks import Click
from tests.fakes import PAPER, SHORT, evaluation, source

TIMING = ("seconds_per_click", "objects_per_second", "answers_made", "answers_needed")
SETTINGS = {"protocol": {"max_clicks": 20}}


def result(ious, index=0, dataset="d", seed=0) -> ObjectResult:
    clicks = (Click(index, 0, True),) * len(ious)
    return ObjectResult(dataset, "a", index, "", 9, tuple(ious), clicks, seed)


def run_of(traces, seed=0, **fields) -> Evaluation:
    results = tuple(result(ious, i, seed=seed) for i, ious in enumerate(traces))
    objects = tuple((r.image, r.object_id) for r in results)
    return Evaluation(results, objects, left_out=2, **fields)


def test_a_result_survives_json():
    before = evaluation(source(), limit=1).results[0]
    back = ObjectResult.from_json(before.to_json())
    assert np.array(back.ious, np.float32).tolist() == list(before.ious)
    assert dataclasses.replace(back, ious=before.ious) == before
    line = json.loads(before.to_json())
    assert list(line) == ["dataset", "image", "object_id", "class", "area_px", "ious", "clicks"]
    assert line["clicks"][0] == [14, 14, True]
    assert back.to_json() == before.to_json()


def test_the_seed_is_written_where_it_is_not_0():
    before = result((0.5,), seed=3)
    line = json.loads(before.to_json())
    assert list(line)[-1] == "seed"
    assert line["seed"] == 3
    assert ObjectResult.from_json(before.to_json()) == before


def test_summary_counts():
    traces = [(0.5, 0.8, 0.92), (0.1, 0.2, 0.3, 0.86), (0.95,)]
    protocol = dataclasses.replace(PAPER, max_clicks=4)
    run = run_of(traces, seconds=2.5, answers_made=9, answers_needed=8)
    summary = summarize([dataclasses.replace(run, timed=run.results[1:])], protocol)
    assert summary["objects"] == 3
    assert summary["left_out"] == 2
    assert summary["object_hash"] == object_hash([("a", 0, 9), ("a", 1, 9), ("a", 2, 9)])
    assert summary["noc"] == pytest.approx({"80": 7 / 3, "85": 8 / 3, "90": 8 / 3})
    assert summary["noc_std"]["80"] == pytest.approx(np.std([2, 4, 1]))
    assert summary["nof"] == {"80": 0, "85": 0, "90": 1}
    assert summary["nof_at_max"] == {"80": 1, "85": 1, "90": 1}
    assert {type(count) for count in summary["nof"].values()} == {int}
    assert summary["miou"] == pytest.approx([1.55 / 3, 1.95 / 3, 2.17 / 3, 2.73 / 3])
    assert summary["seconds_per_click"] == 0.5
    assert summary["objects_per_second"] == 0.8
    assert (summary["answers_made"], summary["answers_needed"]) == (9, 8)
    assert "seeds" not in summary
    assert "noc_ci95" not in summary
    json.dumps(summary, allow_nan=False)


def test_summary_over_seeds():
    protocol = dataclasses.replace(PAPER, max_clicks=4)
    traces = [
        [(0.5, 0.92), (0.1, 0.2, 0.3, 0.86)],
        [(0.95,), (0.1, 0.91)],
        [(0.2, 0.3, 0.4, 0.5), (0.9,)],
    ]
    runs = [
        run_of(trace, seed, seconds=1.0, answers_made=5, answers_needed=4)
        for seed, trace in enumerate(traces)
    ]
    runs = [dataclasses.replace(run, timed=run.results) for run in runs]
    summary = summarize(runs, protocol)
    assert (summary["objects"], summary["left_out"], summary["seeds"]) == (2, 2, 3)
    nocs = [(2 + 4) / 2, (1 + 2) / 2, (4 + 1) / 2]
    assert summary["noc"]["90"] == pytest.approx(np.mean(nocs))
    assert summary["noc_std"]["90"] == pytest.approx(np.std([2, 4, 1, 2, 4, 1]))
    assert summary["noc_ci95"]["90"] == pytest.approx(metrics.confidence_interval(nocs))
    assert summary["nof"]["90"] == pytest.approx(2 / 3)
    assert summary["nof_at_max"]["85"] == pytest.approx(2 / 3)
    assert summary["miou"][0] == pytest.approx((0.5 + 0.1 + 0.95 + 0.1 + 0.2 + 0.9) / 6)
    assert summary["seconds_per_click"] == pytest.approx(3 / 14)
    assert summary["objects_per_second"] == 2
    assert (summary["answers_made"], summary["answers_needed"]) == (15, 12)
    json.dumps(summary, allow_nan=False)


def test_nothing_timed_is_no_number():
    summary = summarize([run_of([(0.5,)])], PAPER)
    assert summary["seconds_per_click"] is None
    assert summary["objects_per_second"] is None


def test_results_of_any_process_come_in_order():
    run = run_of([(0.1,), (0.2,), (0.3,)])
    scattered = [run.results[2], run.results[0], run.results[2], result((0.9,), 7)]
    assert run.in_order(scattered) == (run.results[0], run.results[2])


class Crash(Exception):
    pass


def run_with_log(directory: Path, crash_after: int | None = None):
    log, calls = ResultLog(directory, SETTINGS), []

    def on_object(index, result, scene, target, trace):
        log.append(result)
        calls.append(result)
        if len(calls) == crash_after:
            raise Crash

    run = evaluation(source(), finished=log.of("mini"), on_object=on_object)
    log.finish(run.results)
    return summarize([run], SHORT), calls


@pytest.mark.parametrize("torn", ["", '{"dataset": "mini", "ima'])
def test_a_crash_loses_no_finished_object(tmp_path, torn):
    whole, _ = run_with_log(tmp_path / "whole")
    with pytest.raises(Crash):
        run_with_log(tmp_path / "torn", crash_after=3)
    with (tmp_path / "torn" / "objects.jsonl").open("a") as file:
        file.write(torn)
    resumed, calls = run_with_log(tmp_path / "torn")
    assert len(calls) == 1
    for timing in TIMING:
        del whole[timing], resumed[timing]
    assert resumed == whole
    lines = [(tmp_path / run / "objects.jsonl").read_text() for run in ("whole", "torn")]
    assert lines[0] == lines[1]
    assert [json.loads(line)["object_id"] for line in lines[0].splitlines()] == [1, 2, 1, 3]


def test_a_complete_run_is_not_repeated(tmp_path):
    run_with_log(tmp_path)
    before = (tmp_path / "objects.jsonl").read_bytes()
    summary, calls = run_with_log(tmp_path)
    assert calls == []
    assert summary["seconds_per_click"] is None
    assert (tmp_path / "objects.jsonl").read_bytes() == before


def test_other_settings_are_refused(tmp_path):
    ResultLog(tmp_path, SETTINGS).append(result((0.5,)))
    with pytest.raises(UserError, match=r"protocol\.max_clicks was 20, now 10"):
        ResultLog(tmp_path, {"protocol": {"max_clicks": 10}})
    with pytest.raises(UserError, match="limit was None, now 3"):
        ResultLog(tmp_path, SETTINGS | {"limit": 3})
    (tmp_path / "settings.json").unlink()
    with pytest.raises(UserError, match="other settings"):
        ResultLog(tmp_path, SETTINGS)


def test_without_results_settings_may_change(tmp_path):
    ResultLog(tmp_path, SETTINGS)
    ResultLog(tmp_path, {"protocol": {"max_clicks": 10}}).append(result((0.5,)))
    with pytest.raises(UserError, match="was 10, now 20"):
        ResultLog(tmp_path, SETTINGS)


def test_a_log_knows_data_sets_and_seeds_apart(tmp_path):
    log = ResultLog(tmp_path, SETTINGS)
    lines = [result((0.25,), i, dataset, seed) for i, (dataset, seed) in
             enumerate([("x", 0), ("y", 0), ("x", 1), ("x", 0)])]  # fmt: skip
    for line in lines:
        log.append(line)
    assert log.of("x") == [lines[0], lines[3]]
    assert log.of("x", seed=1) == [lines[2]]
    assert log.of("z") == []


def test_processes_write_parts_that_the_first_merges(tmp_path):
    logs = [ResultLog(tmp_path, SETTINGS, rank, 2) for rank in range(2)]
    lines = [result((0.25 * i,), i) for i in range(4)]
    for i in (2, 1, 3, 0):
        logs[i % 2].append(lines[i])
    parts = ["objects.part-0.jsonl", "objects.part-1.jsonl"]
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == parts
    for log in logs:
        assert sorted(log.of("d"), key=lambda r: r.object_id) == lines
    logs[0].finish(lines)
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["objects.jsonl"]
    assert logs[1].of("d") == lines


def test_parts_are_taken_over_by_any_number_of_processes(tmp_path):
    logs = [ResultLog(tmp_path, SETTINGS, rank, 3) for rank in range(3)]
    lines = [result((0.25 * i,), i) for i in range(3)]
    for log, line in zip(logs, lines, strict=True):
        log.append(line)
    with (tmp_path / "objects.part-2.jsonl").open("a") as file:
        file.write('{"dataset": "d"')  # it was killed
    for log in logs:
        log.close()
    alone = ResultLog(tmp_path, SETTINGS)
    assert alone.of("d") == lines
    more = result((1.0,), 3)
    alone.append(more)
    assert ResultLog(tmp_path, SETTINGS, 1, 2).of("d") == [more, *lines]
    with pytest.raises(UserError, match="other settings"):
        ResultLog(tmp_path, {"protocol": {"max_clicks": 10}}, 1, 2)
    alone.finish([*lines, more])
    alone.close()
    assert ResultLog(tmp_path, SETTINGS).of("d") == [*lines, more]
    assert len(list(tmp_path.glob("*.jsonl"))) == 1


def test_two_evaluations_at_once_are_refused(tmp_path):
    log = ResultLog(tmp_path, SETTINGS)
    with pytest.raises(UserError, match="another evaluation is writing there"):
        ResultLog(tmp_path, SETTINGS)
    ResultLog(tmp_path, SETTINGS, rank=1, count=2).close()  # another process of the same one
    log.close()
    ResultLog(tmp_path, SETTINGS).close()


def test_a_directory_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--out .*cannot be written"):
        ResultLog(tmp_path / "file" / "out", SETTINGS)
    log = ResultLog(tmp_path / "out", SETTINGS)
    (tmp_path / "out" / "objects.jsonl").mkdir()
    with pytest.raises(UserError, match=r"objects\.jsonl: cannot be written"):
        log.append(result((0.5,)))


def test_an_object_without_a_result_is_an_error(tmp_path):
    run = evaluation(source())
    summarize([run], SHORT)
    lost = dataclasses.replace(run, results=run.results[:1] + run.results[2:])
    with pytest.raises(UserError, match=r"1 of 4 objects have no result, .*object 2 of a"):
        summarize([lost], SHORT)


def test_a_curve_that_was_stopped_says_so():
    run = evaluation(source())
    assert summarize([run], SHORT)["miou_stops_at"] == 0.9
    whole = dataclasses.replace(SHORT, early_stop=None)
    assert summarize([evaluation(source(), whole)], whole)["miou_stops_at"] is None
