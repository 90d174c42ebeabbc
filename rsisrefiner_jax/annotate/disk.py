"""Files that are either there whole or not at all, and what is said when the disk is full."""

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rsisrefiner_jax import atomic
from rsisrefiner_jax.annotate.refusals import NoSpace
from rsisrefiner_jax.atomic import PART

FULL = (errno.ENOSPC, errno.EDQUOT)
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
    """`atomic.written_aside` for files that GDAL writes, of which it leaves an .aux.xml behind.

    Raises:
        NoSpace: the disk is full.
    """
    with room_for(target.name), atomic.written_aside(target) as part:
        try:
            yield part
        finally:
            part.with_name(f"{part.name}.aux.xml").unlink(missing_ok=True)


@contextlib.contextmanager
def room_for(what: str) -> Iterator[None]:
    """A full disk as a sentence. Raises NoSpace."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise full(what) from error


def full(what: str) -> NoSpace:
    """The error for something that a full disk had no room for."""
    return NoSpace(f"{what}: the disk is full; nothing of it was kept")


def not_whole(name: str) -> NoSpace:
    """The error for a file that was not written whole."""
    return NoSpace(f"{name}: it could not be written whole; is the disk full?")


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
        raise not_whole(path.name)


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
