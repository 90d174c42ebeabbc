"""The project's only file of record: every event, appended and synced before it takes effect.

SQLite appends to `project.sqlite-wal` first. `fold` moves that into `project.sqlite`; it happens
every FOLDING seconds and when the project is closed, after which the file alone is the whole
project. While a server runs, the two files together are it: a copy of `project.sqlite` alone lacks
what was done since it was last folded, and one that is made at that very moment may not open, so
let a backup take both, or run while no server does.
"""

import contextlib
import errno
import json
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rsisrefiner_jax.annotate.disk import room_for
from rsisrefiner_jax.annotate.lease import Lease
from rsisrefiner_jax.annotate.refusals import Conflict, NoSpace
from rsisrefiner_jax.annotate.repeating_timer import RepeatingTimer
from rsisrefiner_jax.data.project.events import ALL, FORMAT, Event, require_known
from rsisrefiner_jax.errors import UserError

FOLDING = 120.0  # seconds
# What a file system says that knows no file locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)

_left_open: list[sqlite3.Connection] = []  # see `Journal.close`


class Journal:
    """Events in SQLite, and beside them what is costly to compute again: the masks of clicks.

    An append is on the disk when it returns, so nothing that a client was told of is lost by a
    crash, a kill or a power failure. One process at a time holds the file.
    """

    def __init__(self, file: Path, lease: Lease, locks: bool | None = None) -> None:
        """Opens or makes it.

        Args:
            lease: the right to write, looked at before every write.
            locks: whether the file system has file locks; None to find out.

        Raises:
            NoSpace: the disk is full.
            UserError: another program holds it, or it is not a project of this program.
        """
        self._lock = threading.RLock()
        self._lease = lease
        self._unfolded = True
        self._closed = False
        with _said(file):
            locks = _has_locks(file.parent) if locks is None else locks
            # Without locks the lease alone keeps others out.
            address = f"{file.absolute().as_uri()}{'' if locks else '?vfs=unix-none'}"
            self._db = sqlite3.connect(
                address, uri=True, check_same_thread=False, isolation_level=None
            )
        try:
            with _said(file):
                self._set_up(file)
        except BaseException:
            self._db.close()
            raise
        self._folding = RepeatingTimer(FOLDING, self.fold, "journal")

    def _set_up(self, file: Path) -> None:
        self._db.execute("PRAGMA busy_timeout = 2000")
        # Also spares WAL the memory shared between processes, which many file systems lack. Those
        # that have no WAL all the same stay with SQLite's other journal, which is as safe.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        require_known(file, found)
        if found < FORMAT:  # earlier ones have fewer kinds of events
            self._db.executescript(f"""
                BEGIN IMMEDIATE;
                CREATE TABLE IF NOT EXISTS events (
                    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL,
                    kind TEXT NOT NULL, payload TEXT NOT NULL, key TEXT UNIQUE);
                CREATE TABLE IF NOT EXISTS results (
                    event INTEGER PRIMARY KEY, result TEXT NOT NULL);
                PRAGMA user_version = {FORMAT};
                COMMIT;""")

    def append(self, kind: str, payload: dict[str, Any], key: str | None = None) -> Event:
        """Writes an event to the disk. key: identifies it; there is one event of each key.

        Raises:
            NoSpace: the disk is full; the event is not written.
            Conflict: it was closed, or another server has taken over.
        """
        now = time.time()
        text = json.dumps(payload, allow_nan=False)
        with self._lock:
            cursor = self._write(
                "INSERT INTO events (time, kind, payload, key) VALUES (?, ?, ?, ?)",
                (now, kind, text, key),
            )
            assert cursor.lastrowid is not None
            # As it will be read again: what happens now and after a restart is the same.
            return Event(cursor.lastrowid, now, kind, json.loads(text))

    def _write(self, statement: str, values: tuple) -> sqlite3.Cursor:
        self._require_open()
        self._unfolded = True
        try:
            return self._db.execute(statement, values)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            raise NoSpace(
                "the disk of the project is full; nothing was done; make room and do it again"
            ) from error

    def with_key(self, key: str) -> Event | None:
        """The event of this key, if it is written."""
        row = self._read("SELECT id, time, kind, payload FROM events WHERE key = ?", key)
        return Event(row[0], row[1], row[2], json.loads(row[3])) if row else None

    def events(self) -> Iterator[Event]:
        """All of them, in the order in which they happened."""
        with self._lock:
            for id, when, kind, payload in self._db.execute(ALL):
                yield Event(id, when, kind, json.loads(payload))

    def keep_result(self, event: int, result: dict[str, Any]) -> None:
        """Stores the mask that a click led to. One that cannot be stored is computed again."""
        with self._lock, contextlib.suppress(sqlite3.Error, NoSpace, Conflict):
            self._write("INSERT OR REPLACE INTO results VALUES (?, ?)", (event, json.dumps(result)))

    def result(self, event: int) -> dict[str, Any] | None:
        """The result of a click that `keep_result` stored; None where there is none."""
        row = self._read("SELECT result FROM results WHERE event = ?", event)
        return json.loads(row[0]) if row else None

    def _read(self, statement: str, value: int | str) -> Any:
        with self._lock:
            self._require_open()
            return self._db.execute(statement, (value,)).fetchone()

    def _require_open(self) -> None:
        if self._closed:  # by the thread that stops the server, while others are at work
            raise Conflict("the server is stopping; nothing was done; start it again")
        self._lease.require_held()  # else the file may have changed under SQLite's feet

    def fold(self) -> None:
        """Moves what was written since into the file itself, where there is room for it."""
        # What stays in the -wal is read from there, also after a restart.
        with self._lock, contextlib.suppress(sqlite3.Error, OSError):
            if self._unfolded and self._lease.held:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._unfolded = False

    def close(self) -> None:
        """Folds it and lets go of the file."""
        self._folding.stop()
        with self._lock:
            self.fold()
            self._closed = True
            if self._lease.held:
                self._db.close()
            else:  # SQLite folds when it closes, and may then write over what others wrote
                _left_open.append(self._db)


@contextlib.contextmanager
def _said(file: Path) -> Iterator[None]:
    """Why a journal cannot be opened, as a sentence."""
    try:
        with room_for(file.name):
            yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise NoSpace(f"{file}: the disk is full; make room and start again") from error
        if "locked" in str(error):
            raise UserError(
                f"{file}: another program has this project open; stop it first"
            ) from None
        raise UserError(f"{file}: cannot be opened ({error})") from error
    except sqlite3.DatabaseError as error:
        raise UserError(f"{file}: not a project of this program ({error})") from error
    except OSError as error:
        raise UserError(f"{file}: cannot be opened ({error})") from error


def _has_locks(folder: Path) -> bool:
    """Whether files in a folder can be locked at all."""
    try:
        import fcntl
    except ImportError:  # not a Unix
        return True
    with tempfile.TemporaryFile(dir=folder) as probe:
        try:
            fcntl.lockf(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in NO_LOCKS
    return True
