"""The right to write to a project: one server at a time, also where file locks always succeed.

SQLite locks its file, but NFS without a lock service and some FUSE file systems grant that to
everybody. So a file `project.lock` beside it names the server that holds the project and a count
that it raises every RENEWAL seconds. A server that starts and finds such a file

- of this machine takes over when the process is gone, and is refused when it is there;
- of another machine (or container) watches it for WATCHED seconds: it is refused when the file
  changes, and takes over when it does not. Clocks of machines are never compared.

A server that was stopped for so long that another one took over finds that out before it writes:
it looks at the file each time.

Of several that would take over, one succeeds: the one that makes `project.lock.after-NONCE`, where
the nonce is that of the holder before. It then renames it to `project.lock`. Should it end before
that, it counts as the holder whom the next one has to take over from.
"""

import contextlib
import json
import logging
import os
import platform
import secrets
import threading
import time
from pathlib import Path
from typing import NamedTuple

from rsisrefiner_jax.annotate.disk import room_for
from rsisrefiner_jax.annotate.machine import start_of, this_machine
from rsisrefiner_jax.annotate.refusals import Conflict
from rsisrefiner_jax.annotate.repeating_timer import RepeatingTimer
from rsisrefiner_jax.errors import UserError

RENEWAL = 2.0  # seconds
WATCHED = 10.0  # some renewals, since a busy machine may be late


class Holder(NamedTuple):
    """A server. started: as `machine.start_of`. nonce: of this one time that it holds a project."""

    host: str
    machine: str
    process: int
    started: str
    nonce: str

    def __str__(self) -> str:
        return f"{self.host}, process {self.process}"

    def lives(self) -> bool | None:
        """Whether its process is there; None when that cannot be told from here."""
        if (self.host, self.machine) != (platform.node(), this_machine()):
            return None
        started = start_of(self.process)
        if started is None:
            return False
        return started == self.started if started and self.started else None


def this_server() -> Holder:
    """This process, with a new nonce."""
    own = os.getpid()
    return Holder(platform.node(), this_machine(), own, start_of(own) or "", secrets.token_hex(8))


class Lease:
    """The right to write to a project, held from now until `release`. Any thread may call it."""

    def __init__(self, file: Path) -> None:
        """Takes it; that may take WATCHED seconds.

        Raises:
            NoSpace: the disk is full.
            UserError: another server has it, or the folder cannot be written.
        """
        self._file = file
        self._own = this_server()
        self._count = 0
        self._lost = ""  # why it does not hold it any more
        self._lock = threading.Lock()
        try:
            while not self._taken():
                pass
            for rest in file.parent.glob(f"{file.name}.after-*"):  # of who was not the one
                if rest != self._after(self._own):
                    rest.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"{file}: cannot be written ({error}); choose --project") from error
        self._renewing = RepeatingTimer(RENEWAL, self._renew, "lease")

    @property
    def held(self) -> bool:
        """Whether this server still holds it, as the file says now. Raises OSError."""
        with self._lock:
            if not self._lost:
                content = _content(self._file)
                if content is None:
                    self._lost = "its project.lock is gone, so another server may have had it since"
                elif (holder := _holder(self._file, content)).nonce != self._own.nonce:
                    self._lost = f"another server ({holder}) has taken over since"
            return not self._lost

    def require_held(self) -> None:
        """Raises Conflict: another server has taken over, or this one has let go."""
        name = self._file.parent.resolve().name
        try:
            held = self.held
        except OSError as error:
            raise Conflict(
                f"{name}: its project.lock cannot be read ({error}); nothing was done"
            ) from error
        if not held:
            raise Conflict(
                f"{name}: this server does not hold the project any more: {self._lost}; "
                "nothing was done; start this server again"
            )

    def release(self) -> None:
        """Lets the next server have it at once."""
        self._renewing.stop()
        with contextlib.suppress(OSError):
            if self.held:
                self._file.unlink()
        self._lost = self._lost or "it is stopping"

    def _renew(self) -> None:
        """Raises the count. In place, so that it cannot replace the file of who took over."""
        # A file system that is full or away: nobody else can take over there either, or `held`
        # finds out.
        with self._lock, contextlib.suppress(OSError), open(self._file, "r+b", 0) as file:
            if _holder(self._file, file.read()).nonce == self._own.nonce:
                self._count += 1
                file.seek(0)
                file.write(self._record())

    def _record(self) -> bytes:
        return json.dumps(self._own._asdict() | {"count": self._count}).encode()

    def _taken(self) -> bool:
        """Tries once. False: others were quicker, so that there is something else to be seen."""
        file, content = self._last()
        if content is None:
            return self._made(self._file)
        holder = _holder(file, content)
        lives = holder.lives()
        if lives is None:
            logging.getLogger(__name__).warning(
                "%s: another server (%s) may have this project open; watching for %.0f s whether "
                "it is still there",
                *(self._file.parent, holder, WATCHED),
            )
            seen = _watched(file, content)
            if seen is None or (seen != content and _holder(file, seen).nonce != holder.nonce):
                return False
            lives = seen != content
        if lives:
            raise UserError(
                f"{self._file.parent}: another server has this project open ({holder}); "
                "stop it first"
            )
        claim = self._after(holder)
        if not self._made(claim):
            return False
        if self._last()[0] != claim:  # another one had taken over from that holder long ago
            claim.unlink(missing_ok=True)
            return False
        with contextlib.suppress(FileNotFoundError):  # the same
            os.replace(claim, self._file)
            return True
        return False

    def _last(self) -> tuple[Path, bytes | None]:
        """The file of the holder, or of the last who began to take over, and what it says."""
        file, content = self._file, _content(self._file)
        while content is not None:
            after = self._after(_holder(file, content))
            if (further := _content(after)) is None:
                break
            file, content = after, further
        return file, content

    def _after(self, holder: Holder) -> Path:
        return self._file.with_name(f"{self._file.name}.after-{holder.nonce}")

    def _made(self, path: Path) -> bool:
        """Makes a file with the own record, unless it is there."""
        with room_for(path.name):
            try:
                file = open(path, "xb", 0)  # noqa: SIM115 - closed below
            except FileExistsError:
                return False
            try:
                with file:
                    file.write(self._record())
            except OSError:
                path.unlink()
                raise
        return True


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _holder(path: Path, content: bytes) -> Holder:
    """Whom a file names; where it was not written whole, somebody unknown."""
    try:
        found = json.loads(content)
        host, machine, started, nonce = (
            str(found[name]) for name in ("host", "machine", "started", "nonce")
        )
        if nonce.isalnum():  # it becomes part of a file name
            return Holder(host, machine, int(found["process"]), started, nonce)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        pass
    return Holder("unknown", "", 0, "", path.name.rpartition(".")[2])


def _watched(path: Path, content: bytes) -> bytes | None:
    """The content of a file once it differs, or after WATCHED seconds."""
    end = time.monotonic() + WATCHED
    while (now := _content(path)) == content and time.monotonic() < end:
        time.sleep(RENEWAL / 10)
    return now
