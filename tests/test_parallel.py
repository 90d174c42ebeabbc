"""Data parallelism: four devices, or two processes, do what one does with the whole batch."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from rsisrefiner_jax.config import Clicks, Config, Parallel
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.models import registry
from rsisrefiner_jax.parallel import DataParallel, keep_last
from rsisrefiner_jax.training.step import ClickStep
from tests import tiny

ROOT = Path(__file__).parent.parent
BATCH = 8
ITERATIONS = {1: (1.0,), 3: (0.0, 0.0, 1.0)}  # weights that always draw J = 1 and J = 3


def configure(backend: str, j: int, base: Config = tiny.SMALL, sync: bool = True) -> Config:
    return dataclasses.replace(
        base,
        clicks=Clicks(iterations=ITERATIONS[j]),
        # With a large eps Adam moves by the gradient, not by its sign: errors stay visible.
        optim=dataclasses.replace(base.optim, lr=0.3, eps=1.0),
        train=dataclasses.replace(base.train, batch_size=BATCH),
        parallel=Parallel(backend=backend, sync_batch_norm=sync),
    )


def train(config: Config, devices: DataParallel, values: dict, steps: int = 2) -> dict:
    """{"params/...", "batch_stats/...", "metrics/...", "prob", ...: array} after some steps."""
    state, frozen = tiny.start(devices, config, values)
    step, batch = ClickStep(config, devices), tiny.batch(BATCH)
    if jax.process_count() > 1:
        share = BATCH // jax.process_count()
        first = jax.process_index() * share
        batch = {name: rows[first : first + share] for name, rows in batch.items()}
    with tiny.quick_compilation():
        for k in range(steps):
            state, metrics, shown = step(state, frozen, devices.shard(batch), k)
    result = {"params": state.params, "batch_stats": state.batch_stats, "metrics": metrics}
    if jax.process_count() == 1:
        result |= {"prob": shown["prob"], "clicks": shown["clicks"]._asdict()}
    return {path: np.asarray(leaf) for path, leaf in flatten_dict(result, sep="/").items()}


def assert_same(got: dict, expected: dict, within: float = 1e-5) -> None:
    assert got.keys() == expected.keys()
    for path in expected:
        np.testing.assert_allclose(
            got[path], expected[path], atol=within, rtol=within, err_msg=path
        )


@pytest.fixture
def small_network(monkeypatch):
    """The step as it is, around a network that compiles quickly."""
    monkeypatch.setattr(registry, "Refiner", tiny.SmallModel)


@pytest.fixture(scope="module")
def small():
    """Weights of the small network, and what one device makes of them, by J."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "Refiner", tiny.SmallModel)
        values = tiny.small_variables()
        one = {}
        for j in ITERATIONS:
            devices = DataParallel("shard_map", BATCH, jax.devices()[:1])
            one[j] = train(configure("shard_map", j), devices, values)
    return values, one


@pytest.mark.parametrize("backend", ["pmap", "shard_map"])
@pytest.mark.parametrize("j", [1, 3])
def test_four_devices_equal_one(small_network, small, backend, j):
    values, one = small
    assert len(jax.devices()) == 4
    four = train(configure(backend, j), DataParallel(backend, BATCH), values)
    assert_same(four, one[j])
    assert four["metrics/iterations"] == j
    assert four["prob"].shape == (BATCH, 64, 64)
    before = flatten_dict(values, sep="/")
    moved = [path for path in before if "backbone" not in path]
    assert all(np.abs(four[path] - before[path]).max() > 1e-4 for path in moved)


@pytest.mark.parametrize("backend", ["pmap", "shard_map"])
def test_four_devices_equal_one_to_the_last_digits_of_float64(small_network, backend):
    config = configure(backend, 3)
    with jax.enable_x64(True):
        values = jax.tree.map(lambda x: x.astype(np.float64), tiny.small_variables())
        one = train(config, DataParallel(backend, BATCH, jax.devices()[:1]), values)
        four = train(config, DataParallel(backend, BATCH), values)
    assert one["prob"].dtype == one["params/head/kernel"].dtype == np.float64
    # The learning rate and the pictures are float32 and the same.
    assert_same(four, one, within=1e-12)


def test_without_synchronised_statistics_the_result_differs(small_network, small):
    values, one = small
    config = configure("shard_map", 1, sync=False)
    four = train(config, DataParallel("shard_map", BATCH), values)
    for path in ("params/norm/scale", "params/head/kernel", "batch_stats/norm/var", "prob"):
        assert np.abs(four[path] - one[1][path]).max() > 1e-4, path


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["pmap", "shard_map"])
@pytest.mark.parametrize("j", [1, 3])
def test_four_devices_equal_one_with_the_whole_network(backend, j):
    config = configure(backend, j, tiny.CONFIG)
    one = DataParallel(backend, BATCH, jax.devices()[:1])
    with tiny.quick_compilation():
        expected = train(config, one, tiny.variables())
        assert_same(train(config, DataParallel(backend, BATCH), tiny.variables()), expected)


def test_an_uneven_batch_is_refused():
    with pytest.raises(UserError, match=r"train\.batch_size=6 cannot be split over 4 devices"):
        DataParallel("pmap", 6)
    with pytest.raises(UserError, match=r"train\.batch_size=6"):
        DataParallel("shard_map", 6)


def test_pmap_is_refused_between_processes(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(UserError, match=r"parallel\.backend=auto"):
        DataParallel("pmap", 8)


def test_two_processes_equal_one(small, tmp_path):
    """Two processes of two devices each, each with its half of every batch."""
    values, one = small
    np.savez(tmp_path / "values.npz", **flatten_dict(values, sep="/"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": "2",
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
        "JAX_NUM_PROCESSES": "2",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"),
    }
    children = [
        subprocess.Popen(
            [sys.executable, __file__, str(tmp_path)],
            env=environment | {"JAX_PROCESS_ID": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for child in children:
            _, errors = child.communicate(timeout=600)
            assert child.returncode == 0, errors[-3000:]
    finally:
        for child in children:
            child.kill()
    expected = {path: leaf for path, leaf in one[3].items() if path.split("/")[0] in KEPT}
    for rank in range(2):
        with np.load(tmp_path / f"{rank}.npz") as file:
            assert_same(dict(file), expected)
        where = json.loads((tmp_path / f"{rank}.json").read_text())
        assert where == {"processes": 2, "devices": 4, "local": 2}


KEPT = ("params", "batch_stats", "metrics")


def test_what_was_made_last_for_a_device_is_kept():
    made = []

    @keep_last(2)
    def make(device, what):
        made.append((device, what))
        return object()

    first = make("a", 1)
    assert make("b", 1) is not first
    assert make("a", 1) is first
    make("a", 2)
    make("b", 2)
    make("a", 3)  # instead of ("a", 1)
    assert make("a", 1) is not first
    make("b", 1)
    assert made == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3), ("a", 1)]


def one_of_two_processes(folder: Path) -> None:
    """What `test_two_processes_equal_one` starts."""
    from flax.traverse_util import unflatten_dict

    from rsisrefiner_jax.cluster import joining

    joining.join()
    registry.Refiner = tiny.SmallModel
    with np.load(folder / "values.npz") as file:
        values = unflatten_dict(dict(file), sep="/")
    result = train(configure("shard_map", 3), DataParallel("shard_map", BATCH), values)
    rank = jax.process_index()
    np.savez(folder / f"{rank}.npz", **result)
    where = {
        "processes": jax.process_count(),
        "devices": jax.device_count(),
        "local": jax.local_device_count(),
    }
    (folder / f"{rank}.json").write_text(json.dumps(where))


if __name__ == "__main__":
    one_of_two_processes(Path(sys.argv[1]))
