"""Checkpoints: what goes in comes out, and what cannot be read is said."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.checkpoint import about
from rsisrefiner_jax.checkpoint import export as export_weights
from rsisrefiner_jax.checkpoint.loading import load_model
from rsisrefiner_jax.checkpoint.runs import (
    CheckpointWriter,
    load_weights,
    save_weights,
)
from rsisrefiner_jax.data.synthetic import SyntheticSource
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.parallel import DataParallel
from rsisrefiner_jax.training.step import init_state
from tests import tiny

META = {"source": "nowhere", "unused": 5}


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("saved") / "net"
    values = tiny.variables()
    save_weights(directory, tiny.CONFIG, values["params"], values["batch_stats"], META)
    return directory


@pytest.fixture
def copy(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "moved"))


def assert_equal(got, expected):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, got, expected)


def test_weights_come_back(copy):
    weights = load_weights(copy)
    assert weights.config == tiny.CONFIG
    assert (weights.step, weights.meta) == (0, META)
    assert_equal(dict(weights.params), tiny.variables()["params"])
    assert_equal(weights.batch_stats, tiny.variables()["batch_stats"])
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(weights.params))


def test_exported_weights_are_those_of_the_run(copy, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(about, "HASHED", 3)
    export_weights.main([str(copy), str(tmp_path / "own")])
    assert "step 0" in capsys.readouterr().out
    found = load_weights(tmp_path / "own")
    assert found.config == tiny.CONFIG
    assert found.meta == META | {"step": 0}
    assert_equal(dict(found.params), tiny.variables()["params"])
    (data,) = json.loads((tmp_path / "own" / "about.json").read_text())["data"]
    assert data["spec"] == "synthetic:train@96"
    assert (data["scenes_hashed"], data["licence"]) == (3, "none: drawn by this package")
    scenes = [SyntheticSource("train", 96)[i] for i in range(3)]
    assert data["objects"] == sum(len(scene.objects) for scene in scenes)
    with pytest.raises(UserError, match="exists already"):
        export_weights.main([str(copy), str(tmp_path / "own")])
    export_weights.main([str(copy), str(tmp_path / "7"), "--set", "protocol.max_clicks=7"])
    assert load_weights(tmp_path / "7").config.protocol.max_clicks == 7


def test_a_work_directory_is_taken_for_its_checkpoints(copy, tmp_path):
    (tmp_path / "run").mkdir()
    copy.rename(tmp_path / "run" / "checkpoints")
    assert load_weights(tmp_path / "run").config == tiny.CONFIG


def test_a_model_with_overrides(copy):
    model = load_model(copy, ["model.decoder=released", "protocol.max_clicks=3"])
    assert model.config.model == dataclasses.replace(tiny.MODEL, decoder="released")
    assert model.config.protocol.max_clicks == 3
    plain = load_model(copy)
    assert plain.config == tiny.CONFIG
    dropped = plain.parameters["trainable"] - model.parameters["trainable"]
    assert dropped == 64 * 32 + 32  # the dense fusion
    assert plain.parameters["unused"] == 5
    assert plain.parameters["total"] == model.parameters["total"]
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(model.variables))


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("model.decoder=relased", "did you mean 'released'"),
        ("model.width=64", "(32,), expected (64,)"),
        ("model.depth=3", "missing (backbone/block_2/"),
    ],
)
def test_overrides_that_do_not_fit(copy, override, part):
    with pytest.raises(UserError) as error:
        load_model(copy, [override])
    assert override in str(error.value)
    assert part in str(error.value)


def test_an_average_is_what_serves_and_training_goes_on_with_the_latest(tmp_path):
    config = dataclasses.replace(
        tiny.CONFIG,
        model=dataclasses.replace(tiny.MODEL, frozen=()),
        optim=dataclasses.replace(tiny.CONFIG.optim, ema=0.9),
    )
    devices = DataParallel("shard_map", 4, jax.devices()[:1])
    state = init_state(config, {"w": jnp.ones(3)}, {"norm": {"mean": jnp.zeros(2)}})
    twice = jax.tree.map(lambda x: x + 1, state.latest)
    saved = devices.replicate(state._replace(average=twice, step=jnp.int32(2)))
    writer = CheckpointWriter(tmp_path / "run")
    writer.save_frozen({}, {})
    writer.save(saved, config)
    kept = writer.newest()
    back = kept.restored(jax.tree.map(np.asarray, state))
    writer.close()
    assert_equal(back, saved)
    served = load_weights(tmp_path / "run")
    assert_equal({"params": served.params, "batch_stats": served.batch_stats}, twice)


def empty(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.mkdir()


def no_step(directory: Path) -> None:
    shutil.rmtree(directory / "0")


def broken_frozen(directory: Path) -> None:
    (directory / "frozen.npz").write_bytes(b"PK half")


def broken_weights(directory: Path, step: int = 0) -> None:
    for path in (directory / str(step) / "weights").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:7])


def no_weights(directory: Path) -> None:
    shutil.rmtree(directory / "0" / "weights")


def broken_config(directory: Path) -> None:
    for path in (directory / "0" / "config").rglob("metadata"):
        path.write_text('{"config": "{}')


@pytest.mark.parametrize(
    "damage",
    [shutil.rmtree, empty, no_step, broken_frozen, broken_weights, no_weights, broken_config],
    ids=lambda damage: damage.__name__,
)
def test_what_is_not_a_checkpoint(copy, damage):
    damage(copy)
    with pytest.raises(UserError, match="moved"):
        load_weights(copy)


def test_nothing_is_overwritten(copy):
    with pytest.raises(UserError, match="exists already"):
        save_weights(copy, tiny.CONFIG, {}, {})


@pytest.fixture(scope="module")
def state():
    """A state after some steps."""
    devices = DataParallel("pmap", 4, jax.devices()[:2])
    state, _ = tiny.start(devices)
    rng = np.random.default_rng(0)
    noisy = jax.tree.map(lambda x: (x + rng.normal(size=x.shape)).astype(x.dtype), state)
    key = np.zeros_like(state.key)  # of the seed; it is not saved
    return devices.replicate(noisy._replace(step=np.int32(7), key=key))


def zeros(state):
    return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), state)


def test_a_run_goes_on_exactly(state, tmp_path):
    writer = CheckpointWriter(tmp_path / "checkpoints")
    assert writer.newest() is None
    writer.save_frozen({"backbone": {"w": np.ones(2)}}, META)
    writer.save(state, tiny.CONFIG, [30])
    expected = jax.tree.map(np.array, state)
    writer.close()

    writer = CheckpointWriter(tmp_path / "checkpoints")
    saved = writer.newest()
    writer.close()
    assert (saved.step, saved.scenes, saved.config) == (7, [30], tiny.CONFIG)
    back = saved.restored(zeros(state))
    assert_equal(back, expected)
    assert back.step.dtype == np.int32


ELSEWHERE = [
    {"device_mesh": {"mesh": [{"id": 4711}, {"id": 4712}]}},
    {"sharding_type": "SingleDeviceSharding", "device_str": "TPU_0(process=0,(0,0,0,0))"},
]


@pytest.mark.parametrize("named", ELSEWHERE, ids=["devices", "platform"])
def test_a_checkpoint_of_other_devices_opens(state, tmp_path, named):
    """What was saved names devices that are not here, or a platform that is not here."""
    writer = CheckpointWriter(tmp_path)
    writer.save_frozen({"backbone": {"w": np.ones(2)}}, META)
    writer.save(state, tiny.CONFIG)
    writer.close()
    for path in (tmp_path / "7").rglob("_sharding"):
        kept = json.loads(path.read_text())
        assert kept
        kept = {name: json.dumps(json.loads(text) | named) for name, text in kept.items()}
        path.write_text(json.dumps(kept))
    writer = CheckpointWriter(tmp_path)
    assert_equal(writer.newest().restored(zeros(state)), jax.tree.map(np.array, state))
    writer.close()
    assert load_weights(tmp_path).step == 7


def test_what_cannot_be_read_is_kept_aside(state, tmp_path, capsys):
    writer = CheckpointWriter(tmp_path)
    writer.save_frozen({"backbone": {"w": np.ones(2)}}, META)
    for step in (1, 2, 3):
        writer.save(state._replace(step=np.int32(step)), tiny.CONFIG)
    broken_weights(tmp_path, 3)
    shutil.rmtree(tmp_path / "2" / "optimizer")
    assert load_weights(tmp_path).step == 2  # reading changes nothing
    assert "3 cannot be read" in capsys.readouterr().err
    assert writer.newest().step == 1
    said = capsys.readouterr().err
    assert "kept as 3.unreadable" in said
    assert "kept as 2.unreadable" in said
    writer.save(state._replace(step=np.int32(2)), tiny.CONFIG)
    assert writer.newest().step == 2
    writer.close()
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        *("1", "2", "2.unreadable", "3.unreadable")
    }


def test_another_network_in_the_same_place(state, tmp_path):
    writer = CheckpointWriter(tmp_path)
    writer.save(state, tiny.CONFIG)
    smaller = dict(state.params)
    del smaller["gate"]
    with pytest.raises(UserError, match="step 7: params does not fit"):
        writer.newest().restored(state._replace(params=smaller))
    with pytest.raises(UserError, match="another optimizer"):
        writer.newest().restored(state._replace(opt_state=()))
    assert writer.newest().restored(state._replace(opt_state=()), anew=True).opt_state == ()
    writer.close()


def test_only_the_newest_are_kept(state, tmp_path):
    writer = CheckpointWriter(tmp_path, keep=2)
    for step in (1, 2, 3):
        writer.save(state._replace(step=np.int32(step)), tiny.CONFIG)
    writer.close()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["2", "3"]
