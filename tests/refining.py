"""Rasters and layers for tests of refinement; importing this needs the extra [geo]."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyogrio import raw
from rasterio.transform import Affine

from rsisrefiner_jax.formats.georeference import convert
from tests.rasters import write_raster

EAST, NORTH = 500_000, 5_000_000
GROUND = {"crs": "EPSG:32632", "transform": Affine(0.5, 0, EAST, 0, -0.5, NORTH)}


def scene(path: Path, bright: list[tuple[int, int, int, int]], size=(300, 400), **profile) -> str:
    """A dark raster with bright boxes (left, top, right, bottom); half a metre a pixel."""
    pixels = np.full((3, *size), 20, np.uint8)
    for left, top, right, bottom in bright:
        pixels[:, top:bottom, left:right] = 230
    return write_raster(path, pixels, **(GROUND | profile))


def on_ground(shape: Any, crs: str = "EPSG:32632") -> Any:
    """A shape of pixels of such a raster in a coordinate reference system."""

    def move(xy: np.ndarray) -> np.ndarray:
        there = np.stack([EAST + xy[:, 0] / 2, NORTH - xy[:, 1] / 2], -1)
        return there if crs == "EPSG:32632" else convert("EPSG:32632", crs, there)

    return shapely.transform(shape, move)


def layer(path: Path, shapes: list[Any], crs: str | None = "EPSG:32632", **columns: Any) -> str:
    """A GeoPackage of shapes; columns: numpy arrays, or (array, where it has no value)."""
    pairs = [c if isinstance(c, tuple) else (c, None) for c in columns.values()]
    raw.write(
        str(path),
        np.array(shapely.to_wkb(np.array(shapes, object)), object).reshape(-1),
        [np.array(values) for values, _ in pairs],
        np.array(list(columns), object),
        field_mask=[empty if empty is None else np.array(empty, bool) for _, empty in pairs],
        driver="GPKG",
        geometry_type="Unknown",
        crs=crs,
    )
    return str(path)


def read(path: Path | str) -> tuple[dict[str, list[Any]], list[Any], list[int], str | None]:
    """(columns, shapes, ids, system) of the only layer of a file."""
    meta, ids, wkb, values = raw.read(str(path), return_fids=True)
    columns = {n: v.tolist() for n, v in zip(meta["fields"], values, strict=True)}
    return columns, shapely.from_wkb(wkb).tolist(), ids.tolist(), meta["crs"]


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A folder at an address of this machine, byte ranges as well: (address, paths asked for)."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            asked.append(self.path)
            file = folder / self.path.lstrip("/")
            if not file.is_file():
                self.send_error(404)
                return
            content, ranges = file.read_bytes(), self.headers.get("Range", "")
            first, _, last = ranges.removeprefix("bytes=").partition("-")
            part = content[int(first) : int(last or len(content)) + 1] if ranges else content
            self.send_response(206 if ranges else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(part)))
            if ranges:
                end = int(first) + len(part) - 1
                self.send_header("Content-Range", f"bytes {first}-{end}/{len(content)}")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(part)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()
