"""Data of one's own, made ready under a name."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from rsisrefiner_jax.data.builders.preparation import prepare
from rsisrefiner_jax.data.prepared import PreparedSource
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError
from tests import official_layouts


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RSISREFINER_DATA", str(tmp_path / "prepared"))


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def scenes(name):
    return {scene.name: scene for scene in PreparedSource(name)}


def test_a_turned_photograph_comes_back_as_it_is_stored(source):
    official_layouts.save(source / "i" / "a.jpg", official_layouts.picture(0, 40, 50))
    path = source / "i" / "a.jpg"
    with Image.open(path) as picture:
        exif = picture.getexif()
        exif[0x0112] = 6  # turn by 90 degrees to look at it
        picture.save(path, exif=exif)
    with Image.open(path) as picture:
        stored = np.array(picture)
    (source / "a.json").write_text(json.dumps(official_layouts.coco([("a.jpg", 40, 50)])))
    prepare("coco", f"{source}/i,{source}/a.json", called="mine")
    assert np.array_equal(scenes("mine")["a.jpg"].image, stored)


def test_own_data(source):
    official_layouts.save(source / "i" / "a.png", official_layouts.picture(0, 40, 50))
    official_layouts.save(source / "i" / "b.png", official_layouts.picture(1, 40, 50))
    masks = {name: official_layouts.blobs(seed, 40, 50, 3) for seed, name in enumerate("ab")}
    for name, mask in masks.items():
        official_layouts.save(source / "m" / f"{name}.png", mask)
    (source / "a.json").write_text(json.dumps(official_layouts.coco([("a.png", 40, 50)])))
    prepare("coco", f"{source}/i,{source}/a.json", called="mine")
    truth = COCO(str(source / "a.json"))
    scene = scenes("mine")["a.png"]
    for item, annotation in zip(scene.objects, truth.loadAnns(truth.getAnnIds()), strict=True):
        assert np.array_equal(scene.mask(item), truth.annToMask(annotation))
    prepare("instances", f"{source}/i,{source}/m", called="ids")
    for name, scene in scenes("ids").items():
        assert np.array_equal(scene.labels[..., 0], masks[name[0]])
    prepare("classes", f"{source}/i,{source}/m,class=2", called="second")
    for name, scene in scenes("second").items():
        assert np.array_equal(scene.labels[..., 0] > 0, masks[name[0]] == 2)


def test_bands_of_plain_pictures(source):
    pixels = official_layouts.picture(0, 40, 50)
    official_layouts.save(source / "i" / "a.png", pixels)
    (source / "a.json").write_text(json.dumps(official_layouts.coco([("a.png", 40, 50)])))
    prepare("coco", f"{source}/i,{source}/a.json", called="mine", recipe=Recipe(bands=(3, 2, 1)))
    assert np.array_equal(scenes("mine")["a.png"].image, pixels[..., ::-1])


def test_own_raster(source):
    pytest.importorskip("pyogrio")
    from tests.rasters import UTM, write_raster

    bands = np.random.default_rng(0).integers(0, 255, (4, 30, 40), np.uint8)
    raster = write_raster(source / "scene.tif", bands, **UTM)
    corners = [(5, 4), (25, 4), (25, 14), (5, 14), (5, 4)]  # x, y in pixels of half a metre
    ring = [(500_000 + x / 2, 5_000_000 - y / 2) for x, y in corners]
    feature = {"type": "Feature", "properties": {}}
    feature["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    crs = {"type": "name", "properties": {"name": "EPSG:32632"}}
    vectors = source / "houses.geojson"
    vectors.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    about = prepare("geo", f"{raster},{vectors}", called="houses", recipe=Recipe(bands=(4, 3, 1)))
    assert about["objects"] == 1
    (scene,) = scenes("houses").values()
    expected = np.zeros((30, 40), bool)
    expected[4:14, 5:25] = True
    assert np.array_equal(scene.mask(scene.objects[0]), expected)
    assert np.array_equal(scene.image, bands[[3, 2, 0]].transpose(1, 2, 0))


def test_bands_are_not_for_official_data(source):
    official_layouts.whu(source)
    with pytest.raises(UserError, match=r"--bands and --stretch are for data of your own"):
        prepare("whu_building", str(source), recipe=Recipe(bands=(3, 2, 1)))


def test_synthetic_data_can_be_kept():
    from rsisrefiner_jax.data.synthetic import SyntheticSource

    about = prepare("synthetic", "val@96", called="toys", limit=1)
    assert about["splits"]["val"]["scenes"] == 1
    first = PreparedSource("toys", "val")[0]
    made = SyntheticSource("val", 96)[0]
    assert np.array_equal(first.image, made.image)
    assert np.array_equal(first.labels, made.labels)
    assert np.array_equal(first.ignore, made.ignore)
    assert first.objects == made.objects
