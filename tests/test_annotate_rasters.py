"""Tiles, points, previews and stretches of rasters of every kind."""

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi")
import rasterio
from rasterio.transform import Affine

from rsisrefiner_jax.annotate import preview, rasters, tiles
from rsisrefiner_jax.data import raster as files
from rsisrefiner_jax.data import stretch
from rsisrefiner_jax.data.raster import Window, read_window
from rsisrefiner_jax.data.stretch import Recipe
from tests import annotating


@pytest.fixture
def start(tmp_path):
    opened = []

    def start(**profile):
        annotating.raster(tmp_path, **profile)
        here = annotating.context(tmp_path)
        opened.append(here)
        here.project.add_image(tmp_path / "scene.tif")
        return annotating.client(here)

    yield start
    for here in opened:
        here.project.close()


def tile(client, level, column, row, **query):
    reply = client.get(f"/api/images/1/tiles/{level}/{column}/{row}.png", params=query)
    assert reply.status_code == 200, reply.text
    picture = cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (256, 256, 4)
    return picture[..., 2::-1], picture[..., 3] > 0


def test_tiles_at_native_resolution_are_the_pixels(start):
    bands = np.random.default_rng(0).integers(1, 255, (3, 300, 600), np.uint8)
    bands[:, 100:120, 200:300] = 0
    client = start(bands=bands, nodata=0)
    image = client.get("/api/images/1").json()
    assert (image["levels"], image["tile_size"]) == (3, 256)
    whole = np.zeros((512, 768, 3), np.uint8)
    seen = np.zeros((512, 768), bool)
    for row in range(2):
        for column in range(3):
            where = np.s_[256 * row : 256 * row + 256, 256 * column : 256 * column + 256]
            whole[where], seen[where] = tile(client, 2, column, row)
    np.testing.assert_array_equal(whole[:300, :600], np.moveaxis(bands, 0, -1))
    expected = bands.any(0)
    np.testing.assert_array_equal(seen[:300, :600], expected)
    assert not seen[300:].any()
    assert not seen[:, 600:].any()
    coarse, covered = tile(client, 0, 0, 0)
    assert covered[: 300 // 4, : 600 // 4].mean() > 0.9
    assert not covered[76:].any()
    assert set(map(tuple, coarse[covered])) <= set(map(tuple, np.moveaxis(bands, 0, -1)[expected]))
    for level, column, row in [(3, 0, 0), (2, 3, 0), (2, 0, 2), (0, 1, 0)]:
        reply = client.get(f"/api/images/1/tiles/{level}/{column}/{row}.png")
        assert reply.status_code == 422


def test_tiles_and_model_see_the_same_stretch(start, tmp_path):
    bands = np.random.default_rng(0).normal(300, 50, (4, 200, 256)).astype(np.uint16)
    client = start(bands=bands, nodata=0)
    first = client.get("/api/images/1").json()
    shown = tile(client, 0, 0, 0, v=first["recipe_hash"])[0]
    expected = read_window(str(tmp_path / "scene.tif"), (0, 0, 200, 256))[0]
    np.testing.assert_array_equal(shown[:200], expected)
    recipe = {"bands": [4, 3, 2], "percentiles": [5, 90], "stretch_8bit": False, "fill": None}
    changed = client.put("/api/images/1/recipe", json=recipe).json()
    assert changed["recipe"] == recipe
    assert changed["bands_shown"] == [4, 3, 2]
    assert changed["recipe_hash"] != first["recipe_hash"]
    expected = read_window(
        str(tmp_path / "scene.tif"), (0, 0, 200, 256), Recipe((4, 3, 2), (5.0, 90.0))
    )[0]
    np.testing.assert_array_equal(tile(client, 0, 0, 0)[0][:200], expected)
    for wrong in ({"bands": [5, 1, 1]}, {"bands": [1, 2]}, {"bands": [], "percentiles": [9, 2]}):
        assert client.put("/api/images/1/recipe", json=wrong).status_code == 422
    assert client.get("/api/images/1").json() == changed


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.uint16, np.int16, np.uint32, np.float32, np.float64]
)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_type_and_number_of_bands_is_shown(start, dtype, count):
    bands = np.random.default_rng(0).uniform(1, 250, (count, 40, 50)).astype(dtype)
    if dtype in (np.float32, np.float64):
        bands[:, 5:9] = np.nan
    client = start(bands=bands, crs=None, transform=Affine.identity())
    image = client.get("/api/images/1").json()
    assert (image["crs"], image["transform"], image["pixel_area_m2"]) == (None, None, None)
    shown, seen = tile(client, 0, 0, 0)
    assert len(np.unique(shown[seen])) > 50
    assert seen.sum() == 40 * 50 - (4 * 50 if bands.dtype.kind == "f" else 0)
    point = client.get("/api/images/1/point?x=7.5&y=20.2").json()
    assert point["values"] == pytest.approx(bands[:, 20, 7].tolist())
    assert (point["coordinates"], point["lonlat"], point["crs"]) == (None, None, None)
    assert client.get("/api/images/1/point?x=7&y=41").json()["values"] is None


def test_a_mask_is_not_black_at_first(start):
    mask = np.zeros((1, 40, 50), np.uint8)
    mask[0, 5:9, 20:40] = 1
    client = start(bands=mask)
    recipe = client.get("/api/images/1").json()["recipe"]
    assert recipe == {"bands": [], "percentiles": [2, 98], "stretch_8bit": None, "fill": None}
    np.testing.assert_array_equal(tile(client, 0, 0, 0)[0][:40, :50, 0], 255 * mask[0])
    client.put("/api/images/1/recipe", json=recipe | {"stretch_8bit": False})
    assert tile(client, 0, 0, 0)[0].max() == 1


def test_undeclared_no_data_is_said_and_can_be_changed(start, tmp_path):
    bands = np.random.default_rng(0).integers(800, 1200, (3, 200, 256)).astype(np.uint16)
    bands[:, :60] = 65535
    client = start(bands=bands)
    found = client.get("/api/images/1/stretch").json()
    assert found["fill"] == [65535]
    assert all(780 < low < 820 and 1180 < high < 1220 for low, high in found["limits"])
    shown = tile(client, 0, 0, 0)[0][:200]
    np.testing.assert_array_equal(
        shown, read_window(str(tmp_path / "scene.tif"), (0, 0, 200, 256))[0]
    )
    recipe = client.get("/api/images/1").json()["recipe"]
    changed = client.put("/api/images/1/recipe", json=recipe | {"fill": []}).json()
    assert changed["recipe"]["fill"] == []
    assert client.get("/api/images/1/stretch").json()["fill"] == []
    plain = read_window(str(tmp_path / "scene.tif"), (0, 0, 200, 256), Recipe(fill=()))[0]
    np.testing.assert_array_equal(tile(client, 0, 0, 0)[0][:200], plain)
    assert plain[60:].max() < 10


def test_nodata_that_is_not_a_number(start):
    client = start(bands=np.full((1, 9, 9), np.nan, np.float32), nodata=np.nan)
    assert client.get("/api/images/1").json()["nodata"] == "nan"
    assert not tile(client, 0, 0, 0)[1].any()
    assert client.get("/api/images/1/point?x=1&y=1").json()["values"] == [None]


@pytest.mark.parametrize("kind", ["plain", "nodata", "mask", "alpha", "palette", "odd blocks"])
def test_previews_are_the_file_thinned_out(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(stretch, "SAMPLE_SIDE", 100)
    monkeypatch.setattr(preview, "SMALL", 300)
    monkeypatch.setattr(preview, "SIDE", 128)
    monkeypatch.setattr(preview, "CHUNK", 40_000)
    rng = np.random.default_rng(0)
    count = {"alpha": 4, "palette": 1}.get(kind, 3)
    dtype = np.uint8 if kind in ("palette", "alpha") else np.uint16
    bands = rng.integers(0, 200, (count, 517, 701), np.uint8).astype(dtype) * 1
    profile = {"compress": "deflate"}
    if kind == "nodata":
        profile["nodata"] = 7
    if kind == "alpha":
        names = ("red", "green", "blue", "alpha")
        profile["colorinterp"] = [rasterio.enums.ColorInterp[name] for name in names]
        bands[3] = 255 * (bands[3] > 100)
    if kind == "palette":
        profile["colormap"] = {n: (n, 255 - n, n // 2, 255) for n in range(256)}
    path = annotating.raster(tmp_path, bands=bands, **profile)
    if kind == "mask":
        with rasterio.open(path, "r+") as file:
            file.write_mask(rng.integers(0, 2, (517, 701), np.uint8) * 255)
    source = rasters.open_source(path, tmp_path)
    assert source.preview.levels[0].step == 8
    recipe = Recipe(stretch_8bit=kind == "alpha")
    own = files.stretch_of_file(str(path), recipe).limits
    with rasterio.open(source.preview.sample) as sample, rasterio.open(path) as file:
        expected = file.read(out_shape=(file.count, *sample.shape))  # GDAL's choice of pixels
        np.testing.assert_array_equal(sample.read(), expected)
    assert source.limits(recipe) == own
    whole, valid = read_window(str(path), (0, 0, 517, 701), recipe)
    rows, columns = preview.steps(517, 8), preview.steps(701, 8)
    for step in (1, 4, 8):
        rgb, seen = source.read(Window(0, 0, 517, 701), recipe, step)
        picked = np.ix_(preview.steps(517, step), preview.steps(701, step))
        np.testing.assert_array_equal(rgb, whole[picked])
        np.testing.assert_array_equal(seen, valid[picked])
    part = source.read(Window(256, 512, 261, 189), recipe, 8)[0]
    np.testing.assert_array_equal(part, whole[np.ix_(rows, columns)][32:, 64:])
    assert source.read(Window(0, 0, 517, 701), recipe, 16)[0].shape == (33, 44, 3)
    assert tiles.encode(source, recipe, 0, 0, 0)


def test_png_files_are_read_in_windows(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), rgb[..., ::-1])
    source = rasters.open_source(tmp_path / "a.png", tmp_path)
    assert source.path.suffix == ".tif"
    np.testing.assert_array_equal(
        source.read(Window(10, 20, 30, 40), Recipe())[0], rgb[10:40, 20:60]
    )


def test_a_turned_raster_on_the_ground(start):
    client = start()
    point = client.get("/api/images/1/point?x=10&y=20").json()
    assert point["coordinates"] == pytest.approx(annotating.TURNED @ (10, 20))
    back = client.get(
        "/api/images/1/point",
        params=dict(zip("xy", point["lonlat"], strict=True)) | {"crs": "EPSG:4326"},
    ).json()
    assert (back["x"], back["y"]) == pytest.approx((10, 20), abs=1e-3)
