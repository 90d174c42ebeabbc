"""A file system of 20 MB that is filled up and freed again; for root."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from rsisrefiner_jax.errors import UserError

SIZE = "20m"
PAGE = 4096  # bytes


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Lies at `folder` within the block. Raises UserError: it cannot be mounted."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)])
    if mounted.returncode:
        raise UserError("--how full: a small file system cannot be mounted; run it as root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast: Path, left: int = 0) -> None:
    """Makes the file `ballast` as large as it can be, then smaller by `left` pages."""
    with open(ballast, "wb", 0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(PAGE))
    with open(ballast, "r+b") as file:
        file.truncate(max(ballast.stat().st_size - left * PAGE, 0))
