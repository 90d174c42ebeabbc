"""The project's only file of record: every event, appended and synced before it takes effect."""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rsisrefiner_jax.errors import UserError

FORMAT = 1


class Event(NamedTuple):
    """What happened. id rises with time; `time` is in seconds since 1970."""

    id: int
    time: float
    kind: str
    payload: dict[str, Any]


class Journal:
    """Events in SQLite, and beside them what is costly to compute again: the masks of clicks.

    An append is on the disk when it returns, so nothing that a client was told of is lost by a
    crash, a kill or a power failure. One process at a time holds the file.
    """

    def __init__(self, file: Path) -> None:
        """Raises UserError: another server holds it, or it is not a project of this program."""
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA busy_timeout = 2000")
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            (found,) = self._db.execute("PRAGMA user_version").fetchone()
            if found not in (0, FORMAT):
                raise UserError(f"{file}: written by a newer version of this program; update it")
            self._db.executescript(f"""
                BEGIN IMMEDIATE;
                CREATE TABLE IF NOT EXISTS events (
                    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL,
                    kind TEXT NOT NULL, payload TEXT NOT NULL, key TEXT UNIQUE);
                CREATE TABLE IF NOT EXISTS results (
                    event INTEGER PRIMARY KEY, result TEXT NOT NULL);
                PRAGMA user_version = {FORMAT};
                COMMIT;""")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise UserError(
                    f"{file}: another server has this project open; stop it first"
                ) from None
            raise UserError(f"{file}: cannot be opened ({error})") from error
        except sqlite3.DatabaseError as error:
            raise UserError(f"{file}: not a project of this program ({error})") from error

    def append(self, kind: str, payload: dict[str, Any], key: str | None = None) -> Event:
        """Writes an event to the disk. key: identifies it; there is one event of each key."""
        now = time.time()
        text = json.dumps(payload, allow_nan=False)
        with self._lock:
            cursor = self._db.execute(
                "INSERT INTO events (time, kind, payload, key) VALUES (?, ?, ?, ?)",
                (now, kind, text, key),
            )
            assert cursor.lastrowid is not None
            # As it will be read again: what happens now and after a restart is the same.
            return Event(cursor.lastrowid, now, kind, json.loads(text))

    def with_key(self, key: str) -> Event | None:
        """The event of this key, if it is written."""
        with self._lock:
            row = self._db.execute(
                "SELECT id, time, kind, payload FROM events WHERE key = ?", (key,)
            ).fetchone()
        return Event(row[0], row[1], row[2], json.loads(row[3])) if row else None

    def events(self) -> Iterator[Event]:
        """All of them, in the order in which they happened."""
        with self._lock:
            rows = self._db.execute("SELECT id, time, kind, payload FROM events ORDER BY id")
            for id, when, kind, payload in rows:
                yield Event(id, when, kind, json.loads(payload))

    def keep_result(self, event: int, result: dict[str, Any]) -> None:
        """What a click came to; a lost one is computed again."""
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO results VALUES (?, ?)", (event, json.dumps(result))
            )

    def result(self, event: int) -> dict[str, Any] | None:
        """What `keep_result` was given."""
        with self._lock:
            row = self._db.execute(
                "SELECT result FROM results WHERE event = ?", (event,)
            ).fetchone()
        return json.loads(row[0]) if row else None

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock:
            self._db.close()
