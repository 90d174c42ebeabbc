"""The QGIS plugin as a package: what it imports, what its zip holds, what a repository checks."""

import ast
import configparser
import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "integrations" / "qgis"
PLUGIN = FOLDER / "rsisrefiner"
TALKERS = ("server", "conversation", "grid", "images", "drawing")  # import nothing of QGIS


def test_it_imports_nothing_but_qgis_and_the_standard_library():
    for file in PLUGIN.glob("*.py"):
        imported = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.partition(".")[0])
        others = imported - set(sys.stdlib_module_names)
        assert others <= ({"qgis"} if file.stem not in TALKERS else set()), file


def test_the_zip_is_what_qgis_installs(tmp_path):
    out = tmp_path / "rsisrefiner.zip"
    script = [sys.executable, str(FOLDER / "make_zip.py"), str(out)]
    subprocess.run(script, check=True, capture_output=True)
    with zipfile.ZipFile(out) as archive:
        names = set(archive.namelist())
        metadata = archive.read("rsisrefiner/metadata.txt").decode()
    assert {name.partition("/")[0] for name in names} == {"rsisrefiner"}
    assert {f"rsisrefiner/{file.name}" for file in PLUGIN.glob("*.py")} <= names
    assert "rsisrefiner/LICENSE" in names
    told = configparser.ConfigParser()
    told.read_string(metadata)
    general = told["general"]
    assert f"rsisrefiner/{general['icon']}" in names
    assert (general["qgisMinimumVersion"], general["qgisMaximumVersion"]) == ("3.22", "4.99")
    assert {"name", "description", "about", "version", "author"} <= set(general)


@pytest.mark.parametrize("checker", ["flake8", "bandit"])
def test_what_the_plugin_repository_checks(checker):
    pytest.importorskip(checker)
    options = {"flake8": ["--config", str(FOLDER / ".flake8")], "bandit": ["-q", "-r"]}[checker]
    command = [sys.executable, "-m", checker, *options, str(PLUGIN)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_enums_are_named_in_full_as_qt_6_has_them():
    """Every `Class.Enum.MEMBER` of Qt that the plugin names exists in Qt 6."""
    pytest.importorskip("PyQt6.QtWidgets", exc_type=ImportError)
    seen = 0
    for file in PLUGIN.glob("*.py"):
        tree = ast.parse(file.read_text())
        qt = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qgis.PyQt."):
                module = importlib.import_module(node.module.replace("qgis.PyQt", "PyQt6"))
                qt |= {alias.name: getattr(module, alias.name) for alias in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                first, *names = ast.unparse(node).split(".")
                if first in qt:
                    there = qt[first]
                    for name in names:
                        there = getattr(there, name)
                    seen += 1
    assert seen > 10
