"""Names that other people gave to files."""

import os
import re

STEM_LIMIT = 150  # bytes; what is added to it stays below the 255 that a name may have


def safe_name(name: str) -> str:
    """A client's file name as one plain file name with its extension, in letters of any script.

    What file systems or GDAL read as more than a letter is replaced.
    """
    last = re.split(r"[/\\]", name)[-1]
    plain = re.sub(r'[\x00-\x1f\x7f<>:"|?*!;#]+', "_", last).encode("utf-8", "replace").decode()
    stem, suffix = os.path.splitext(plain.lstrip("."))
    short = stem.encode()[:STEM_LIMIT].decode(errors="ignore").rstrip(" ")
    return (short or "file") + suffix[:12].rstrip(" .")


def printable(text: str) -> str:
    """A client's text as it may stand in a message."""
    short = text if len(text) <= 120 else text[:117] + "..."
    return "".join(c if c.isprintable() else "?" for c in short)
