"""What happened in a project of the annotator, as its file of record has it."""

import contextlib
import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rsisrefiner_jax.errors import UserError

NAME = "project.sqlite"  # in the project's folder
LOCK = "project.lock"  # beside it while an annotator has it open
FORMAT = 4  # the newest that is known here; 4 has events of the network in use
TRIES, PAUSE = 20, 0.25  # times that a copy is made of what is written to meanwhile; seconds
ALL = "SELECT id, time, kind, payload FROM events ORDER BY id"


class Event(NamedTuple):
    """Something that happened. id rises with time; `time` is in seconds since 1970."""

    id: int
    time: float
    kind: str
    payload: dict[str, Any]


def read_events(file: Path, until: int | None = None) -> Iterator[Event]:
    """All events in the order in which they happened, read without a change to the file.

    An annotator may be at work on the project: what it has recorded so far is read.

    Args:
        until: the number of the last event that counts; later ones are as if not there.

    Raises:
        UserError: it is no project, or one of a newer version.
    """
    try:
        with _at_rest(file) as address:
            database = sqlite3.connect(address, uri=True, timeout=2)
            with contextlib.closing(database):
                (found,) = database.execute("PRAGMA user_version").fetchone()
                require_known(file, found)
                for id, when, kind, payload in database.execute(ALL):
                    if until is not None and id > until:
                        break
                    yield Event(id, when, kind, json.loads(payload))
    except sqlite3.OperationalError as error:
        raise UserError(f"{file}: cannot be opened ({error})") from error
    except sqlite3.DatabaseError as error:
        raise UserError(f"{file}: not a project of this program ({error})") from error


@contextlib.contextmanager
def _at_rest(file: Path) -> Iterator[str]:
    """The address of a project's content that nobody writes to: its own file, or a copy of it.

    What nobody has open and nobody left in pieces is read in its place, without a lock or a file
    beside it, so that it may lie on a disk that cannot be written to.
    """
    if not any(file.with_name(name).exists() for name in (LOCK, *_parts(file)[1:])):
        yield f"{file.absolute().as_uri()}?immutable=1"
        return
    with tempfile.TemporaryDirectory(prefix="project-") as folder:
        yield _copied(file, Path(folder)).absolute().as_uri()


def _copied(file: Path, folder: Path) -> Path:
    """A copy of all that makes up a project, from a moment at which its file was not written to.

    SQLite appends to the -wal, each part with a checksum, so that one which is half there does not
    count; only while that is folded into the file itself the two do not belong together.
    """
    for _ in range(TRIES):
        before = _written(file)
        for part in _parts(file):
            (folder / part).unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(file.with_name(part), folder / part)
        if _written(file) == before:
            return folder / file.name
        time.sleep(PAUSE)
    raise UserError(f"{file}: is being written to all the time; try again when that is over")


def _parts(file: Path) -> tuple[str, ...]:
    """Names of the file and of those that SQLite keeps beside it."""
    return file.name, f"{file.name}-wal", f"{file.name}-journal"


def _written(file: Path) -> tuple[int, int]:
    """Changes when the file is written to. Raises UserError: it cannot be read."""
    try:
        stat = file.stat()
    except OSError as error:
        raise UserError(f"{file}: cannot be opened ({error.strerror})") from error
    return stat.st_mtime_ns, stat.st_size


def require_known(file: Path, format: int) -> None:
    """Raises UserError: a project of a version that is not known here."""
    if format > FORMAT:
        raise UserError(f"{file}: written by a newer version of this program; update it")
