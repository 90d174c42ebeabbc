"""Every test runs on four fake CPU devices, with shapes in signatures checked."""

import os
import sys
from pathlib import Path
from typing import Any

import jax
import jaxlib
import pytest
from jaxtyping import install_import_hook

import tests.signatures


def configure(name: str, value: Any) -> None:
    """Sets an option of jax here and in the processes that tests start, unless the caller has."""
    if name.upper() not in os.environ:
        os.environ[name.upper()] = str(value)
        jax.config.update(name, value)


jax.config.update("jax_num_cpu_devices", 4)
# Compiled programs outlive a test run, and tests share them: many compile the same one anew.
configure("jax_compilation_cache_dir", str(Path(__file__).parents[1].absolute() / ".jax_cache"))
configure("jax_persistent_cache_min_compile_time_secs", 0.1)


def pytest_configure(config: pytest.Config) -> None:
    """Without the full-size checks, whose programs run long, nothing is compiled to run fast.

    A suite of tiny networks spends most of its time in the compiler: this takes a quarter of it.
    """
    if config.option.markexpr == "not slow":
        configure("jax_disable_most_optimizations", True)
        flags = os.environ.get("XLA_FLAGS", "")
        # XLA ends the process at a flag that it does not know.
        if jaxlib.__version__.startswith("0.10.") and "fusion_emitters" not in flags:
            os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_use_fusion_emitters=false".strip()


# The files that take longest: they begin first, so that none is left when all others are done.
LONGEST = (
    "test_parity_training",
    "test_train_cli",
    "test_loop",
    "test_models",
    "test_image_only_refiner",
    "test_training",
    "test_report",
    "test_processes",
    "test_tables_run",
    "test_parallel",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    names = (*LONGEST, None)
    items.sort(key=lambda item: names.index(item.path.stem if item.path.stem in names else None))


# Signatures of these rooms are checked at every call: a wrong shape or type is named.
rooms = [f"rsisrefiner_jax.{room}" for room in ("interaction", "models", "training")]
install_import_hook(rooms, f"{tests.signatures.__name__}.check")


@pytest.fixture(scope="module")
def shallow_tiny_vit():
    """A stage of TinyViT has one block: what is compiled is a third of the whole."""
    from rsisrefiner_jax.models import tiny_vit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_vit, "DEPTHS", (1, 1, 1, 1))
        yield


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
