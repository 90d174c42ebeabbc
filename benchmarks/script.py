"""What a person does with the annotator in a while, as requests whose replies can be compared."""

import io
import json
import random
import sqlite3
import tempfile
import zipfile
from typing import Any

import cv2
import numpy as np

from benchmarks.annotator import Upload

SIDE = 900  # pixels of the raster
OBJECTS = "/images/1/objects"
FORMATS = (
    *("geojson", "coco", "coco-polygons", "gpkg", "shp"),
    *("ids-png", "ids-tif", "classes-tif", "yolo", "clicks"),
)
# Differ from run to run; a request that is repeated changes nothing more.
PASSING = ("time", "seconds", "changed", "date_created", "last_change")

Request = tuple[str, str, Any]


def script_of(clicks: int) -> list[Request]:
    """Sessions of some clicks with undo and redo between, each finished, then imports, exports
    and changes of objects."""
    rng = random.Random(1)
    classes = [{"name": "house", "colour": "#ff0000"}, {"name": "lake", "colour": "#0000ff"}]
    script: list[Request] = [("PUT", "/project/classes", classes)]
    session = 0
    for number in range(clicks):
        if number % 8 == 0:
            if session:
                script += _between(session)
            session += 1
            script.append(("POST", "/sessions", {"image_id": 1, "key": f"open {session}"}))
        given = {"x": rng.uniform(0, SIDE), "y": rng.uniform(0, SIDE), "positive": number % 3 != 1}
        script.append(("POST", f"/sessions/{session}/clicks", given | {"key": f"click {number}"}))
        if number % 7 == 3:
            for step in ("undo", "redo"):
                script.append(("POST", f"/sessions/{session}/{step}", {"key": f"{step} {number}"}))
        if number % 8 == 5:
            script.append(("POST", f"/sessions/{session}/undo", {"key": f"undo for good {number}"}))
    return script + _between(session)


def _between(session: int) -> list[Request]:
    """Finishes a session; the first object is number 1, the first mask brings 2 to 5."""
    given = _mask(session) if session % 2 else _outlines(session)
    return [
        ("POST", f"/sessions/{session}/finish", {"class_id": 1 + session % 2}),
        ("POST", "/images/1/import", given),
        ("DELETE", "/objects/1", None),
        ("POST", "/objects/1/restore", None),
        ("DELETE", "/objects/3", None),
        ("PATCH", "/objects/2", {"attributes": {"after session": session}}),
        ("GET", list(exports())[session % len(FORMATS)], None),
    ]


def _mask(seed: int) -> Upload:
    """Ids 1 to 5 in squares."""
    ids = np.zeros((SIDE, SIDE), np.uint8)
    for id, (x, y) in enumerate(np.random.default_rng(seed).integers(0, SIDE - 60, (5, 2)), 1):
        ids[y : y + 60, x : x + 40] = id
    return Upload("ids.png", cv2.imencode(".png", ids)[1].tobytes(), {"kind": "ids"})


def _outlines(seed: int) -> Upload:
    """Diamonds, as GeoJSON in degrees, on the ground of `annotator.write_raster`."""
    from rasterio.warp import transform

    diamond = np.array([[0, 20], [20, 0], [0, -20], [-20, 0], [0, 20]])
    features = []
    for centre in np.random.default_rng(seed).uniform(30, SIDE - 30, (4, 2)):
        xs, ys = (centre + diamond).T / 2
        lonlat = transform("EPSG:32632", "EPSG:4326", 500_000 + xs, 5_000_000 - ys)
        geometry = {"type": "Polygon", "coordinates": [np.transpose(lonlat).tolist()]}
        features.append({"type": "Feature", "properties": {"class": "lake"}, "geometry": geometry})
    content = json.dumps({"type": "FeatureCollection", "features": features})
    return Upload("outlines.geojson", content.encode(), {})


def exports() -> list[str]:
    """The addresses of all exports."""
    return [f"/images/1/export?format={name}" for name in FORMATS]


def plain(reply: Any, name: str = "") -> Any:
    """A reply without what differs from run to run; files as what is in them."""
    if isinstance(reply, dict):
        if reply.get("kind") == "click":  # its mask is not computed when an undo was quicker
            reply = {key: value for key, value in reply.items() if key != "mask"}
        return {key: plain(value) for key, value in reply.items() if key not in PASSING}
    if isinstance(reply, list):
        return [plain(item) for item in reply]
    if not isinstance(reply, bytes):
        return reply
    if reply.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(reply)) as archive:
            return {name: plain(archive.read(name), name) for name in archive.namelist()}
    if reply.startswith(b"SQLite"):
        return _tables(reply)
    if reply.startswith(b"{"):
        return plain(json.loads(reply))
    return reply[4:] if name.endswith(".dbf") else reply  # a date


def _tables(content: bytes) -> dict[str, Any]:
    """The rows of a GeoPackage."""
    with tempfile.NamedTemporaryFile(suffix=".gpkg") as file:
        file.write(content)
        file.flush()
        db = sqlite3.connect(file.name)
        db.row_factory = sqlite3.Row
        names = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        rows = {
            name: [plain(dict(row)) for row in db.execute(f'SELECT * FROM "{name}"')]
            for name in names
            if not name.startswith("rtree")
        }
        db.close()
    return rows
