"""Coordinate reference systems from text, which may come from a client or out of a file.

GDAL takes such a text for a file name or an address where it is nothing else, and reads it; PROJ
reads the grids and the models that a definition names.
"""

import json
import re
from typing import Any

from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.safe_names import printable

_NAMES = re.compile(
    r"(EPSG|EPSGA|ESRI|OGC|CRS|IGNF|IAU|IAU_2015|NKG):[A-Za-z0-9_.]+(\+[0-9]+)?"
    r"|WGS84|WGS72|NAD27|NAD83"
    r"|urn:(ogc|x-ogc|opengis):(def:)?crs:[\w.:,-]+"
    r"|https?://(www\.)?opengis\.net/def/crs/[\w-]+/[\w.-]+/\w+",
    re.IGNORECASE,
)
_WKT = re.compile(r"\s*[A-Z_]+(CRS|CS)\s*[\[(]", re.IGNORECASE)
_PROJ = re.compile(r"\s*(\+\w|proj=)", re.IGNORECASE)
_PAIR = re.compile(r"(\w+)\s*=\s*([^\s\"\]]+)")  # of a PROJ string, also inside others
_FILE = re.compile(r"\b(?:PARAMETERFILE|EXTENSION)\s*[\[(]\s*\"[^\"]*\"\s*,\s*\"([^\"]*)", re.I)
_MODELS = ("file", "model", "catalog")


def system(text: str) -> Any:
    """The rasterio CRS that a text means: EPSG:4326 and its like, WKT, a PROJ string, PROJJSON.

    Raises:
        UserError: no known system, or one that is defined by a file or an address.
    """
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    shown = printable(text[:80])
    unknown = f"{shown}: no known coordinate reference system"
    plain = text.strip()
    json_text = plain.startswith("{")
    require(
        json_text or any(kind(plain) for kind in (_NAMES.fullmatch, _WKT.match, _PROJ.match)),
        unknown,
    )
    try:
        texts = _texts(json.loads(plain)) if json_text else [plain]
        require(
            not any(_names_a_file(part) for part in texts),
            f"{shown}: it is defined by a file; give a coordinate reference system without one",
        )
        return CRS.from_user_input(plain)
    except (CRSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(unknown) from error


def _names_a_file(text: str) -> bool:
    for key, value in _PAIR.findall(text):
        key = key.lower()
        if key in _MODELS or (key == "init" and not re.fullmatch(r"epsg:\d+", value, re.I)):
            return True
        if re.search(r"[/\\~]", value):
            return True
    return any(re.search(r"[/\\~]", name) for name in _FILE.findall(text))


def _texts(value: Any, key: str = "") -> list[str]:
    """Every text in PROJJSON; the value of a parameter, a file's name, as PROJ would write it."""
    if isinstance(value, dict):
        return [text for name, part in value.items() for text in _texts(part, name)]
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    if isinstance(value, str):
        return [f"{key}={value}" if key == "value" else value]
    return []
