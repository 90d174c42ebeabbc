"""A project's journal and the state that it has led to, changed in one place."""

import contextlib
import secrets
import threading
from pathlib import Path
from typing import Any

from rsisrefiner_jax.annotate.journal import Journal
from rsisrefiner_jax.annotate.lease import Lease
from rsisrefiner_jax.annotate.refusals import Missing
from rsisrefiner_jax.data.project.events import LOCK, NAME, Event
from rsisrefiner_jax.data.project.state import State


class RecordedState:
    """lock: held from a check until what was checked is recorded. state: to be read under it."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError: another server holds the project, or it is none."""
        self.lock = threading.RLock()
        with contextlib.ExitStack() as opened:
            lease = Lease(folder / LOCK)
            opened.callback(lease.release)
            self.journal = Journal(folder / NAME, lease)
            opened.callback(self.journal.close)
            self.state = State(folder)
            for event in self.journal.events():
                self.state.apply(event)
            if not self.state.project_id:
                self.record("project_created", {"id": secrets.token_hex(8)})
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Folds the journal, then lets other servers have the project."""
        self._opened.close()

    def record(self, kind: str, payload: dict[str, Any], key: str | None = None) -> Event:
        """Writes an event down, then lets it take effect."""
        with self.lock:
            event = self.journal.append(kind, payload, key)
            self.state.apply(event)
            return event


def lookup(records: dict[int, Any], id: int, what: str) -> Any:
    """The record of an id. Raises Missing."""
    if id not in records:
        raise Missing(f"there is no {what} {id}")
    return records[id]
