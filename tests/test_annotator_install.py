"""The annotator without what only training and data sets need: dependency group `annotator`."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra [annotate]")

ROOT = Path(__file__).parent.parent
LEFT_OUT = ("tensorflow-datasets", "grain", "array-record", "matplotlib")
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
    modules = [name.replace("-", "_") for name in LEFT_OUT] + ["pyarrow", "tensorflow"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT % (modules,)], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "annotator\n"), done.stderr[-2000:]


def test_the_group_is_the_package_without_them():
    file = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = file["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["annotate"]]
    expected = {line for line in needed if not line.startswith(LEFT_OUT)}
    assert set(file["dependency-groups"]["annotator"]) == expected
