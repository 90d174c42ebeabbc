"""Validation during training: what is logged, which weights are kept, when a run ends."""

import dataclasses

import jax
import numpy as np
import pytest

from rsisrefiner_jax.checkpoint.loading import load_model
from rsisrefiner_jax.checkpoint.runs import load_weights
from rsisrefiner_jax.config import Clicks, Eval, Parallel, Validate
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.evaluation.evaluate import evaluate
from rsisrefiner_jax.experiment import training, validation
from rsisrefiner_jax.experiment.validation import Standing, standing_of, summary
from rsisrefiner_jax.interaction import slots
from rsisrefiner_jax.interaction.slots import jitted
from rsisrefiner_jax.models import registry
from rsisrefiner_jax.training.log import read_lines
from tests import fakes, tiny

CONFIG = dataclasses.replace(
    tiny.CONFIG,
    model=dataclasses.replace(tiny.MODEL, frozen=()),
    clicks=Clicks(iterations=(0.0, 1.0)),
    optim=dataclasses.replace(tiny.CONFIG.optim, ema=0.5),
    train=dataclasses.replace(
        tiny.CONFIG.train, samples_per_epoch=24, checkpoint_every=4, preview_every=100
    ),
    validate=Validate(every=2, data=("synthetic:val@96",), limit=3, target=0.85),
    eval=Eval(batch_size=2),
    parallel=Parallel("shard_map"),
    protocol=dataclasses.replace(fakes.PAPER, max_clicks=3, flip=False),
)


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    """The step as it is, around a network that compiles quickly."""
    monkeypatch.setattr(registry, "Refiner", tiny.SmallModel)


def run(workdir, config=CONFIG):
    workdir.mkdir(exist_ok=True)
    with tiny.quick_compilation():
        return training.run(config, workdir, training.open_data(config), jax.devices()[:1])


def validations(workdir) -> list[dict]:
    return [line for line in read_lines(workdir) if "val_miou" in line]


def test_the_best_weights_are_those_that_were_validated(tmp_path):
    workdir = tmp_path / "run"
    assert run(workdir).finished
    found = validations(workdir)
    assert [line["step"] for line in found] == [2, 4, 6]
    assert set(found[0]) == {"step", "val_noc80", "val_noc85", "val_noc90", "val_miou"}
    assert all(len(line["val_miou"]) == 3 for line in found)
    best = max(found, key=lambda line: (-line["val_noc85"], np.mean(line["val_miou"])))
    kept = load_weights(workdir / "best")
    assert kept.step == best["step"]
    assert [p.name for p in (workdir / "best").iterdir() if p.name.isdigit()] == [str(kept.step)]

    # What eval.py makes of them is what the log says.
    loaded = load_model(workdir / "best")
    with tiny.quick_compilation():
        again = evaluate(
            loaded.model,
            loaded.variables,
            open_source("synthetic:val@96"),
            CONFIG.protocol,
            batch_size=2,
            limit=3,
            devices=jax.devices()[:1],
            progress=False,
        )
    said = {name: value for name, value in best.items() if name != "step"}
    assert summary(CONFIG, [result.ious for result in again.results]) == said

    # Killed after step 4 was saved, gone on: no validation comes twice, the same is best.
    (workdir / "checkpoints" / "6").rename(tmp_path / "6")
    assert run(workdir).finished
    assert validations(workdir) == found
    assert load_weights(workdir / "best").step == best["step"]


def test_a_run_ends_when_nothing_better_comes(tmp_path, monkeypatch):
    values = iter([5.0, 4.0, 4.0, 4.5, 3.0])
    fake = lambda self, *_: [(0.0,)]  # noqa: E731
    monkeypatch.setattr(validation.Validation, "_traces", fake)
    answer = lambda *_: {"val_noc85": next(values), "val_miou": [0.5]}  # noqa: E731
    monkeypatch.setattr(validation, "summary", answer)
    config = dataclasses.replace(
        CONFIG, validate=dataclasses.replace(CONFIG.validate, every=1, patience=2)
    )
    workdir = tmp_path / "run"
    outcome = run(workdir, config)
    assert (outcome.step, outcome.finished) == (4, True)
    assert load_weights(workdir / "best").step == 2
    assert load_weights(workdir).step == 4
    assert run(workdir, config)[::2] == (4, True)  # the same command again: nothing to do


def test_fewer_clicks_are_better_then_a_higher_curve():
    standing = Standing()
    for noc, miou, since in [(20, 0.1, 0), (20, 0.3, 0), (20, 0.2, 1), (19, 0.1, 0), (19, 0.1, 1)]:
        standing = standing.after(noc, miou)
        assert standing.since == since
    lines = [{"loss": 1.0}, {"val_noc85": 3.0, "val_miou": [0.2, 0.4]}]
    found = standing_of(CONFIG, lines)
    assert found == Standing(3.0, pytest.approx(0.3), 0)


def test_another_evaluation_compiles_nothing(monkeypatch):
    monkeypatch.undo()
    source, model = fakes.source(), fakes.Disks()
    compiled = []
    monkeypatch.setattr(slots, "jitted", lambda loop: compiled.append(loop) or jitted(loop))
    protocol = dataclasses.replace(fakes.SHORT, max_clicks=5)  # of no other test
    with tiny.quick_compilation():
        how = {"batch_size": 2, "devices": jax.devices()[:1], "progress": False}
        first, second = (evaluate(model, {}, source, protocol, **how) for _ in range(2))
    assert len(compiled) == 1
    expected = fakes.evaluation(source, protocol)
    for found in (first, second):
        assert [r.ious for r in found.results] == [r.ious for r in expected.results]
