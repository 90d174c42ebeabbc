"""No crafted file makes the annotator read a file elsewhere, or ask an address."""

import json
import socket
import subprocess
import sys

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi")
import pyogrio
import rasterio
import rasterio.env
from rasterio.crs import CRS

from rsisrefiner_jax.data.geo import GeoSource
from rsisrefiner_jax.data.raster import read_window
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.raster_info import open_raster
from tests import annotating, crafted, crafted_rasters, crafted_vectors
from tests.crafted import OWN, SECRET, SIDE, WORD, Elsewhere
from tests.crafted_rasters import RASTERS
from tests.crafted_vectors import VECTORS


@pytest.fixture(scope="module")
def listening():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        found.listen(50)
        found.setblocking(False)
        yield found


@pytest.fixture
def asked(listening):
    """Whether anybody has connected since; a request would wait for an answer until it gives up."""

    def asked():
        try:
            listening.accept()[0].close()
            return True
        except BlockingIOError:
            return False

    while asked():
        pass
    return asked


@pytest.fixture
def there(tmp_path, listening):
    folder = tmp_path / "there"
    folder.mkdir()
    return Elsewhere(folder, f"http://127.0.0.1:{listening.getsockname()[1]}")


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    crafted.raster(tmp_path / "data", "a.tif")
    return tmp_path / "data"


@pytest.fixture
def client(data, monkeypatch):
    """Of an application that is made as a library: no command line, no environment."""
    here = annotating.context(data)
    monkeypatch.setattr(here.worker, "check", lambda: None)
    made = annotating.client(here)
    assert made.post("/api/images", json={"path": "data/a.tif"}).json()["id"] == 1
    yield made
    here.project.close()


def test_there_are_enough():
    assert len(RASTERS) + len(VECTORS) >= 60


@pytest.mark.parametrize("name", RASTERS)
def test_rasters(client, data, there, asked, name):
    file = RASTERS[name](data, there)
    for path, given in (
        ("/api/images", {"path": f"data/{file.name}"}),
        ("/api/predict", {"path": f"data/{file.name}", "clicks": [{"x": 1, "y": 1}]}),
    ):
        reply = client.post(path, json=given)
        assert reply.status_code == 422, reply.text
        assert WORD not in reply.text
        assert "Traceback" not in reply.text
    content = file.read_bytes() if not file.is_symlink() else b"no link is sent"
    uploaded = client.post("/api/images", files={"file": (file.name, content)})
    if uploaded.status_code == 200:  # harmless without its side files
        shows_only_its_own(client, uploaded.json()["id"])
    imported = client.post("/api/images/1/import", files={"file": (file.name, content)})
    assert imported.status_code in (200, 422)
    assert WORD not in imported.text
    assert not asked()


def shows_only_its_own(client, id):
    image = client.get(f"/api/images/{id}").json()
    assert WORD not in json.dumps(image)
    client.put(f"/api/images/{id}/recipe", json=image["recipe"] | {"stretch_8bit": False})
    for level in range(image["levels"]):
        reply = client.get(f"/api/images/{id}/tiles/{level}/0/0.png")
        tile = cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_UNCHANGED)
        inside = -(-SIDE >> (image["levels"] - 1 - level))
        assert set(np.unique(tile[: inside - 1, : inside - 1, :3])) == {OWN}
        assert tile[: inside - 1, : inside - 1, 3].all()
    values = client.get(f"/api/images/{id}/point?x=9&y=9").json()["values"]
    assert set(values) == {OWN}


@pytest.mark.parametrize("name", VECTORS)
def test_vectors(client, data, there, asked, name):
    file = VECTORS[name](data, there)
    reply = client.post("/api/images/1/import", files={"file": (file.name, file.read_bytes())})
    assert reply.status_code == 422, reply.text
    assert client.get("/api/images/1/objects").json() == []
    assert WORD not in reply.text
    assert "Traceback" not in reply.text
    with pytest.raises(UserError):
        GeoSource(str(data / "a.tif"), str(file))
    assert not asked()


def test_plain_files_are_read(client, data, there, asked, tmp_path):
    """What a person's own files have beside them goes on working."""
    path = crafted.raster(data, "b.tif")
    overview = crafted.raster(data, "part.tif", value=9, side=SIDE // 2)
    overview.rename(data / "b.tif.ovr")
    (data / "b.tfw").write_text("0.5\n0\n0\n-0.5\n500000.25\n4999999.75\n")
    note = "<PAMDataset><PAMRasterBand band='1'><Description>grey</Description></PAMRasterBand>"
    (data / "b.tif.aux.xml").write_text(note + "</PAMDataset>")
    added = client.post("/api/images", json={"path": "data/b.tif"}).json()
    assert added["bands"] == ["grey"]
    with rasterio.open(path) as file:
        assert file.overviews(1) == [2]
    client.put("/api/images/2/recipe", json=added["recipe"] | {"stretch_8bit": False})
    tile = client.get("/api/images/2/tiles/0/0/0.png").content
    assert cv2.imdecode(np.frombuffer(tile, np.uint8), cv2.IMREAD_UNCHANGED)[9, 9, 0] == 9
    vectors = crafted_vectors.geopackage(tmp_path / "v.gpkg")
    files = {"file": ("v.gpkg", vectors.read_bytes())}
    assert client.post("/api/images/1/import", files=files).json()["objects"] == 1
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    text = json.dumps({**crafted_vectors.COLLECTION, "crs": named})
    files = {"file": ("v.geojson", text.encode())}
    assert client.post("/api/images/1/import", files=files).status_code == 200


def test_files_of_imagine_may_be_split(client, data):
    crafted_rasters.saved_as(data, "HFA", "split.img", USE_SPILL="YES")
    assert (data / "split.ige").is_file()
    id = client.post("/api/images", json={"path": "data/split.img"}).json()["id"]
    shows_only_its_own(client, id)


def test_bare_pixels_with_a_header_are_for_training(client, data):
    crafted_rasters.saved_as(data, "ENVI", "bare.img")
    assert (read_window(str(data / "bare.img"), (0, 0, 9, 9))[0] == OWN).all()
    reply = client.post("/api/images", json={"path": "data/bare.img"})
    assert "broken or no image" in reply.json()["detail"]
    (data / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match=r"notes\.txt: cannot be read as a raster"):
        open_raster(str(data / "notes.txt"))


def test_an_attribute_may_be_called_crs(client):
    feature = crafted_vectors.FEATURE | {"properties": {"crs": "EPSG:4326", "CRS": {"code": 1}}}
    text = json.dumps({"type": "FeatureCollection", "crs": None, "features": [feature]})
    files = {"file": ("v.geojson", text.encode())}
    assert client.post("/api/images/1/import", files=files).status_code == 200


def test_the_network_stays_for_others(client):
    """Reading here turns it off for as long as a file is read only."""
    client.get("/api/images/1/tiles/0/0/0.png")
    files = {"file": ("v.geojson", json.dumps(crafted_vectors.COLLECTION).encode())}
    client.post("/api/images/1/import", files=files)
    with rasterio.Env():
        assert "GDAL_HTTP_PROXY" not in rasterio.env.getenv()
    assert pyogrio.get_gdal_config_option("GDAL_HTTP_PROXY") is None


def test_a_vrt_is_for_the_person_who_names_it(data, there):
    """Training reads a mosaic that is called so, and no list under another name."""
    (data / "mosaic.vrt").write_text(crafted_rasters.vrt(str(data / "a.tif")))
    assert open_raster(str(data / "mosaic.vrt")).height == SIDE
    pixels = read_window(str(data / "mosaic.vrt"), (0, 0, 9, 9))[0]
    assert (pixels == OWN).all()
    (data / "mosaic.tif").write_text(crafted_rasters.vrt(there.tif))
    with pytest.raises(UserError, match=r"mosaic\.tif: cannot be read as a raster"):
        open_raster(str(data / "mosaic.tif"))


SYSTEMS = {
    "a path": lambda e: str(e.folder / "secret.prj"),
    "a path of ESRI": lambda e: f"ESRI::{e.folder / 'secret.prj'}",
    "an address": lambda e: f"{e.address}/crs",
    "an address of ESRI": lambda e: f"ESRI::{e.address}/crs",
    "vsicurl": lambda e: f"/vsicurl/{e.address}/crs",
    "a file address": lambda e: f"file://{e.folder / 'secret.prj'}",
    "init": lambda e: f"+init={e.folder / 'init'}:11",
    "dictionary": lambda e: f"DICT:{e.csv},1",
    "grid": lambda e: f"+proj=longlat +ellps=bessel +nadgrids={e.tif}",
    "grid behind another": lambda e: f"+proj=longlat +ellps=bessel +nadgrids=@null,{e.tif}",
    "optional grid": lambda e: f"+proj=longlat +ellps=bessel +nadgrids=@{e.tif}",
    "heights": lambda e: f"+proj=longlat +datum=WGS84 +geoidgrids={e.tif}",
    "model": lambda e: f"+proj=defmodel +model={e.csv}",
    "triangles": lambda e: f"+proj=pipeline +step +proj=tinshift +file={e.csv}",
    "grid in WKT": lambda e: (
        'GEOGCS["x",DATUM["d",SPHEROID["s",6378137,298.25],EXTENSION["PROJ4_GRIDS",'
        f'"{e.tif}"]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]'
    ),
    "PROJ in WKT": lambda e: (
        'GEOGCS["x",DATUM["d",SPHEROID["s",6378137,298.25]],PRIMEM["Greenwich",0],UNIT["degree",'
        f'0.0174532925199433],EXTENSION["PROJ4","+proj=longlat +nadgrids={e.tif}"]]'
    ),
    "PROJJSON": lambda e: json.dumps(
        {"type": "BoundCRS", "transformation": {"parameters": [{"name": "f", "value": e.tif}]}}
    ),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_systems(client, there, asked, name):
    text = SYSTEMS[name](there)
    reply = client.get("/api/images/1/point", params={"x": 1, "y": 1, "crs": text})
    assert reply.status_code == 422
    assert any(words in reply.text for words in ("no known", "defined by a file"))
    click = {"path": "data/a.tif", "clicks": [{"x": 1, "y": 1}], "crs": text}
    assert client.post("/api/predict", json=click).status_code == 422
    assert client.post("/api/sessions", json={"image_id": 1, "crs": text}).status_code == 422
    assert not asked()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("EPSG:4326", 4326),
        ("epsg:32632", 32632),
        ("urn:ogc:def:crs:EPSG::25832", 25832),
        ("http://www.opengis.net/def/crs/EPSG/0/4326", 4326),
        ("+proj=utm +zone=32 +datum=WGS84", 32632),
        (CRS.from_epsg(3035).to_wkt(), 3035),
        (CRS.from_epsg(31467).to_wkt(), 31467),
        (CRS.from_epsg(3857).to_wkt(), 3857),
        (json.dumps(CRS.from_epsg(25833).to_dict(projjson=True)), 25833),
    ],
)
def test_systems_that_are_known(text, code):
    from rsisrefiner_jax.formats import crs

    assert crs.system(text).to_epsg() == code


def test_these_attacks_are_real(data, there):
    """Without the gate GDAL follows them."""
    for name in (
        "tag: a path",
        "aux.xml: png",
        "aux.xml: img",
        "ovr: VRT",
        "ovr: a link",
        "ovr: with a tag",
        "img: pixels elsewhere",
    ):
        with rasterio.open(RASTERS[name](data, there)) as opened:
            side = SIDE // 4 if "with a tag" in name else SIDE // 2
            assert (opened.read(1, out_shape=(side, side)) == SECRET).any(), name
    with rasterio.open(RASTERS["msk: VRT"](data, there)) as opened:
        assert (opened.dataset_mask() == SECRET).any()
    for name in ("program called geojson", "list called shp"):
        fields = pyogrio.raw.read(VECTORS[name](data, there))[3]
        assert WORD in [str(value) for column in fields for value in column]
    assert CRS.from_user_input(SYSTEMS["a path"](there)).to_epsg() == 25833
    assert CRS.from_user_input(SYSTEMS["init"](there)).to_epsg() == 32633


ANSWERS = """
import socket
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
while True:
    asked, _ = listening.accept()
    print(asked.recv(4000).split()[1].decode(), flush=True)
    asked.sendall(b"HTTP/1.0 404 No\\r\\nContent-Length: 0\\r\\n\\r\\n")
    asked.close()
"""


def test_these_requests_are_real(data, tmp_path):
    """Without the gate GDAL asks; another process answers, as GDAL holds up this one."""
    server = subprocess.Popen([sys.executable, "-c", ANSWERS], stdout=subprocess.PIPE, text=True)
    try:
        (tmp_path / "asks").mkdir()
        there = Elsewhere(tmp_path / "asks", f"http://127.0.0.1:{int(server.stdout.readline())}")
        for name in ("geojson: link", "geojson: of a geometry", "geojson: two types"):
            pyogrio.raw.read(VECTORS[name](data, there))
            assert server.stdout.readline() == "/crs\n", name
        with pytest.raises(rasterio.errors.CRSError):
            CRS.from_user_input(SYSTEMS["an address"](there) + "/of/system")
        assert "/crs/of/system\n" in iter(server.stdout.readline, "")
    finally:
        server.kill()
        server.wait()
