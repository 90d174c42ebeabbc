"""A layer refined by a Ray cluster of two machines, one of which dies on the way."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray", reason="needs the extra [ray]")
pytest.importorskip("ray.data", reason="needs the extra [ray]")
pytest.importorskip("pyogrio", reason="needs the extra [geo]")
import ray
import shapely
from ray.cluster_utils import Cluster

from rsisrefiner_jax.refine import run
from rsisrefiner_jax.refine.layer import Fields
from tests.refining import layer, on_ground, scene

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent


@pytest.fixture
def cluster(monkeypatch):
    """Two machines of one core each; the second may be removed."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = started.add_node(num_cpus=1)
    ray.init(address=started.address, log_to_driver=False)
    yield started, second
    ray.shutdown()
    started.shutdown()


def test_the_bytes_are_those_of_one_process(cluster, tmp_path, monkeypatch):
    corners = [(x, y) for x in range(20, 380, 60) for y in range(20, 280, 50)]
    scene(tmp_path / "scene.tif", [(x, y, x + 30, y + 25) for x, y in corners])
    shapes = [on_ground(shapely.box(x + 3, y - 4, x + 31, y + 24)) for x, y in corners]
    path = layer(tmp_path / "rough.gpkg", shapes, name=np.arange(len(shapes)))
    monkeypatch.chdir(tmp_path)
    words = ["scene.tif", "--prompts", path, "--checkpoint", "small", "--out", "local.gpkg"]
    subprocess.run([sys.executable, "-m", "rsisrefiner_jax.refine", *words], check=True)

    started, second = cluster
    add, added = run.Journal.add, []

    def and_then_one_dies(self, number, answers):
        add(self, number, answers)
        if not added:
            started.remove_node(second, allow_graceful=False)
        added.append(number)

    monkeypatch.setattr(run.Journal, "add", and_then_one_dies)
    fields = Fields()
    asked = {"checkpoint": "small", "engine": "ray"}
    run.run(run.Settings(("scene.tif",), path, Path("ray.gpkg"), fields, **asked))
    assert len(set(added)) > 1
    assert Path("ray.gpkg").read_bytes() == Path("local.gpkg").read_bytes()
