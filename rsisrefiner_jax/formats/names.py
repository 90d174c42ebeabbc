"""Names that other people gave to files."""

import os
import re


def safe_name(name: str) -> str:
    """A client's file name as one plain file name with its extension."""
    last = re.split(r"[/\\]", name)[-1]
    plain = re.sub(r"[^\w.-]+", "_", last, flags=re.ASCII).lstrip(".")
    stem, suffix = os.path.splitext(plain)
    return (stem[:80] or "file") + suffix[:12]


def printable(text: str) -> str:
    """A client's text as it may stand in a message."""
    short = text if len(text) <= 120 else text[:117] + "..."
    return "".join(c if c.isprintable() else "?" for c in short)
