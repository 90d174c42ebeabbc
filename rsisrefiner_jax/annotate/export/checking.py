"""Files that GDAL and others wrote are looked at before they are offered."""

import contextlib
import os
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rsisrefiner_jax.annotate import disk
from rsisrefiner_jax.annotate.safety import MEBIBYTE
from rsisrefiner_jax.errors import UserError

SPARE = 4 * MEBIBYTE  # with less room than this a disk counts as full
PNG_END = b"IEND\xae\x42\x60\x82"
FULL = (*map(os.strerror, disk.FULL), "disk is full")  # words in errors


@contextlib.contextmanager
def writing(folder: Path, name: str) -> Iterator[None]:
    """Errors of those who write into a folder as sentences. name: of what they write.

    Raises:
        NoSpace: the disk is full, which GDAL's own errors often do not say.
        UserError: GDAL gives another reason.
    """
    from pyogrio.errors import (
        DataLayerError,
        DataSourceError,
        FeatureError,
        FieldError,
        GeometryError,
    )
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    vectors = DataSourceError, DataLayerError, FeatureError, FieldError, GeometryError
    try:
        with disk.room_for(name):
            yield
    except (*vectors, RasterioError, CPLE_BaseError) as error:
        if shutil.disk_usage(folder).free < SPARE or any(words in str(error) for words in FULL):
            raise disk.full(name) from error
        raise UserError(f"{name}: cannot be written ({error})") from error


def require_whole(file: Path, features: int) -> None:
    """Checks a file just written. features: how many a vector file has to hold.

    Raises:
        NoSpace: something of it is missing.
    """
    checks: dict[str, Callable[[], bool]] = {
        ".gpkg": lambda: _sound_database(file) and _features(file) == features,
        ".shp": lambda: _shapefile_length(file) and _features(file) == features,
        ".prj": lambda: file.stat().st_size > 0,
        ".cpg": lambda: file.stat().st_size > 0,
        ".png": lambda: _tail(file, len(PNG_END)) == PNG_END,
        ".zip": lambda: _sound_archive(file),
    }
    if file.suffix == ".tif":
        disk.require_whole(file)
    elif not checks.get(file.suffix, lambda: True)():
        raise disk.not_whole(file.name)


def _sound_database(file: Path) -> bool:
    with contextlib.closing(sqlite3.connect(file)) as database:
        try:
            return database.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        except sqlite3.DatabaseError:
            return False


def _features(file: Path) -> int:
    from pyogrio import read_info
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        return int(read_info(str(file), force_feature_count=True)["features"])
    except (DataLayerError, DataSourceError):
        return -1


def _shapefile_length(file: Path) -> bool:
    """Whether the parts of a shapefile are as long as their headers say."""
    for part in (file, file.with_suffix(".shx")):
        head = _head(part, 28)
        if len(head) < 28 or part.stat().st_size != 2 * int.from_bytes(head[24:28], "big"):
            return False
    table = file.with_suffix(".dbf")
    head = _head(table, 12)
    if len(head) < 12:
        return False
    rows, start, row = (int.from_bytes(head[a:b], "little") for a, b in ((4, 8), (8, 10), (10, 12)))
    return table.stat().st_size >= start + rows * row


def _sound_archive(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, EOFError):
        return False


def _head(file: Path, length: int) -> bytes:
    if not file.is_file():
        return b""
    with open(file, "rb") as content:
        return content.read(length)


def _tail(file: Path, length: int) -> bytes:
    with open(file, "rb") as content:
        content.seek(-min(length, file.stat().st_size), os.SEEK_END)
        return content.read()
