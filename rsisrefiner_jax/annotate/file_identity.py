"""Whether a file is still the one that was looked at: by its size and time, and by its content."""

import functools
import hashlib
import os
import threading
from pathlib import Path

from rsisrefiner_jax.annotate.refusals import Conflict
from rsisrefiner_jax.data.project.records import SizeAndTime
from rsisrefiner_jax.errors import UserError

_CACHE = 2  # rises when files made of a raster by earlier versions must not be believed
_hashing = threading.Lock()


def size_and_time_of(path: Path | str) -> SizeAndTime | None:
    """Size and time of a file when it was written last; None where there is no file."""
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return None
    return SizeAndTime(stat.st_size, stat.st_mtime_ns)


def fingerprint_of(path: Path | str) -> str:
    """Changes when the file does; names what is made of it."""
    found = size_and_time_of(path)
    # In these words since there are caches, which would have to be made again otherwise.
    written = found and f"Stamp(size={found.size}, modified={found.modified})"
    text = f"{_CACHE}|{path}|{written}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def require_same(path: Path | str, fingerprint: str) -> None:
    """Raises Conflict: a file has been written to since its fingerprint was taken."""
    if fingerprint_of(path) != fingerprint:
        raise Conflict(
            f"{Path(path).name}: the file was written to while it was read; try again once it is "
            "written"
        )


def digest_of(path: Path, size_and_time: SizeAndTime) -> str:
    """SHA-256 of a file's content, as hex digits; of large files that takes a while.

    Raises:
        UserError: it cannot be read, or has another size or time by now.
    """
    with _hashing:  # who asks meanwhile gets the same answer
        return _digest(str(path), size_and_time)


@functools.lru_cache(maxsize=4096)
def _digest(path: str, size_and_time: SizeAndTime) -> str:
    name = Path(path).name
    try:
        with open(path, "rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror})") from error
    if size_and_time_of(path) != size_and_time:
        raise Conflict(f"{name}: the file is being written to; try again once it is written")
    return digest
