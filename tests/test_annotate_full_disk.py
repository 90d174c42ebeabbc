"""Previews, copies and uploads on a full disk: nothing half made stays, or is believed."""

import errno
import hashlib
import subprocess
import threading

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi")
import rasterio

from rsisrefiner_jax.annotate import copies, preview, project, rasters
from rsisrefiner_jax.data.raster import Window, read_window
from rsisrefiner_jax.data.stretch import Recipe
from tests import annotating

SHAPE = 1100, 1300


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """A raster that gets a preview of 4 MB and more."""
    monkeypatch.setattr(preview, "SMALL", 300)
    monkeypatch.setattr(preview, "SIDE", 700)
    monkeypatch.setattr(preview, "CHUNK", 400_000)
    bands = np.random.default_rng(0).integers(1, 5000, (3, *SHAPE), np.uint16)
    tiles = {"blockxsize": 128, "blockysize": 128, "compress": "deflate"}
    return annotating.raster(tmp_path / "data", bands=bands, **tiles)


def without_preview(scene, cache):
    """Looks at a raster whose preview finds no room."""
    source = rasters.open_source(scene, cache)
    assert source.preview is None
    assert list(cache.iterdir()) == []
    window = Window(256, 512, 256, 256)
    expected = read_window(str(scene), window)[0]
    np.testing.assert_array_equal(source.read(window, Recipe())[0], expected)
    assert source.read(Window(0, 0, *SHAPE), Recipe(), 8)[1].all()


def test_a_raster_is_shown_without_its_preview(scene, small_disk, capsys):
    without_preview(scene, small_disk)
    assert "scene.tif: no room" in capsys.readouterr().out
    rasters.open_source(scene, small_disk)
    assert capsys.readouterr().out == ""  # said once


def test_what_gdal_loses_without_a_word_is_noticed(scene, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    cache.mkdir()
    write, lost = copies.Copy.write, []

    class Losing:
        def __init__(self, file):
            self._file = file

        def write(self, pixels, window):
            lost.append(window)
            self._file.write(pixels if len(lost) % 5 else 0 * pixels, window=window)

    def losing(self, *args):
        if not isinstance(self._file, Losing):
            self._file = Losing(self._file)
        write(self, *args)

    monkeypatch.setattr(copies.Copy, "write", losing)
    without_preview(scene, cache)
    assert lost


def test_previews_of_earlier_versions_are_not_believed(scene, tmp_path):
    stat = scene.stat()
    text = f"{scene}|{stat.st_mtime_ns}|{stat.st_size}"
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    shape = {"height": 550, "width": 650, "count": 3, "dtype": "uint16"}
    for part in ("x2", "sample"):
        path = tmp_path / f"{name}.{part}.tif"
        with rasterio.open(path, "w", driver="GTiff", **shape):
            pass  # zeros
    source = rasters.open_source(scene, tmp_path)
    assert source.read(Window(0, 0, *SHAPE), Recipe(), 2)[0].any()
    assert source.limits(Recipe())[0][1] > 4000


def test_a_fault_stops_the_other_threads(scene, tmp_path, monkeypatch):
    written = []
    lock = threading.Lock()

    def failing(self, *args):
        with lock:
            written.append(args)
        raise OSError(errno.ENOSPC, "No space left on device")

    chunks = len(list(preview._chunks(rasterio.open(scene))))
    monkeypatch.setattr(copies.Copy, "write", failing)
    assert rasters.open_source(scene, tmp_path / "data").preview is None
    assert len(written) <= chunks // 2


def test_large_previews_have_coarser_ones(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(preview, "SIDE", 100)
    monkeypatch.setattr(preview, "LARGEST_STEP", 2)
    monkeypatch.setattr(preview, "APART", 4)
    source = rasters.open_source(scene, tmp_path)
    assert [level.step for level in source.preview.levels] == [2, 8, 32]
    whole = read_window(str(scene), (0, 0, *SHAPE))[0]
    for step in (2, 8, 32):
        picked = np.ix_(preview.steps(SHAPE[0], step), preview.steps(SHAPE[1], step))
        rgb = source.read(Window(0, 0, *SHAPE), Recipe(), step)[0]
        np.testing.assert_array_equal(rgb, whole[picked])


def test_a_picture_is_read_without_its_copy(tmp_path, small_disk, capsys):
    rgb = np.random.default_rng(0).integers(0, 255, (900, 900, 3), np.uint8)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), rgb[..., ::-1])
    source = rasters.open_source(path, small_disk)
    np.testing.assert_array_equal(source.read(Window(0, 0, 900, 900), Recipe())[0], rgb)
    assert list(small_disk.iterdir()) == []
    assert "a.png: no room" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_broken_picture_is_known_as_such_without_its_copy(tmp_path, monkeypatch, name):
    smooth = np.random.default_rng(0).integers(100, 255, (90, 90, 3), np.uint8)
    path = tmp_path / name
    cv2.imwrite(str(path), cv2.resize(smooth, (900, 900)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(copies.Copy, "write", full)
    source = rasters.open_source(path, tmp_path)
    rgb, valid = source.read(Window(0, 0, 900, 900), Recipe())
    assert 0.2 < valid.mean() < 0.8
    assert not rgb[~valid].any()
    assert (rgb[valid] > 50).all()


def uploaded(folder, content):
    here = annotating.context(folder)
    reply = annotating.client(here).post("/api/images", files={"file": ("a.tif", content)})
    left = list(here.project.uploads.iterdir())
    here.project.close()
    return reply, left


def test_an_upload_on_a_full_disk(scene, small_disk):
    reply, left = uploaded(small_disk, scene.read_bytes())
    assert reply.status_code == 507, reply.text
    assert "make room there" in reply.json()["detail"]
    assert left == []


def test_an_upload_that_finds_no_room(scene, tmp_path, monkeypatch):
    def full(source, target, *_):
        target.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(project, "copy_limited", full)
    reply, left = uploaded(tmp_path, scene.read_bytes())
    assert reply.status_code == 507, reply.text
    assert "a.tif: the disk is full" in reply.json()["detail"]
    assert left == []
