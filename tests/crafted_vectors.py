"""Crafted vector files and zips; see `crafted`."""

import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import shapely
from pyogrio import raw

from tests.crafted import Elsewhere, Maker, link, written

VECTORS: dict[str, Maker] = {}

FEATURE = {
    "type": "Feature",
    "properties": {"note": "own"},
    "geometry": shapely.geometry.mapping(shapely.box(9.0001, 45.148, 9.0005, 45.1485)),
}
COLLECTION = {"type": "FeatureCollection", "features": [FEATURE]}


def _program(there: Elsewhere) -> str:
    return json.dumps(
        {
            "type": "gdal_streamed_alg",
            "command_line": f"gdal vector pipeline ! read {there.csv}",
            "comment": '"FeatureCollection"',
        }
    )


def _program_of_address(there: Elsewhere) -> str:
    return _program(there).replace(there.csv, f"/vsicurl/{there.address}/x.csv")


def _layers(there: Elsewhere) -> str:
    return (
        '<OGRVRTDataSource><OGRVRTLayer name="secret"><SrcDataSource>'
        f"{there.csv}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"
    )


def _service(there: Elsewhere) -> str:
    return f"<OGRWFSDataSource><URL>{there.address}/wfs</URL></OGRWFSDataSource>"


def _holding(name: str, text: Callable[[Elsewhere], str]) -> Maker:
    return lambda own, there: written(own / name, text(there))


for _suffix in ("geojson", "json", "gpkg", "shp"):
    VECTORS[f"program called {_suffix}"] = _holding(f"program.{_suffix}", _program)
    VECTORS[f"list called {_suffix}"] = _holding(f"list.{_suffix}", _layers)
VECTORS["program that asks"] = _holding("asks.geojson", _program_of_address)
VECTORS["WFS called geojson"] = _holding("wfs.geojson", _service)
VECTORS["WFS called gpkg"] = _holding("wfs.gpkg", _service)


def _systems(there: Elsewhere) -> dict[str, str]:
    """How the coordinate reference system of a GeoJSON can be an address."""
    whole, feature = json.dumps(COLLECTION)[1:], dict(FEATURE)
    link = {"type": "link", "properties": {"href": f"{there.address}/crs", "type": "proj4"}}
    url = {"type": "url", "properties": {"url": f"{there.address}/crs"}}
    feature["geometry"] = {**FEATURE["geometry"], "crs": link}  # type: ignore[dict-item]
    text, named = json.dumps(link), '{"type": "name", '
    return {
        "link": f'{{"crs": {text}, {whole}',
        "url": f'{{"crs": {json.dumps(url)}, {whole}',
        "capitals": f'{{"CRS": {text}, {whole}',
        "escaped": f'{{"\\u0063rs": {text}, {whole}',
        "escaped value": f'{{"crs": {text.replace("link", chr(92) + "u006cink")}, {whole}',
        "twice": f'{{"crs": null, "crs": {text}, {whole}',
        "two types": f'{{"crs": {text.replace("{", named, 1)}, {whole}',
        "of a geometry": json.dumps({**COLLECTION, "features": [feature]}),
    }


SYSTEMS_IN_GEOJSON = (
    "link",
    "url",
    "capitals",
    "escaped",
    "escaped value",
    "twice",
    "two types",
    "of a geometry",
)


def _geojson(name: str) -> Maker:
    file = f"crs_{name.replace(' ', '_')}.geojson"
    return lambda own, there: written(own / file, _systems(there)[name])


for _name in SYSTEMS_IN_GEOJSON:
    VECTORS[f"geojson: {_name}"] = _geojson(_name)


def geopackage(file: Path) -> Path:
    shape = shapely.MultiPolygon([shapely.box(500_010, 4_999_900, 500_030, 4_999_950)])
    raw.write(
        file,
        np.array([shapely.to_wkb(shape)], object),
        [np.array(["own"], object)],
        np.array(["note"], object),
        driver="GPKG",
        geometry_type="MultiPolygon",
        crs="EPSG:32632",
        layer="objects",
    )
    return file


def _database(name: str, sql: Callable[[Elsewhere], str]) -> None:
    def make(own: Path, there: Elsewhere) -> Path:
        file = geopackage(own / f"{name.replace(' ', '_')}.gpkg")
        database = sqlite3.connect(file)
        database.executescript("PRAGMA writable_schema=1;" + sql(there))
        database.commit()
        database.close()
        return file

    VECTORS[f"gpkg: {name}"] = make


def _view(select: str) -> str:
    return (
        f"CREATE VIEW v AS SELECT fid, geom, {select} AS note FROM objects;"
        "INSERT INTO gpkg_contents(table_name, data_type, srs_id) VALUES ('v', 'features', 32632);"
        "INSERT INTO gpkg_geometry_columns VALUES ('v', 'geom', 'MULTIPOLYGON', 32632, 0, 0);"
        "DELETE FROM gpkg_contents WHERE table_name = 'objects';"
    )


def _table(sql: str) -> str:
    return (
        "INSERT INTO sqlite_master(type, name, tbl_name, rootpage, sql) VALUES "
        f"('table', 'vt', 'vt', 0, 'CREATE VIRTUAL TABLE vt USING {sql}');"
        "INSERT INTO gpkg_contents(table_name, data_type, srs_id) VALUES "
        "('vt', 'attributes', 32632);"
    )


_database("view of a pixel", lambda e: _view(f"gdal_get_pixel_value('{e.tif}', 1, 'pixel', 1, 1)"))
_database("view of an address", lambda e: _view("ogr_geocode('x')"))
_database("view with code", lambda e: _view(f"load_extension('{e.csv}')"))
_database("view of a file", lambda e: _view(f"readfile('{e.csv}')"))
_database("VirtualOGR", lambda e: _table(f'VirtualOGR("{e.csv}")'))
_database("VirtualShape", lambda e: _table(f'VirtualShape("{e.folder}/secret", "UTF-8", 4326)'))
_database(
    "computed column",
    lambda e: (
        "UPDATE sqlite_master SET sql = replace(sql, ')', "
        f"', q TEXT AS (gdal_get_pixel_value(''{e.tif}'', 1, ''pixel'', 1, 1)))') "
        "WHERE name = 'objects';"
    ),
)


def _zipped(name: str, **entries: bytes | str) -> Maker:
    def make(own: Path, there: Elsewhere) -> Path:
        with zipfile.ZipFile(own / f"{name}.zip", "w") as archive:
            for entry, content in entries.items():
                info = zipfile.ZipInfo(entry)
                if content == "link":
                    info.external_attr, content = 0o120777 << 16, there.csv
                archive.writestr(info, content)
        return own / f"{name}.zip"

    return make


VECTORS["zip: a link"] = _zipped("link", **{"a.shp": "link"})
VECTORS["zip: a link for labels"] = _zipped("labels", **{"a.txt": "link"})
VECTORS["zip: a list"] = _zipped("list", **{"a.vrt": "<OGRVRTDataSource/>"})
VECTORS["zip: a zip"] = _zipped("zip", **{"a.zip": b"PK\3\4"})
VECTORS["zip: ways up"] = _zipped("up", **{"../../a.shp": b"\0\0\x27\x0a", "/etc/a.dbf": b"x"})
VECTORS["csv"] = lambda own, there: link(own / "c.csv", there.csv)
