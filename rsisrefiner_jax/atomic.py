"""Files that are either there whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

PART = ".part"  # ends the names of files that are being written


@contextlib.contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """A name beside `target` to write to; what is there at the end becomes `target`.

    Nothing of either is left when the block fails. The file is on the disk before it is renamed,
    so that a crash cannot leave an empty one under the final name. Raises OSError.
    """
    part = target.with_name(f"{target.name}.{os.getpid()}{PART}")
    try:
        yield part
        with open(part, "rb") as content:
            os.fsync(content.fileno())
        os.replace(part, target)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def drop_torn_line(path: Path) -> None:
    """Takes off the last line of a text file if a crash cut it short."""
    content = path.read_bytes() if path.exists() else b""
    complete = content[: content.rfind(b"\n") + 1]
    if len(complete) < len(content):
        path.write_bytes(complete)


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file that appears under `path` only if the block ends well. Makes its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as part, open(part, "wb") as file:
        yield file
