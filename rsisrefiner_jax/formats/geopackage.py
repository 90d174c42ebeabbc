"""GeoPackage, an SQLite database, of plain tables alone.

Views, virtual tables and computed columns run functions when they are read, and GDAL has functions
that open files and addresses. Triggers run only when something is written, which nothing here does.
"""

import re
import sqlite3
import urllib.parse
from pathlib import Path

from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.safe_names import printable

_INDEX = re.compile(
    r"CREATE\s+VIRTUAL\s+TABLE\s+(\"[^\"]*\"|'[^']*'|\w+)\s+USING\s+rtree\s*"
    r"\((\s*[\w\"]+\s*,?)*\)\s*$",
    re.IGNORECASE,
)


def require_plain(file: Path) -> None:
    """Raises UserError: a view, a virtual table or a computed column, or it is broken."""
    name = printable(file.name)
    try:
        for kind, item, sql in _schema(file):
            require(
                kind != "view" and not _computes(kind, sql),
                f"{name}: {printable(item)} is a view, a virtual table or has computed columns, "
                "which are not read; write plain tables with ogr2ogr -f GPKG plain.gpkg FILE",
            )
    except sqlite3.Error as error:
        raise UserError(f"{name}: cannot be read as a vector file ({error})") from error


def _computes(kind: str, sql: str) -> bool:
    if kind != "table":
        return False
    if re.match(r"\s*CREATE\s+VIRTUAL", sql, re.IGNORECASE):
        return not _INDEX.match(sql.strip())
    # The words GENERATED ALWAYS may be left out; AS with a bracket may not.
    return re.search(r"\bAS\s*\(", _without_comments(sql), re.IGNORECASE) is not None


def _without_comments(sql: str) -> str:
    return re.sub(r"--[^\n]*|/\*.*?\*/", " ", sql, flags=re.DOTALL)


def _schema(file: Path) -> list[tuple[str, str, str]]:
    """(kind, name, SQL) of everything in a database; with what lies in its -wal file, if it can."""
    address = "file:" + urllib.parse.quote(str(file.resolve()))
    query = "SELECT type, name, coalesce(sql, '') FROM sqlite_master"
    try:
        return _asked(f"{address}?mode=ro", query)
    except sqlite3.OperationalError:  # a folder that cannot be written
        return _asked(f"{address}?immutable=1", query)


def _asked(address: str, query: str) -> list[tuple[str, str, str]]:
    database = sqlite3.connect(address, uri=True)
    try:
        database.execute("PRAGMA trusted_schema=OFF")
        return [(str(kind), str(name), str(sql)) for kind, name, sql in database.execute(query)]
    finally:
        database.close()
