"""What happened in a project of the annotator, as its file of record has it."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rsisrefiner_jax.errors import UserError

NAME = "project.sqlite"  # in the project's folder
LOCK = "project.lock"  # beside it while an annotator has it open
FORMAT = 3  # the newest that is known here
ALL = "SELECT id, time, kind, payload FROM events ORDER BY id"


class Event(NamedTuple):
    """Something that happened. id rises with time; `time` is in seconds since 1970."""

    id: int
    time: float
    kind: str
    payload: dict[str, Any]


def read_events(file: Path) -> Iterator[Event]:
    """All events in the order in which they happened, read without a change to the file.

    Raises:
        UserError: an annotator has the project open, or it is none, or of a newer version.
    """
    try:
        # What nobody has open and nobody left in pieces is read without a lock or a file beside it,
        # so that it may lie on a disk that cannot be written to.
        names = (LOCK, f"{NAME}-wal", f"{NAME}-journal")
        plain = not any(file.with_name(name).exists() for name in names)
        address = f"{file.absolute().as_uri()}?{'immutable=1' if plain else 'mode=ro'}"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=2)) as database:
            (found,) = database.execute("PRAGMA user_version").fetchone()
            require_known(file, found)
            for id, when, kind, payload in database.execute(ALL):
                yield Event(id, when, kind, json.loads(payload))
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise UserError(
                f"{file}: the annotator has this project open; stop it first, or train on a copy "
                "that python -m rsisrefiner_jax.annotate.export made"
            ) from None
        raise UserError(f"{file}: cannot be opened ({error})") from error
    except sqlite3.DatabaseError as error:
        raise UserError(f"{file}: not a project of this program ({error})") from error


def require_known(file: Path, format: int) -> None:
    """Raises UserError: a project of a version that is not known here."""
    if format > FORMAT:
        raise UserError(f"{file}: written by a newer version of this program; update it")
