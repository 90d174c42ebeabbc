"""A step that is not finite: it changes nothing, ends the run and leaves its batch."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.checkpoint.runs import CheckpointWriter, load_weights
from rsisrefiner_jax.config import Clicks, Parallel
from rsisrefiner_jax.data.pipeline import TrainingIterator
from rsisrefiner_jax.errors import NotFiniteError, run_main
from rsisrefiner_jax.experiment import training
from rsisrefiner_jax.models import registry
from rsisrefiner_jax.parallel import DataParallel
from rsisrefiner_jax.training.finite import all_finite
from rsisrefiner_jax.training.step import init_state
from tests import tiny

BAD = 6  # the step whose batch is white
CONFIG = dataclasses.replace(
    tiny.CONFIG,
    model=dataclasses.replace(tiny.MODEL, frozen=()),
    clicks=Clicks(iterations=(0.0, 1.0)),
    train=dataclasses.replace(
        tiny.CONFIG.train, samples_per_epoch=32, checkpoint_every=2, preview_every=100
    ),
    parallel=Parallel("shard_map"),
)


class Fragile(tiny.SmallModel):
    """Has no answer to a white picture."""

    def predict(self, features, prev_mask, clicks, *, group=1, train=False):
        logits = super().predict(features, prev_mask, clicks, group=group, train=train)
        white = (features == 1).all((1, 2, 3))
        return jnp.where(white[:, None, None], jnp.nan, logits)


@pytest.fixture(autouse=True)
def fragile_network(monkeypatch):
    """The network in training is `Fragile`."""
    monkeypatch.setattr(registry, "Refiner", Fragile)


def run(workdir, config=CONFIG, profile=0):
    workdir.mkdir(exist_ok=True)
    sources, devices = training.open_data(config), jax.devices()[:1]
    with tiny.quick_compilation():
        return training.run(config, workdir, sources, devices, profile=profile)


def lines(workdir) -> list[dict]:
    """What is logged, without times."""
    rows = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in row.items() if k != "samples_per_second"} for row in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The work directory of a run in which nothing goes wrong."""
    workdir = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "Refiner", Fragile)
        run(workdir)
    return workdir


def test_no_checkpoint_holds_it_and_the_last_good_one_goes_on(whole, tmp_path, monkeypatch):
    plain = TrainingIterator.__next__

    def spoiled(self):
        batch = plain(self)
        white = self.get_state()["next_batch"] == BAD
        return batch | {"image": np.full_like(batch["image"], 255)} if white else batch

    # Not logged, so that the step is looked at while the next one runs.
    config = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, log_every=100))
    config = dataclasses.replace(
        config, train=dataclasses.replace(config.train, checkpoint_every=BAD - 2)
    )
    workdir = tmp_path / "run"
    monkeypatch.setattr(TrainingIterator, "__next__", spoiled)
    with pytest.raises(NotFiniteError, match=rf"step {BAD} is not finite \(loss nan") as error:
        run(workdir, config)
    kept = workdir / "not_finite" / f"{BAD:07d}.npz"
    assert str(kept) in str(error.value)
    with np.load(kept) as batch:
        assert (batch["image"] == 255).all()
        assert set(batch) == {"image", "label", "first_click"}
    found = load_weights(workdir)
    assert found.step == BAD - 2
    assert all_finite((found.params, found.batch_stats))

    monkeypatch.setattr(TrainingIterator, "__next__", plain)
    assert run(workdir)[0] == CONFIG.train.steps
    expected, found = load_weights(whole), load_weights(workdir)
    jax.tree.map(np.testing.assert_array_equal, found.params, expected.params)
    assert lines(workdir) == lines(whole)[BAD - 2 :]


def test_a_run_does_the_same_again(whole, tmp_path):
    """The command of a run again, for fewer steps: the same metrics to the last bit."""
    shorter = dataclasses.replace(CONFIG.train, max_steps=4, deterministic=True)
    outcome = run(tmp_path / "again", dataclasses.replace(CONFIG, train=shorter), profile=1)
    assert (outcome.step, outcome.finished) == (4, True)
    assert lines(tmp_path / "again") == lines(whole)[:4]
    # The step after those that compile is traced, for both kinds of viewer.
    for pattern in ("*.xplane.pb", "perfetto_trace.json.gz"):
        assert list((tmp_path / "again" / "profile").rglob(pattern)), pattern


def test_a_state_that_is_not_finite_is_not_saved(tmp_path):
    state = {"weights": jnp.ones(3), "step": jnp.int32(3), "slots": jnp.array([0.0, jnp.inf])}
    assert not all_finite(state)
    assert all_finite(state | {"slots": jnp.zeros(2)})
    assert all_finite({"step": jnp.int32(1)})
    fresh = init_state(CONFIG, {"w": jnp.ones(2)}, {"norm": {"mean": jnp.zeros(2)}})
    broken = DataParallel("shard_map", 1, jax.devices()[:1]).replicate(
        fresh._replace(batch_stats={"norm": {"mean": jnp.array([0.0, jnp.nan])}})
    )
    writer = CheckpointWriter(tmp_path)
    with pytest.raises(NotFiniteError, match="the state at step 0 holds numbers"):
        writer.save(broken, CONFIG)
    assert writer.latest_step() is None


def test_the_exit_code_is_stated(capsys):
    def main():
        raise NotFiniteError("step 3 is not finite")

    with pytest.raises(SystemExit) as stop:
        run_main(main)
    assert stop.value.code == 3
    assert capsys.readouterr().err == "error: step 3 is not finite\n"
