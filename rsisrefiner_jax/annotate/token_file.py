"""The token that a project's server asks for, in a file that its owner alone can read."""

import os
import re
import secrets
import stat
from pathlib import Path

from rsisrefiner_jax.errors import UserError, require

NAME = "token"


def project_token(folder: Path) -> str:
    """The project's token, made when it is asked for first.

    It stays the same, so that a server that was killed and started again serves the pages that
    are still open. A file that others can read, or that came with a copy of the project, is not
    believed but replaced. Where the file system lets everybody read everything, none is kept.

    Raises:
        UserError: it cannot be written.
    """
    file = folder / NAME
    try:
        return _kept(file) or _made(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror})") from error


def read_private(file: Path) -> str:
    """The text of a file with a secret. Raises UserError: there is none, or others can read it."""
    try:
        with open(file, encoding="ascii") as content:
            private = _private(content.fileno())
            text = content.read(4096)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read as a token ({error})") from error
    require(private, f"{file}: others can read it; make it yours alone with chmod 600")
    return text


def _kept(file: Path) -> str | None:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # none, a link, or somebody else's
        return None
    with open(descriptor, encoding="ascii", errors="replace") as content:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or not _private(descriptor):
            return None
        token = content.read(200)
    # Begins with the number of its file on the disk, which no copy has.
    return token if re.fullmatch(rf"{about.st_ino:x}-[\w-]{{32,}}", token, re.ASCII) else None


def _made(file: Path) -> str:
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="ascii") as content:
        token = f"{os.fstat(descriptor).st_ino:x}-{secrets.token_urlsafe(24)}"
        if _private(descriptor):
            content.write(token)
        else:
            file.unlink()
    return token


def _private(descriptor: int) -> bool:
    """Whether an open file can be read by its owner alone, and that is us."""
    about = os.fstat(descriptor)
    return about.st_uid == os.geteuid() and not about.st_mode & 0o077
