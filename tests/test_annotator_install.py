"""The annotator without what only training and data sets need: dependency group `annotator`."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from rsisrefiner_jax.__main__ import LEFT_OUT

pytest.importorskip("fastapi", reason="needs the extra [annotate]")

ROOT = Path(__file__).parent.parent
# What an annotator imports, and a network read from its checkpoint, where these do not exist.
WITHOUT = """
from importlib.machinery import PathFinder

find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *where: (
    None if name.partition(".")[0] in %r else find(name, *where)
)
import rsisrefiner_jax.annotate.__main__, rsisrefiner_jax.annotate.serve
from rsisrefiner_jax.annotate.export import whole_project
from rsisrefiner_jax.checkpoint.loading import load_model
from rsisrefiner_jax.interaction.session import Programs
from rsisrefiner_jax.predictor import Predictor

print(load_model("small").config.name)
"""


def test_the_annotator_needs_no_reader_of_the_trainer():
    modules = {*LEFT_OUT, "tensorflow"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT % (modules,)], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "annotator\n"), done.stderr[-2000:]


def test_the_group_is_the_package_without_them():
    file = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = file["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["annotate"]]
    expected = {line for line in needed if not line.replace("-", "_").startswith(LEFT_OUT)}
    assert set(file["dependency-groups"]["annotator"]) == expected


def test_a_command_says_what_it_needs(monkeypatch, capsys):
    from rsisrefiner_jax import __main__

    def grainless():
        raise ModuleNotFoundError("No module named 'grain'", name="grain")

    monkeypatch.setattr(sys, "argv", ["rsisrefiner", "train"])
    monkeypatch.setattr(__main__, "_main_of", lambda name: grainless)
    with pytest.raises(SystemExit) as stop:
        __main__.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "error: rsisrefiner train needs grain; install all of rsisrefiner-jax (docs/install.md)\n"
    )
