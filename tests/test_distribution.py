"""What people install: the wheel and the sources it is built from hold all they need, no more."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LICENCES = {  # project.license-files
    "LICENSE",
    "rsisrefiner_jax/networks/box/NOTICE",
    "rsisrefiner_jax/annotate/page/LICENSES.txt",
}
TOP = {"train.py", "eval.py", "README.md", "CHANGELOG.md", "pyproject.toml", ".gitignore"}
FOLDERS = ("rsisrefiner_jax/", "convert_weights/")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with both; the wheel is built from the unpacked sources."""
    for name in ("build", "hatchling"):
        pytest.importorskip(name)
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    return out


def tracked(*folders: str) -> set[str]:
    """What git holds in these folders."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", *folders]
    listed = subprocess.run(command, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return {name for name in listed.stdout.split("\0") if name}


def test_the_wheel_holds_the_package_and_nothing_else(built):
    (path,) = built.glob("*.whl")
    assert path.stat().st_size < 45e6
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    about = f"{path.name.split('-py3')[0]}.dist-info/"
    configs = {f"rsisrefiner_jax/{name}" for name in tracked("configs")}
    assert {name for name in names if not name.startswith(about)} == tracked(*FOLDERS) | configs
    assert {f"{about}licenses/{name}" for name in LICENCES} <= names
    for part in (  # what nobody would notice in a copy of the sources
        "rsisrefiner_jax/configs/base.py",
        "rsisrefiner_jax/networks/box/frozen.npz",
        "rsisrefiner_jax/networks/small/frozen.npz",
        "rsisrefiner_jax/annotate/page/index.html",
        "rsisrefiner_jax/annotate/page/LICENSES.txt",
        "rsisrefiner_jax/data/annotations/ucmerced.json",
        "rsisrefiner_jax/py.typed",
    ):
        assert part in names


def test_the_sources_hold_what_the_wheel_is_built_from(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = (member.name for member in archive if member.isfile())
        names = {name.partition("/")[2] for name in members}
    assert names == tracked(*FOLDERS, "configs", "examples") | TOP | LICENCES | {"PKG-INFO"}


def test_a_wheel_alone_has_the_command_and_the_configurations(built, tmp_path):
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        wheel.extractall(tmp_path / "site")
        about = f"{path.name.split('-py3')[0]}.dist-info"
        assert "rsisrefiner = rsisrefiner_jax.__main__:main" in (
            wheel.read(f"{about}/entry_points.txt").decode()
        )
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "from rsisrefiner_jax import __main__, config_files, config\n"
        "assert config.load('base').name == 'base'\n"
        "print(config_files.find('base'))\n"
        "__main__.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "site"), "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    where, version = done.stdout.splitlines()
    assert where == str(tmp_path / "site/rsisrefiner_jax/configs/base.py")
    assert version == f"rsisrefiner {path.name.split('-')[1]}"
