"""Projects and servers of the annotator for tests; importing this needs its extra."""

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fastapi.testclient import TestClient
from rasterio.transform import Affine

from rsisrefiner_jax.annotate.app import make_app
from rsisrefiner_jax.annotate.context import Context
from rsisrefiner_jax.annotate.guard import LOOPBACK
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.safety import Roots
from rsisrefiner_jax.annotate.segmenter import Segmenter
from rsisrefiner_jax.annotate.worker import Worker
from rsisrefiner_jax.formats import geometry
from rsisrefiner_jax.formats.masks import Mask
from tests.rasters import write_raster

HEIGHT, WIDTH = 60, 90
TURNED = Affine(0.5, 0.1, 500_000, 0.1, -0.5, 5_000_000)


def raster(folder: Path, name: str = "scene.tif", bands: Any = None, **profile: Any) -> Path:
    """A raster of noise, on UTM ground and turned a little unless told otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    if bands is None:
        bands = np.random.default_rng(0).integers(1, 255, (3, HEIGHT, WIDTH), np.uint8)
    ground = {"crs": "EPSG:32632", "transform": TURNED} | profile
    return Path(write_raster(folder / name, bands, **ground))


def no_model() -> Segmenter:
    """For servers that nobody clicks on."""
    raise RuntimeError("this server has no model")


def context(folder: Path, load: Any = no_model, project: str = "project") -> Context:
    """A project in a folder whose rasters may be opened."""
    opened = Project(folder / project, Roots([folder]))
    return Context(opened, Worker(load), "tiny")


def client(here: Context, **options: Any) -> TestClient:
    """A client of the application itself, no port in between."""
    app = make_app(here, LOOPBACK, **options)
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


def shapes() -> list[Mask]:
    """What tends to get lost: holes, parts, bridges and corners one pixel wide, borders."""
    full = np.zeros((7, HEIGHT, WIDTH), bool)
    ring, parts, bridge, corner, border, island, dot = full
    ring[5:20, 5:25] = True
    ring[8:12, 8:12] = ring[14:18, 15:20] = False
    parts[30:40, 5:15] = parts[45:50, 20:22] = parts[31, 17] = True
    bridge[25:35, 30:40] = bridge[25:35, 45:55] = bridge[29, 40:45] = True
    corner[0:5, 60:65] = corner[5:10, 65:70] = True
    corner[2, 62] = corner[6, 66] = False
    border[50:, 70:] = border[40:, 85:] = True
    island[15:30, 60:80] = True
    island[18:27, 63:77] = False
    island[21:24, 66:70] = True
    dot[59, 0] = True
    return [Mask(0, 0, mask).trimmed() for mask in full]


def items(masks: list[Mask], **about: Any) -> list[dict[str, Any]]:
    """As an importer finds them."""
    base = {"id": None, "class": "", "attributes": {}, "clicks": 0, "drawn": None} | about
    return [base | {"mask": mask.encode()} for mask in masks]


def grey_png(mask: np.ndarray) -> str:
    """A mask as clients send it."""
    return base64.b64encode(cv2.imencode(".png", mask.astype(np.uint8) * 255)[1]).decode()


def refused(reply: Any, words: str, status: int = 422) -> None:
    """Checks that a request got nothing but a sentence with these words."""
    assert reply.status_code == status, reply.text
    assert words in reply.json()["detail"]
    assert "Traceback" not in reply.text


def upload(client: TestClient, name: str, content: bytes, path: str = "/api/images") -> Any:
    """The reply to a file that is sent."""
    return client.post(path, files={"file": (name, content)})


def pixels(one: dict[str, Any], size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """bool [height, width]: those within the outline of an object or a session."""
    if one["geometry"] is None:
        return np.zeros(size, bool)
    height, width = size
    shape = geometry.from_json(one["geometry"])
    return geometry.rasterise(shape, width, height).within(0, 0, width, height)
