"""Rasters of which a part cannot be read: the rest stays usable, the part is shown as such."""

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi")
import rasterio
import rasterio.shutil
from rasterio.enums import Resampling

from rsisrefiner_jax.annotate import preview, rasters, tiles
from rsisrefiner_jax.annotate.pictures import RasterPicture
from rsisrefiner_jax.data import raster as files
from rsisrefiner_jax.data import stretch
from rsisrefiner_jax.data.raster import Window
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError
from tests import annotating

HEIGHT, WIDTH, BLOCK = 600, 500, 128
BLOCKS = {"blockxsize": BLOCK, "blockysize": BLOCK}
WHOLE = Window(0, 0, HEIGHT, WIDTH)


def noise(dtype=np.uint8):
    return np.random.default_rng(0).integers(1, 255, (3, HEIGHT, WIDTH), np.uint8).astype(dtype)


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def forget():
    """As a restart would."""
    for cached in (rasters._damage, rasters._source, files._stretch_of_file):
        cached.cache_clear()


def blocks_lost(*lost):
    """bool [HEIGHT, WIDTH] of blocks (row, column)."""
    grid = np.zeros((-(-HEIGHT // BLOCK), -(-WIDTH // BLOCK)), bool)
    for row, column in lost:
        grid[row, column] = True
    return grid.repeat(BLOCK, 0).repeat(BLOCK, 1)[:HEIGHT, :WIDTH]


def flipped(folder, lost, dtype=np.uint8, **profile):
    """A raster with a byte turned over in blocks, (row, column)."""
    path = annotating.raster(folder, bands=noise(dtype), compress="deflate", **BLOCKS, **profile)
    with rasterio.open(path) as file:
        places = [
            int(file.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=1))
            for row, column in lost
        ]
    content = bytearray(path.read_bytes())
    for place in places:
        content[place] ^= 0xFF  # at the edge GDAL unpacks no further than it must
    path.write_bytes(content)
    return path


def tile(source, level, column=0, row=0):
    png = tiles.encode(source, Recipe(), level, column, row)
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_the_rest_of_a_broken_raster_is_shown_and_seen(tmp_path, interleave, monkeypatch):
    lost = [(1, 2), (4, 0), (4, 3)]
    path = flipped(tmp_path, lost, interleave=interleave)
    source = rasters.open_source(path, tmp_path)
    broken = blocks_lost(*lost)
    rgb, valid = source.read(WHOLE, Recipe())
    expected = np.where(broken[..., None], 0, np.moveaxis(noise(), 0, -1))
    np.testing.assert_array_equal(rgb, expected)
    np.testing.assert_array_equal(valid, ~broken)
    np.testing.assert_array_equal(RasterPicture(source, Recipe()).read(WHOLE), expected)
    shown = tile(source, 2, 1, 0)  # where the first of them lies
    part = broken[:256, 256:]
    np.testing.assert_array_equal(shown[:, : WIDTH - 256][part], tiles.HATCH[:, :244][part])
    np.testing.assert_array_equal(shown[:, :244, 2::-1][~part], expected[:256, 256:][~part])
    assert len(np.unique(tiles.HATCH.reshape(-1, 4), axis=0)) == 2
    assert "3 of 20 blocks cannot be read, the first at x=256, y=128;" in source.damage.sentence()

    read, asked = files.read_bands, []
    monkeypatch.setattr(files, "read_bands", lambda *a: asked.append(a[2]) or read(*a))
    source.read(Window(128, 256, 128, 128), Recipe())
    assert asked == []  # what is known to be broken is not tried again
    monkeypatch.undo()
    forget()
    again = rasters.open_source(path, tmp_path)
    assert again.damage is not source.damage
    assert again.damage.sentence() == source.damage.sentence()


def test_a_cut_download(tmp_path):
    path = cut(annotating.raster(tmp_path, bands=noise(), compress="deflate", **BLOCKS), 0.5)
    source = rasters.open_source(path, tmp_path)
    for step in (1, 2, 4):
        rgb, valid = source.read(WHOLE, Recipe(), step)
        rows, columns = preview.steps(HEIGHT, step), preview.steps(WIDTH, step)
        broken = source.broken(WHOLE, step)
        assert 0.3 < broken.mean() < 0.7
        np.testing.assert_array_equal(valid, ~broken)
        picked = np.moveaxis(noise(), 0, -1)[np.ix_(rows, columns)]
        np.testing.assert_array_equal(rgb[valid], picked[valid])
        assert not rgb[broken].any()
    assert tile(source, 0)[: HEIGHT // 4, : WIDTH // 4, 3].all()


def test_a_cog_that_is_cut_keeps_its_overviews(tmp_path):
    annotating.raster(tmp_path, "plain.tif", noise(), compress="deflate")
    path = tmp_path / "scene.tif"
    options = {"compress": "deflate", "blocksize": BLOCK, "overview_resampling": "nearest"}
    rasterio.shutil.copy(tmp_path / "plain.tif", path, driver="COG", **options)
    source = rasters.open_source(cut(path, 0.6), tmp_path)
    assert source.read(WHOLE, Recipe(), 4)[1].all()
    assert source.damage.sentence() is None
    assert not source.read(WHOLE, Recipe())[1].all()
    assert "blocks cannot be read" in source.damage.sentence()


@pytest.mark.parametrize("large", [False, True])
def test_broken_overviews_are_done_without(tmp_path, monkeypatch, large):
    if large:
        monkeypatch.setattr(preview, "SMALL", 300)
        monkeypatch.setattr(preview, "SIDE", 128)
    path = annotating.raster(tmp_path, bands=noise(), compress="deflate", **BLOCKS)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4], Resampling.nearest)
    source = rasters.open_source(cut(path, 0.9), tmp_path)
    recipe = Recipe(stretch_8bit=True)
    rows, columns = preview.steps(HEIGHT, 4), preview.steps(WIDTH, 4)
    expected = np.moveaxis(noise(), 0, -1)[np.ix_(rows, columns)]
    rgb, valid = source.read(WHOLE, Recipe(), 4)
    np.testing.assert_array_equal(rgb, expected)
    assert valid.all()
    assert "its overviews are broken" in source.damage.sentence()
    again = rasters.open_source(path, tmp_path)
    assert bool(again.preview) == large
    low, high = np.percentile(noise(), (2, 98), axis=(1, 2))
    np.testing.assert_allclose(again.limits(recipe), np.stack([low, high], 1), atol=3)


@pytest.mark.parametrize("large", [False, True])
def test_percentiles_pass_over_what_is_broken(tmp_path, monkeypatch, large):
    monkeypatch.setattr(stretch, "SAMPLE_SIDE", 100)
    if large:
        monkeypatch.setattr(preview, "SMALL", 300)
        monkeypatch.setattr(preview, "SIDE", 128)
        monkeypatch.setattr(preview, "CHUNK", 40_000)
    lost = [(r, c) for r in range(2, 5) for c in range(4)]
    path = flipped(tmp_path, lost, np.uint16)
    source = rasters.open_source(path, tmp_path)
    height, width = stretch.sample_shape(HEIGHT, WIDTH)
    rows, columns = preview.sampled(HEIGHT, height), preview.sampled(WIDTH, width)
    valid = ~blocks_lost(*lost)[np.ix_(rows, columns)]
    sample = np.moveaxis(noise(np.uint16), 0, -1)[np.ix_(rows, columns)]
    expected = stretch.find_stretch(sample, valid, Recipe()).limits
    assert source.limits(Recipe()) == expected
    assert expected[0][0] > 1
    if large:
        forget()
        source = rasters.open_source(path, tmp_path)
        assert source.preview
        assert source.limits(Recipe()) == expected
        rgb, seen = source.read(WHOLE, Recipe(), 8)
        broken = blocks_lost(*lost)[np.ix_(preview.steps(HEIGHT, 8), preview.steps(WIDTH, 8))]
        np.testing.assert_array_equal(seen, ~broken)
        assert not rgb[broken].any()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp"])
def test_pictures_that_break_off(tmp_path, name):
    smooth = cv2.GaussianBlur(np.moveaxis(noise(), 0, -1), (9, 9), 0)
    cv2.imwrite(str(tmp_path / name), smooth)
    whole = cv2.imread(str(tmp_path / name))[..., ::-1]
    path = cut(tmp_path / name, 0.5)
    source = rasters.open_source(path, tmp_path)
    rgb, valid = source.read(WHOLE, Recipe())
    lines = valid.all(1)
    np.testing.assert_array_equal(valid, np.repeat(lines[:, None], WIDTH, 1))
    assert 0.3 < lines.mean() < 0.7
    if name != "a.bmp":
        assert (np.diff(lines.astype(int)) <= 0).all()  # the upper part is there
    assert np.abs(rgb[lines].astype(int) - whole[lines]).mean() < 3  # decoders of JPEG differ
    assert not rgb[~lines].any()
    assert f"{HEIGHT - lines.sum()} of {HEIGHT} rows cannot be read" in source.damage.sentence()
    stretched = source.limits(Recipe(stretch_8bit=True))
    assert np.min(stretched) > 50  # black rows have no say


def test_a_picture_of_which_nothing_is_left(tmp_path):
    cv2.imwrite(str(tmp_path / "a.webp"), np.moveaxis(noise(), 0, -1))
    with pytest.raises(UserError, match=r"a\.webp: cannot be read as a raster"):
        rasters.open_source(cut(tmp_path / "a.webp", 0.5), tmp_path)
    assert not list(tmp_path.glob("*.tif*"))


def test_a_wrong_recipe_breaks_nothing(tmp_path):
    source = rasters.open_source(annotating.raster(tmp_path, bands=noise()), tmp_path)
    with pytest.raises(UserError, match="only 3"):
        source.read(WHOLE, Recipe(bands=(9,)))
    assert source.damage.sentence() is None


def test_a_file_that_is_still_being_written_is_not_called_broken(tmp_path):
    path = flipped(tmp_path, [(1, 1)])
    source = rasters.open_source(path, tmp_path)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(UserError, match="written to while it was read"):
        source.read(WHOLE, Recipe())
    assert source.damage.count == 0


def test_clients_are_told(tmp_path):
    flipped(tmp_path, [(1, 2)])
    here = annotating.context(tmp_path)
    here.project.add_image(tmp_path / "scene.tif")
    client = annotating.client(here)
    assert client.get("/api/images/1").json()["broken"] is None
    assert client.get("/api/images/1/tiles/2/1/0.png").status_code == 200
    assert client.get("/api/images/1/point?x=260&y=130").json()["values"] is None
    point = client.get("/api/images/1/point?x=10&y=20").json()
    assert point["values"] == noise()[:, 20, 10].tolist()
    assert "1 of 20 blocks cannot be read" in client.get("/api/images/1").json()["broken"]
    here.project.close()
