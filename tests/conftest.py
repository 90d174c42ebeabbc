"""Every test runs on four fake CPU devices, with shapes in signatures checked."""

import os
import sys

import jax
import pytest
from jaxtyping import install_import_hook

import tests.signatures

jax.config.update("jax_num_cpu_devices", 4)
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # compiled programs outlive a test run
    cache = os.path.join(os.path.dirname(__file__), "..", ".jax_cache")
    jax.config.update("jax_compilation_cache_dir", os.path.abspath(cache))

# Signatures of these rooms are checked at every call: a wrong shape or type is named.
rooms = [f"rsisrefiner_jax.{room}" for room in ("interaction", "models", "training")]
install_import_hook(rooms, f"{tests.signatures.__name__}.check")


# The annotator's server in tests of what it lets in; its extra may be missing.
@pytest.fixture
def data(tmp_path):
    """A folder with one raster."""
    from tests import annotating

    return annotating.raster(tmp_path / "data").parent


@pytest.fixture
def here(data):
    """A new project that may open the rasters of `data`."""
    from tests import annotating

    opened = annotating.context(data)
    yield opened
    opened.project.close()


@pytest.fixture
def client(here):
    """A client of that project's server."""
    from tests import annotating

    return annotating.client(here)


@pytest.fixture
def converter(tmp_path, monkeypatch, capsys):
    """Runs `python -m convert_weights` in tmp_path -> (exit code, stderr)."""
    from convert_weights.__main__ import main
    from rsisrefiner_jax.errors import run_main

    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["convert_weights", *arguments])
        try:
            run_main(main)
        except SystemExit as stop:
            return stop.code, capsys.readouterr().err
        return 0, capsys.readouterr().err

    return command


@pytest.fixture
def start(tmp_path):
    """Starts the server on a project of one image; again after a stop, too. No model is needed:
    objects are drawn by masks."""
    from tests import annotating

    running = []

    def start(name="project"):
        for here in running:
            here.worker.stop()
            here.project.close()
        if not running:
            annotating.raster(tmp_path)
        running[:] = [annotating.context(tmp_path, project=name)]
        running[0].project.add_image(tmp_path / "scene.tif")
        return annotating.client(running[0])

    start.here = lambda: running[0]
    yield start
    for here in running:
        here.worker.stop()
        here.project.close()
