"""The one place where pyogrio is given a file to read.

Four kinds: GeoPackage, GeoJSON, Shapefile and FlatGeobuf, each by its name and its content. GDAL
knows eighty more, among them lists of other files (VRT), programs (GDALG) and addresses (WFS).
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats import geojson, geopackage
from rsisrefiner_jax.formats.offline import vectors_offline
from rsisrefiner_jax.formats.safe_names import printable

HEADS = {
    ".gpkg": b"SQLite format 3\0",
    ".shp": b"\0\0\x27\x0a",
    ".fgb": b"fgb\x03fgb",
    ".geojson": b"{",
    ".json": b"{",
}
_BESIDE = (".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".idm", ".ind")  # of a Shapefile


@contextlib.contextmanager
def source(file: Path) -> Iterator[str]:
    """What to give to pyogrio for a file, which GDAL cannot take for another kind.

    While it is in use GDAL has no network. Files are read one at a time.

    Raises:
        UserError: another kind of file, or one that refers to something outside itself.
    """
    name = printable(file.name)
    suffix = file.suffix.lower()
    whole = os.path.abspath(file)
    require(
        suffix in HEADS,
        f"{name}: not a vector file that is read ({', '.join(HEADS)}); convert it with "
        "ogr2ogr plain.gpkg FILE",
    )
    require(
        not set("!;?#") & set(whole),
        f"{name}: its path has one of ! ; ? # in it, which mean something to GDAL; rename it",
    )
    with open(file, "rb") as content:
        head = content.read(64).lstrip(b"\xef\xbb\xbf \t\r\n" if HEADS[suffix] == b"{" else b"")
    require(
        head.startswith(HEADS[suffix]),
        f"{name}: not the kind of file that its name says, or broken",
    )
    given = whole
    if suffix in (".geojson", ".json"):
        geojson.require_plain(file)
        given = f"GeoJSON:{whole}"
    elif suffix == ".gpkg":
        geopackage.require_plain(file)
    elif suffix == ".shp":
        _require_no_links(file)
        if not any(file.with_suffix(ending).exists() for ending in (".shx", ".SHX")):
            with _indexed(file) as copy, vectors_offline(SHAPE_RESTORE_SHX="YES"):
                yield str(copy)
            return
    with vectors_offline():
        yield given


@contextlib.contextmanager
def _indexed(file: Path) -> Iterator[Path]:
    """A copy of a Shapefile that has lost its index (.shx), which GDAL writes anew beside it."""
    with tempfile.TemporaryDirectory() as folder:
        for ending in (".shp", ".dbf", ".prj", ".cpg"):
            for part in (file.with_suffix(ending), file.with_suffix(ending.upper())):
                if part.exists():
                    shutil.copyfile(part, Path(folder) / f"shapes{ending}")
        yield Path(folder) / "shapes.shp"


def _require_no_links(file: Path) -> None:
    """Raises UserError: a part of a Shapefile is a link to another folder."""
    folders = {file.parent.resolve(), file.resolve().parent}
    for ending in _BESIDE:
        for part in (file.with_suffix(ending), file.with_suffix(ending.upper())):
            require(
                part.resolve().parent in folders,
                f"{printable(part.name)}: a link to another folder; put the file itself there",
            )


@contextlib.contextmanager
def written_alike() -> Iterator[None]:
    """Files that pyogrio writes meanwhile have the same bytes whenever they are written."""
    with vectors_offline(OGR_CURRENT_DATE="1970-01-01T00:00:00.000Z"):
        yield
