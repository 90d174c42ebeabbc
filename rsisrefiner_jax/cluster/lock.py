"""One run at a time writes to a work directory."""

import contextlib
import errno
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from rsisrefiner_jax.errors import UserError

try:
    import fcntl
except ImportError:  # Windows has none, and no clusters either
    fcntl = None  # type: ignore[assignment]

FILE = "run.lock"
_UNKNOWN = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # a file system without locks


@contextlib.contextmanager
def locked(workdir: Path, option: str = "--workdir") -> Iterator[None]:
    """Holds the directory; the kernel lets go when the process ends, however that happens.

    Over NFS the lock counts on every host. Where a file system knows no locks there is none.

    option: of the command line, that named the directory.

    Raises:
        UserError: another run holds it.
    """
    with open(workdir / FILE, "a+") as file:
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _UNKNOWN:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise UserError(
                    f"{option} {workdir}: another run writes there ({holder}); stop it first, or "
                    "name another directory"
                ) from error
        file.truncate(0)
        file.write(f"{platform.node()}, process {os.getpid()}\n")
        file.flush()
        yield
