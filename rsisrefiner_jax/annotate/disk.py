"""Files that are either there whole or not at all, and what is said when the disk is full."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rsisrefiner_jax.annotate.faults import NoSpace

PART = ".part"  # ends the names of files that are being written
# Of a project folder.
LEFTOVERS = (
    f"cache/*{PART}",
    f"uploads/*/*{PART}",
    "cache/import-*",
    "cache/export-*",
    "cache/tmp*",  # of earlier versions
)


@contextlib.contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """A name beside `target` to write to; what is there at the end becomes `target`.

    Nothing of either is left when the block fails. The file is on the disk before it is renamed,
    so that a crash cannot leave an empty one under the final name.

    Raises:
        NoSpace: the disk is full.
    """
    part = target.with_name(f"{target.name}.{os.getpid()}{PART}")
    try:
        with room_for(target.name):
            yield part
            with open(part, "rb") as content:
                os.fsync(content.fileno())
            os.replace(part, target)
    finally:
        for rest in (part, part.with_name(f"{part.name}.aux.xml")):
            rest.unlink(missing_ok=True)


@contextlib.contextmanager
def room_for(what: str) -> Iterator[None]:
    """A full disk as a sentence. Raises NoSpace."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NoSpace(f"{what}: the disk is full; nothing of it was kept") from error


def require_whole(path: Path) -> None:
    """Checks that every block of a GeoTIFF just written lies in the file.

    GDAL reports a full disk while it writes at best; what it still held when the file was closed
    is lost without an error. Blocks that were never written (sparse ones) are no fault.

    Raises:
        NoSpace: some do not.
    """
    import rasterio
    from rasterio.errors import RasterioError

    length = path.stat().st_size
    try:
        with rasterio.open(path, driver="GTiff") as file:
            whole = all(end <= length for end in _block_ends(file))
    except RasterioError:
        whole = False
    if not whole:
        raise NoSpace(f"{path.name}: it could not be written whole; is the disk full?")


def _block_ends(file: Any) -> Iterator[int]:
    """The position after the last byte of each block of a TIFF."""
    for band in file.indexes:
        for (row, column), _ in file.block_windows(band):
            place = f"{column}_{row}"
            offset = file.get_tag_item(f"BLOCK_OFFSET_{place}", "TIFF", bidx=band)
            size = file.get_tag_item(f"BLOCK_SIZE_{place}", "TIFF", bidx=band)
            if offset is not None and size is not None:
                yield int(offset) + int(size)


def remove_leftovers(folder: Path) -> None:
    """Removes what files being written, imports, exports and uploads that were cut off left behind.

    Nobody may be at work in the project folder.
    """
    for pattern in LEFTOVERS:
        for rest in folder.glob(pattern):
            if rest.is_dir() and not rest.is_symlink():
                shutil.rmtree(rest, ignore_errors=True)
            else:
                rest.unlink(missing_ok=True)
    for made in folder.glob("cache/*"):
        if made.is_symlink():  # a project that somebody sent: what is made here is never one
            made.unlink()
    for upload in folder.glob("uploads/*"):
        with contextlib.suppress(OSError):  # it is not empty, or a file
            upload.rmdir()
