"""The Dockerfile names extras and files that exist; no image is built here."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_extras_exist():
    text = (ROOT / "Dockerfile").read_text() + (ROOT / "docs/install.md").read_text()
    named = re.findall(r"EXTRAS=([a-z,]+)", text)
    assert len(named) == 3
    extras = PROJECT["project"]["optional-dependencies"]
    assert all(extra in extras for line in named for extra in line.split(","))


def test_the_context_holds_what_the_wheel_is_built_from():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    context = {line[1:] for line in lines if line.startswith("!")}
    assert all((ROOT / name).exists() for name in context)
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], PROJECT["project"]["readme"]}
    needed |= {name for name in PROJECT["project"]["license-files"] if "/" not in name}
    assert context == needed | {"pyproject.toml"}


def test_the_table_of_extras_is_whole():
    text = (ROOT / "docs/install.md").read_text().split("## Commands")[0]
    rows = " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|"))
    assert (
        set(re.findall(r"`([a-z]+)`", rows)) == PROJECT["project"]["optional-dependencies"].keys()
    )
