"""JSON written piece by piece, so that a large file never lies in memory."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_encoder = json.JSONEncoder(ensure_ascii=False)  # made once: thousands of small texts are encoded


def compact(content: Any) -> str:
    """Content as JSON text, letters of other scripts as they are."""
    return _encoder.encode(content)


def write(file: Path, head: dict[str, Any], name: str, items: Iterable[str]) -> None:
    """Writes an object whose last member, `name`, is a long list. items: as JSON."""
    with open(file, "w", encoding="utf-8") as out:
        out.write(f"{compact(head)[:-1]}, {compact(name)}: [")
        separator = "\n"
        for item in items:
            out.write(separator + item)
            separator = ",\n"
        out.write("]}\n")
