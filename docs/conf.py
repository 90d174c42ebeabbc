"""How Sphinx builds these pages: `python -m sphinx -W -b html docs build/docs`."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import config_fields  # noqa: E402
import layers  # noqa: E402

LINK_OUT = re.compile(r"\[([^]]+)\]\((\.\./[^)\s]+)\)")
TABLES = {
    config_fields.MARKER: config_fields.fields_as_markdown,
    layers.MARKER: layers.layers_as_markdown,
}

project = "rsisrefiner_jax"
html_title = project
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_show_copyright = False
highlight_language = "text"  # of blocks that name none

myst_heading_anchors = 3  # so that [text](page.md#heading) works, as where pages are shown as files

default_role = "code"  # docstrings are written as Markdown: `name`
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_rtype = False


def _keep_code_blocks(app, what, name, obj, options, lines) -> None:
    """Indented lines of a docstring are code in Markdown; in reStructuredText by a directive."""
    code = re.compile(r"^(\S.*)\n\n(?=    \S)", re.MULTILINE)
    text = code.sub(r"\1\n\n.. code-block:: python\n\n", "\n".join(lines))
    lines[:] = text.split("\n")


def _short_types(app, what, name, obj, options, signature, returned):
    """jaxtyping's types without the module of jax's arrays."""
    return tuple(text and text.replace("jaxlib._jax.", "") for text in (signature, returned))


def _prepare(app, page: str, source: list[str]) -> None:
    """Puts what is made from the code in the place of its marker, for one."""
    text = source[0]
    for marker, made in TABLES.items():
        text = text.replace(marker, made() if marker in text else "")
    source[0] = LINK_OUT.sub(lambda link: _outside(page, *link.groups()), text)


def _outside(page: str, words: str, path: str) -> str:
    """A link out of docs/: files can be had from the site; folders and pages there are named."""
    target = (HERE / page).parent.joinpath(path).resolve()
    page_there = target.is_file() and target.suffix == ".md" and not target.is_relative_to(HERE)
    if not (target.is_dir() or page_there):
        return f"[{words}]({path})"
    name = str(target.relative_to(HERE.parent))
    return words if name in words else f"{words} (`{name}`)"


def setup(app) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _keep_code_blocks, priority=1000)  # after napoleon
    app.connect("autodoc-process-signature", _short_types)
    app.connect("source-read", _prepare)
