"""GeoJSON that refers to nothing outside itself.

A member "crs" of the type "link" makes GDAL fetch an address, in the file as a whole and in every
geometry. The text is looked through rather than parsed: files of gigabytes are common, and GDAL
reads member names in capitals too.
"""

import mmap
import re
from pathlib import Path

from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.safe_names import printable


def _letter(letter: str) -> bytes:
    codes = "|".join(f"00{ord(form):02x}" for form in (letter, letter.upper()))
    return rf"(?:{letter}|\\u(?:{codes}))".encode()


_MEMBER = re.compile(b'"' + b"".join(map(_letter, "crs")) + rb'"\s*(?=[^\s,\]}])', re.IGNORECASE)
_PLAIN_VALUE = re.compile(rb":\s*[^\s{/]")  # null, a text, a number: nothing that GDAL follows
_NAMED = re.compile(rb":\s*(\{[^{}\\]{0,4000}(?:\{[^{}\\]{0,4000}\}[^{}\\]{0,4000})?\})")
_ADDRESS = re.compile(rb'"(?:link|url|href)"', re.IGNORECASE)


def require_plain(file: Path) -> None:
    """Raises UserError: a coordinate reference system is given by an address."""
    with open(file, "rb") as content:
        if not file.stat().st_size:
            return
        with mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as text:
            for member in _MEMBER.finditer(text):
                require(
                    _is_named(text, member.end()),
                    f"{printable(file.name)}: its coordinate reference system is not given by "
                    'name; write "crs" as {"type": "name", "properties": {"name": "EPSG:..."}} or '
                    "leave it out",
                )


def _is_named(text: mmap.mmap, at: int) -> bool:
    if _PLAIN_VALUE.match(text, at):
        return True
    named = _NAMED.match(text, at)
    return named is not None and not _ADDRESS.search(named[1])
