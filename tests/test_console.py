"""The command `rsisrefiner`: its commands, help without jax, completion, configurations by name."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from rsisrefiner_jax import config_files
from rsisrefiner_jax.config import load
from rsisrefiner_jax.console import COMMANDS, program
from rsisrefiner_jax.errors import UserError

ROOT = Path(__file__).parent.parent
# What --help may not wait for: they take from half a second to several.
HEAVY = ("jax", "flax", "orbax", "grain", "tensorflow_datasets", "cv2", "matplotlib", "pyarrow")
CONSOLE = ["-m", "rsisrefiner_jax"]


def run(words: list[str], **environment: str) -> subprocess.CompletedProcess:
    """python WORDS in the top folder; it says last which of HEAVY it has imported."""
    is_module = words[0] == "-m"
    words = words[is_module:]
    code = (
        "import runpy, sys\n"
        f"sys.argv = {words!r}\n"
        f"try: runpy.run_{'module' if is_module else 'path'}({words[0]!r}, run_name='__main__')\n"
        f"finally: print('imported', *(set({HEAVY!r}) & sys.modules.keys()))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train.py"], "usage: train.py "),
        (["eval.py"], "usage: eval.py "),
        (["-m", "convert_weights"], "usage: python -m convert_weights "),
        (CONSOLE, "usage: rsisrefiner "),
        *(([*CONSOLE, name], f"usage: rsisrefiner {name} ") for name in COMMANDS),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_help_imports_nothing_heavy(words, said):
    done = run([*words, "--help"])
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert done.stdout.endswith("imported\n"), done.stdout[-200:]


def test_the_console_lists_its_commands_and_its_version():
    listed = run(CONSOLE).stdout
    assert all(f"  {name} " in listed for name in COMMANDS)
    try:
        expected = version("rsisrefiner-jax")
    except PackageNotFoundError:
        expected = "not installed"
    done = run([*CONSOLE, "--version"])
    assert expected in done.stdout
    assert done.stdout.endswith("imported\n")


def test_an_error_is_one_sentence_and_exit_code_2():
    done = run([*CONSOLE, "train", "--config", "bass"])
    assert done.returncode == 2
    assert done.stderr == (
        f"error: --config bass: no such file; those included are "
        f"{', '.join(config_files.included())} (base: the paper)\n"
    )
    done = run([*CONSOLE, "trian"])
    assert done.returncode == 2
    assert "invalid choice: 'trian'" in done.stderr


def test_a_command_is_called_as_the_person_called_this_one(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert program("eval") == "python eval.py"
    assert program("annotate") == "python -m rsisrefiner_jax.annotate"
    monkeypatch.setattr(sys, "argv", ["rsisrefiner train"])
    assert program("eval") == "rsisrefiner eval"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("rsisrefiner pre", ["prepare"]),
        ("rsisrefiner train --conf", ["--config"]),
        ("rsisrefiner eval --tra", ["--trajectories"]),
        ("rsisrefiner convert --kind m", ["mfp", "mobilesam"]),
    ],
)
def test_completion(line, offered, tmp_path):
    pytest.importorskip("argcomplete")
    answer = tmp_path / "answer"
    done = run(
        CONSOLE,
        COMP_LINE=line,
        COMP_POINT=str(len(line)),
        COMP_TYPE="9",
        _ARGCOMPLETE="1",
        _ARGCOMPLETE_IFS="\n",
        _ARGCOMPLETE_STDOUT_FILENAME=str(answer),
    )
    assert [word.strip() for word in answer.read_text().split("\n")] == offered, done.stderr


def test_a_configuration_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {path.stem for path in (ROOT / "configs").glob("*.py")}
    assert config_files.included().keys() == names
    assert load("quickstart", ["seed=3"]).name == "quickstart"
    (tmp_path / "base").write_text(
        "from rsisrefiner_jax.config import Config\nconfig = Config('x')"
    )
    assert load("base").name == "x"  # a file of one's own comes first
    with pytest.raises(UserError, match="those included are annotator, base"):
        load("configs/base.py")  # a path is a path
