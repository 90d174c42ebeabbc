"""The layers of tests/test_imports.py as a Markdown table, with what each room says it is."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
MARKER = "<!-- layers -->"  # in layout.md


def layers() -> list[list[str]]:
    """The rooms, row by row, the lowest first."""
    tree = ast.parse((ROOT / "tests/test_imports.py").read_text())
    (value,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LAYERS"
    )
    return ast.literal_eval(value)


def layers_as_markdown() -> str:
    """A row for every room; the number is that of its layer."""
    rows = [
        f"| {number} | `{room}` | {about(room)} |"
        for number, layer in enumerate(layers(), start=1)
        for room in layer
    ]
    return "\n".join(["| layer | | |", "|---|---|---|", *rows])


def about(room: str) -> str:
    """The first line of its docstring."""
    folder = ROOT / "rsisrefiner_jax"
    places = (folder / f"{room}.py", folder / room / "__init__.py")
    places = (*places, ROOT / f"{room}.py", ROOT / room / "__init__.py")
    file = next(path for path in places if path.is_file())
    docstring = ast.get_docstring(ast.parse(file.read_text())) or ""
    return docstring.partition("\n")[0].replace("|", "\\|")
