"""Files and directories that are either there whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

PART = ".part"  # ends the names of what is being written


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


@contextlib.contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """A directory to write into, which appears as `path` only if the block ends well.

    One that is there already is written into as it is: it may be a mount. Raises OSError.
    """
    if path.is_dir():
        yield path
        return
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    part.mkdir(parents=True)
    try:
        yield part
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def remove_parts(folder: Path) -> None:
    """Removes what killed processes were writing in `folder` and the folders in it.

    Nobody may be writing there now.
    """
    for part in (*folder.glob(f"*{PART}"), *folder.glob(f"*/*{PART}")):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
