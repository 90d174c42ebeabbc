"""README and docs/: what they are made of exists, and the tables made from the code are whole."""

import dataclasses
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rsisrefiner_jax.config import Config, apply_overrides
from rsisrefiner_jax.protocol import PRESETS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FIELDS = runpy.run_path(str(DOCS / "config_fields.py"))
LAYERS = runpy.run_path(str(DOCS / "layers.py"))


def whole(page: Path) -> str:
    """A page with what is made from the code, as it is built."""
    text = page.read_text()
    text = text.replace(FIELDS["MARKER"], FIELDS["fields_as_markdown"]())
    return text.replace(LAYERS["MARKER"], LAYERS["layers_as_markdown"]())


def prose(text: str) -> str:
    """Without blocks of code."""
    return re.sub(r"(?ms)^```.*?^```$", "", text)


def anchors(page: Path) -> set[str]:
    """What headings can be linked by, as GitHub and MyST name them."""
    headings = re.findall(r"(?m)^#+ (.+)$", prose(whole(page)))
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in headings}


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda p: p.stem)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", prose(whole(page)))
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.relative_to(ROOT)}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.relative_to(ROOT)}: {link}"


def test_every_page_has_a_place_in_the_contents():
    blocks = re.findall(r"(?s)```\{toctree\}(.*?)```", (DOCS / "index.md").read_text())
    lines = [line for block in blocks for line in block.splitlines()]
    named = [re.sub(r".*<(.*)>", r"\1", line) for line in lines if line and line[0] != ":"]
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in PAGES} - {"index"}
    assert len(named) == len(set(named))
    assert set(named) == pages


def test_every_field_is_listed_and_explained():
    def names(value: object, prefix: str = "") -> Iterator[str]:
        for field in dataclasses.fields(value):
            inner = getattr(value, field.name)
            if dataclasses.is_dataclass(inner):
                yield from names(inner, f"{prefix}{field.name}.")
            else:
                yield f"{prefix}{field.name}"

    listed = dict(FIELDS["paths"]())
    assert list(listed) == list(names(Config()))
    assert not [name for name, field in listed.items() if not field.meaning], "needs a comment"
    rows = whole(DOCS / "config.md").splitlines()
    for name in listed:
        assert sum(row.startswith(f"| `{name}` |") for row in rows) == 1, name


def test_defaults_in_the_list_are_those_in_force():
    row = re.compile(r"(?m)^\| `([\w.]+)` \| [^|]* \| `([^|]+)` \|")
    changed = [f"{name}={value}" for name, value in row.findall(whole(DOCS / "config.md"))]
    assert len(changed) > 100
    assert apply_overrides(Config(seed=1, name="other"), changed) == Config()


def test_the_table_of_protocols_is_that_of_the_presets():
    lines = (DOCS / "protocol.md").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| field | `paper`"))
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[start:]]
    _, *names = rows[0]
    assert names == list(PRESETS)
    table = {row[0]: row[1:] for row in rows[2 : rows.index([""])]}

    def shown(value: object) -> str:
        items = value if isinstance(value, tuple) else (value,)
        return ", ".join("none" if item is None else str(item) for item in items)

    values = {name: dataclasses.asdict(PRESETS[name]) for name in names}
    differing = {
        field
        for field in values["paper"]
        if field != "name" and len({values[name][field] for name in names}) > 1
    }
    assert table.keys() == differing
    for field, cells in table.items():
        assert cells == [shown(values[name][field]) for name in names], field


def test_every_layer_says_what_it_is():
    rooms = [room for layer in LAYERS["layers"]() for room in layer]
    assert "interaction" in rooms
    assert not [room for room in rooms if not LAYERS["about"](room)]


def test_the_readme_begins_with_the_main_job_and_the_tests():
    blocks = re.findall(r"(?ms)^```bash\n(.*?)^```$", (ROOT / "README.md").read_text())
    assert "pip install -e .\n" in blocks[0]
    assert "train.py" in blocks[0]
    assert "eval.py" in blocks[0]
    assert 'pip install -e ".[test]"' in blocks[1]
    assert blocks[1].endswith("pytest -q\n")


def test_the_site_builds_without_a_warning(tmp_path):
    for name in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(name, reason="needs the extra [docs]")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run([*command, DOCS, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    built = (tmp_path / "config.html").read_text()
    assert "optim.lr" in built
    assert "protocol.zoom_outside" in built
    assert "set_mask" in (tmp_path / "api.html").read_text()
