"""What the server refuses, always with a sentence, and that it goes on after that."""

import io
import os
import struct
import zipfile
import zlib

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi")
import rasterio

from rsisrefiner_jax.annotate import rasters, safety
from rsisrefiner_jax.errors import UserError
from tests import annotating
from tests.annotating import refused, upload


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../secret.tif",
        "data/../../secret.tif",
        "data/./scene.tif",
        "data//scene.tif",
        "data/link.tif",
        "data/folder/secret.tif",
        "\\\\host\\share\\scene.tif",
        "//host/share/scene.tif",
        "C:/scene.tif",
        "data\\scene.tif",
        "/vsicurl/http://example.org/x.tif",
        "~/scene.tif",
        "data/scene.tif\0.png",
        "file:///etc/passwd",
    ],
)
def test_no_path_leads_out(client, data, path):
    secret = annotating.raster(data.parent, "secret.tif")
    (data / "link.tif").symlink_to(secret)
    (data / "folder").symlink_to(data.parent)
    refused(client.post("/api/images", json={"path": path}), "only paths inside the folders given")
    assert client.get("/api/roots", params={"under": path}).status_code == 422
    given = {"path": path, "clicks": [{"x": 1, "y": 1}]}
    assert client.post("/api/predict", json=given).status_code in (422, 503)


def test_the_listing_shows_what_can_be_opened(client, data):
    (data / "notes.txt").write_text("x")
    (data / ".hidden.tif").write_text("x")
    (data / "deeper").mkdir()
    (data / "out").symlink_to(data.parent)
    assert client.get("/api/roots").json() == {"folders": ["data"], "files": []}
    listed = client.get("/api/roots", params={"under": "data"}).json()
    assert listed == {"folders": ["data/deeper", "data/project"], "files": ["data/scene.tif"]}
    opened = client.post("/api/images", json={"path": "data/scene.tif"}).json()
    assert client.post("/api/images", json={"path": "data/scene.tif"}).json() == opened
    for wrong in ("data/none.tif", "data/deeper", "other/scene.tif"):
        assert client.post("/api/images", json={"path": wrong}).status_code == 422


def test_files_that_are_no_rasters(client, data):
    tif = (data / "scene.tif").read_bytes()
    png = cv2.imencode(".png", np.zeros((5, 5), np.uint8))[1].tobytes()
    vrt = b'<VRTDataset rasterXSize="1" rasterYSize="1"><SRS/></VRTDataset>'
    for name, content, words in [
        ("notes.txt", b"hello", "not a raster file"),
        ("text.tif", b"hello", "broken or no image"),
        ("empty.tif", b"", "broken or no image"),
        ("cut.tif", tif[:300], "broken or no image"),
        ("picture.tif", png, "this is a PNG file"),
        ("scene.png", tif, "this is a GTiff file"),
        ("cut.png", png[:20], "broken or no image"),
        ("mosaic.vrt", vrt, "not a raster file"),
        ("mosaic.tif", vrt, "broken or no image"),
        ("archive.tif", b"PK\3\4....", "this is a zip file"),
        ("../../../up.tif", b"x", "broken or no image"),
        ("", b"x", ""),
    ]:
        refused(upload(client, name, content), words)
    assert os.listdir(data / "project" / "uploads") == []
    assert client.get("/api/project").json()["images"] == []
    assert upload(client, "fine.tif", tif).status_code == 200


def test_broken_inside_is_found_when_it_is_read(client, data):
    rng = np.random.default_rng(0)
    path = annotating.raster(data, "inside.tif", compress="deflate")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = rng.bytes(len(content) - len(content) // 2)
    reply = upload(client, "inside.tif", bytes(content))
    if reply.status_code == 200:
        image = f"/api/images/{reply.json()['id']}"
        assert client.get(f"{image}/tiles/0/0/0.png").status_code == 200
        assert "blocks cannot be read" in client.get(image).json()["broken"]
    assert client.get("/api/project").status_code == 200


def test_sizes(client, monkeypatch):
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    bomb += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    refused(upload(client, "bomb.png", bomb), "too many for a PNG file")
    monkeypatch.setattr(safety, "UPLOAD_LIMIT", 1000)
    refused(upload(client, "long.tif", b"x" * 2000), "larger than the 0 MiB")


def test_tiffs_that_claim_much(client, tmp_path):
    size = {"width": 1_500_000, "height": 10, "count": 1, "dtype": "uint8", "sparse_ok": True}
    with rasterio.open(tmp_path / "wide.tif", "w", driver="GTiff", **size):
        pass
    refused(
        upload(client, "wide.tif", (tmp_path / "wide.tif").read_bytes()), "more than this server"
    )
    size |= {"width": 30_000, "height": 30_000}
    size |= {"tiled": True, "blockxsize": 20_480, "blockysize": 20_480}
    with rasterio.open(tmp_path / "strip.tif", "w", driver="GTiff", compress="deflate", **size):
        pass
    refused(
        upload(client, "strip.tif", (tmp_path / "strip.tif").read_bytes()), "rewrite it in tiles"
    )


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return out.getvalue()


def test_imports_that_are_none(client, monkeypatch):
    client.post("/api/images", json={"path": "data/scene.tif"})
    shp = zipped(a_dot_shp=b"\0\0\x27\x0a" + bytes(200), a_dot_dbf=b"x", a_dot_shx=b"x")
    small = cv2.imencode(".png", np.ones((5, 5), np.uint8))[1].tobytes()
    floats = io.BytesIO()
    for name, content, words in [
        ("x.zip", b"PK\3\4broken", "not a zip file"),
        ("x.zip", zipped(readme_dot_md=b"x"), "no shapefile, id images or YOLO"),
        ("x.zip", zipped(a_dot_shp=b"x", b_dot_shp=b"x"), "several shapefiles"),
        ("x.zip", zipped(a_dot_shp=b"x", up__a_dot_shp=b"x"), "holds a.shp twice"),
        ("x.zip", shp, "cannot be read as a vector file"),
        ("x.gpkg", b"SQLite format 3\0" + bytes(100), "cannot be read as a vector file"),
        ("x.gpkg", b"<OGRVRTDataSource></OGRVRTDataSource>", "not the kind of file"),
        ("x.geojson", b'{"type": "FeatureCollection"', "vector file"),
        ("x.geojson", b"<xml/>", "not the kind of file"),
        ("x.json", b"[" * 100_000, "x.json is not JSON"),
        ("x.json", b"{}", "x.json has no lists 'images' and 'annotations'"),
        ("x.json", b'{"images": 3}', "has no lists 'images' and"),
        ("x.txt", b"0 0.1 0.2", "not YOLO"),
        ("x.txt", b"house 1 2 3", "not YOLO"),
        ("x.png", small, "but scene.tif has"),
        ("x.py", b"import os", "not a file that objects are read from"),
        ("x.pkl", floats.getvalue(), "not a file that objects are read from"),
    ]:
        refused(upload(client, name, content, "/api/images/1/import"), words)
    from rsisrefiner_jax.formats import archive

    monkeypatch.setattr(archive, "UNPACKED_LIMIT", 1 << 20)
    bomb = zipped(a_dot_shp=bytes(5 << 20))
    assert len(bomb) < 10_000
    refused(upload(client, "x.zip", bomb, "/api/images/1/import"), "unpacks to more than the 1 MiB")
    assert client.get("/api/images/1/objects").json() == []


def test_a_zip_cannot_write_elsewhere(client, here):
    client.post("/api/images", json={"path": "data/scene.tif"})
    evil = zipped(**{"_dot__dot____dot__dot____evil_dot_txt": b"0 0.1 0.1 0.5 0.1 0.5 0.5"})
    reply = upload(client, "x.zip", evil, "/api/images/1/import")
    assert reply.json()["objects"] == 1
    assert not list(here.project.folder.parent.rglob("evil.txt"))


def test_a_project_does_not_open_what_its_journal_names_elsewhere(here, client, data):
    """A project that somebody sent may name any file of this machine."""
    secret = annotating.raster(data.parent, "secret.tif")
    image = here.project.add_image(secret)
    refused(client.get(f"/api/images/{image.id}/tiles/0/0/0.png"), "outside the folders given")
    refused(client.get(f"/api/images/{image.id}/point?x=1&y=1"), "outside the folders given")


def test_a_file_that_vanishes(here, client, data):
    client.post("/api/images", json={"path": "data/scene.tif"})
    (data / "scene.tif").unlink()
    refused(client.get("/api/images/1/tiles/0/0/0.png"), "no such raster file")
    assert client.get("/api/images/1").status_code == 200
    assert client.get("/api/images/1/objects").json() == []


def test_complex_and_degenerate_rasters(tmp_path):
    path = annotating.raster(tmp_path, "c.tif", np.ones((1, 8, 8), np.complex64))
    with pytest.raises(UserError, match="complex"):
        rasters.open_checked(path)
    flat = rasterio.Affine(1, 1, 0, 1, 1, 0)
    path = annotating.raster(tmp_path, "f.tif", np.ones((1, 8, 8), np.uint8), transform=flat)
    with pytest.raises(UserError, match="onto a line"):
        rasters.open_checked(path)


def test_two_servers_on_one_project(here, data):
    with pytest.raises(UserError, match="another server has this project open"):
        annotating.context(data)
