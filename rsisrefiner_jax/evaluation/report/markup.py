"""Pieces of HTML that the sections of the report are made of."""

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
tr.ours { background: #eef6ee } tr.published { color: #666 }
figure { display: inline-block; margin: .3rem; vertical-align: top; width: 20rem }
figure.small { width: 11.3rem } figure.whole { display: block; width: auto }
img { max-width: 100% } figcaption, small { color: #555; font-size: .85rem }
pre { background: #f6f6f6; padding: 1rem; overflow-x: auto }
"""

Row = tuple[str, Sequence[str]]  # the class of a row, and its cells as HTML


def table(header: Iterable[str], rows: Iterable[Row]) -> str:
    """A table; the header is text, the cells are HTML."""
    head = "".join(f"<th>{escaped(title)}</th>" for title in header)
    lines = [f"<tr>{head}</tr>"]
    for kind, cells in rows:
        opening = f"<tr class='{kind}'>" if kind else "<tr>"
        lines.append(opening + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table>{''.join(lines)}</table>"


def figure(png: bytes | None, caption: str, kind: str = "") -> str:
    """A picture with its caption (HTML), and the caption alone where there is no picture."""
    image = f"<img alt='' src='{data_url(png)}'>" if png else ""
    opening = f"<figure class='{kind}'>" if kind else "<figure>"
    return f"{opening}{image}<figcaption>{caption}</figcaption></figure>"


def note(*sentences: str) -> str:
    """A small paragraph of HTML sentences; empty ones are left out."""
    return f"<p><small>{' '.join(filter(None, sentences))}</small></p>"


def escaped(text: object) -> str:
    """Text as HTML, in quotes as well."""
    return html.escape(str(text), quote=True)


def data_url(png: bytes) -> str:
    """A picture inside the page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def read_picture(directory: str, name: str | None) -> bytes | None:
    """A picture of a run; None where it is not there."""
    path = Path(directory) / (name or "")
    return path.read_bytes() if name and path.exists() else None
