"""Imports run one way: nothing low imports what is high, and host code never sees jax."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "rsisrefiner_jax"
# A module may import modules of its own layer (same name) and of any earlier layer.
LAYERS = [
    ["causes"],
    ["errors", "atomic", "console"],
    ["protocol", "specs", "networks", "config_files"],
    ["fields"],
    ["config", "formats"],
    ["data", "ops"],
    ["weights", "parallel"],
    ["cluster"],
    ["interaction"],
    ["models"],
    ["training", "evaluation"],
    ["checkpoint"],
    ["predictor", "evaluated", "export"],
    ["experiment"],
    ["tables", "finetune", "forecast"],
    ["annotate"],
    ["notebook", "refine"],
    ["convert_weights"],
    ["commands"],
    ["__main__", "train", "eval"],
]
RANK = {name: i for i, layer in enumerate(LAYERS) for name in layer}


def modules():
    yield from ROOT.glob(f"{PACKAGE}/**/*.py")
    yield from ROOT.glob("convert_weights/*.py")
    yield ROOT / "train.py"
    yield ROOT / "eval.py"


def part_of(dotted: str) -> str | None:
    """The layer member that a dotted module name belongs to."""
    first, *rest = dotted.split(".")
    if first == PACKAGE:
        return rest[0] if rest else None
    return first if first in RANK else None


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == PACKAGE:
                names |= {f"{PACKAGE}.{alias.name}" for alias in node.names}
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path):
    relative = path.relative_to(ROOT)
    own = part_of(".".join(relative.with_suffix("").parts))
    if own in (None, "__init__"):
        return
    assert own in RANK, f"{relative}: give its module a place in LAYERS"
    for name in imports(path):
        other = part_of(name)
        if other and other != own:
            assert RANK[other] < RANK[own], f"{relative} imports {name}"


@pytest.mark.parametrize(
    "part",
    [
        "data",
        "formats",
        "forecast",
        "config.py",
        "protocol.py",
        "specs.py",
        "fields.py",
        "causes.py",
        "errors.py",
        "atomic.py",
        "console.py",
        "__main__.py",
    ],
)
def test_host_code_does_not_import_jax(part):
    path = ROOT / PACKAGE / part
    for file in path.rglob("*.py") if path.is_dir() else [path]:
        used = {name.split(".")[0] for name in imports(file)}
        assert not used & {"jax", "flax", "optax", "orbax"}, file
