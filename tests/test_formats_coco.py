"""COCO files of other programs: the same objects in training and in the annotator."""

import json
import unicodedata

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

pytest.importorskip("fastapi")

from rsisrefiner_jax.data.coco import CocoSource
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.errors import UserError
from tests.both_readers import alike, areas, imported, read, trained

H, W = 60, 90
SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]  # 400 pixels


def annotation(id, shape, **more):
    return {"id": id, "image_id": 1, "category_id": 1, "segmentation": shape, **more}


@pytest.fixture
def both(tmp_path):
    """Writes a picture and a JSON; the objects in training, which the annotator's must equal."""

    def read_both(annotations, name="scene.png", stated="scene.png", size=(W, H), **content):
        images = tmp_path / "images"
        images.mkdir(exist_ok=True)
        cv2.imwrite(str(images / name), np.zeros((H, W, 3), np.uint8))
        image = {"id": 1, "file_name": stated, "width": size[0], "height": size[1]}
        categories = [{"id": 1, "name": "roof"}]
        whole = {"images": [image], "annotations": annotations, "categories": categories}
        path = tmp_path / "a.json"
        path.write_text(json.dumps(whole | content), encoding="utf-8")
        found = trained(f"coco:{images},{path}")
        alike(found, imported(images / name, path))
        both.reading = read(images / name, path)
        return found

    both = read_both
    return both


def test_overlapping_parts_are_united_and_parts_inside_are_holes(both):
    other = [20, 20, 40, 20, 40, 40, 20, 40]
    inner = [15, 15, 25, 15, 25, 25, 15, 25]
    middle = [18, 18, 22, 18, 22, 22, 18, 22]
    shapes = [[SQUARE, other], [SQUARE, inner], [SQUARE, inner, middle], [SQUARE, SQUARE]]
    found = both([annotation(i, shape) for i, shape in enumerate(shapes, 1)])
    assert areas(found) == {1: 700, 2: 300, 3: 316, 4: 400}


def test_polygons_off_the_grid_and_beyond_the_border(both):
    rng = np.random.default_rng(0)
    shapes = [[rng.uniform((-20, -20), (110, 80), (7, 2)).round(1).ravel().tolist()]]
    shapes += [[rng.uniform(20, 50, (5, 2)).round(1).ravel().tolist()] for _ in range(20)]
    found = both([annotation(i, shape) for i, shape in enumerate(shapes, 1)])
    for id, (_, mask) in found.items():
        whole = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(shapes[id - 1], H, W)))
        np.testing.assert_array_equal(mask, whole.view(bool))


def test_crowds_are_no_objects(both):
    rle = coco_mask.encode(np.asfortranarray(np.eye(H, W, dtype=np.uint8)))
    crowd = {"size": [H, W], "counts": rle["counts"].decode()}
    assert areas(both([annotation(1, [SQUARE]), annotation(2, crowd, iscrowd=1)])) == {1: 400}
    assert both.reading.notes == ["1 crowd region left out: no single objects"]


def test_sizes_and_ids_as_text(both):
    items = [annotation("7", [SQUARE], image_id="1", category_id="1"), annotation(8.0, [SQUARE])]
    found = both(items, size=(str(W), str(H)))
    assert {id: name for id, (name, _) in found.items()} == {7: "roof", 8: "roof"}


def test_ids_that_cannot_be_kept_are_numbered(both):
    for ids in (("a", "b"), (0, 5), (3, 3), (2**31, 1), (None, 4)):
        items = [annotation(id, [SQUARE]) for id in ids]
        assert both([{k: v for k, v in i.items() if v is not None} for i in items]).keys() == {1, 2}


def test_a_category_without_a_name_costs_only_itself(both):
    categories = [{"id": 1}, {"id": 2, "name": "tank"}, {"id": 3, "name": "unclassified"}]
    items = [annotation(id, [SQUARE]) | {"category_id": id} for id in (1, 2, 3)]
    found = both(items, categories=categories)
    assert [name for name, _ in found.values()] == ["", "tank", ""]


def test_run_lengths_in_place_of_a_polygon_are_no_shape(both):
    rng = np.random.default_rng(0)
    items = [annotation(1, SQUARE)]  # one flat list is a polygon
    for id in range(2, 10):
        flat = rng.integers(0, 2, H * W, np.uint8)
        edges = np.flatnonzero(np.diff(flat)) + 1
        counts = np.diff(np.r_[0, edges, H * W]).tolist()
        items.append(annotation(id, [counts] if id % 2 else counts))
    assert areas(both(items)) == {1: 400}
    assert both.reading.skipped == 8
    assert "run lengths where the corners of a ring belong" in both.reading.notes[0]


def test_run_lengths_with_odd_entries(both):
    square = np.zeros((H, W), np.uint8)
    square[10:30, 10:30] = 1
    rle = coco_mask.encode(np.asfortranarray(square))["counts"].decode()
    size = [H, W]
    shapes = [
        {"size": [float(H), float(W)], "counts": rle},
        {"size": size, "counts": [0, H * W]},
        {"size": size, "counts": [5, 0, 0, 7, 0, 3, H * W - 15]},
        {"size": [W, H], "counts": rle},
        {"size": size, "counts": rle + "1"},
        {"size": size, "counts": "\x7f"},
        {"size": size, "counts": [-5, 5, H * W]},
        [[]],
    ]
    found = both([annotation(i, shape) for i, shape in enumerate(shapes, 1)])
    assert areas(found) == {1: 400, 2: H * W, 3: 10}


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        ("images\\a.png", "a.png"),
        (".\\a.png", "a.png"),
        ("C:\\data\\train\\a.png", "a.png"),
        ("/data/train/a.png", "a.png"),
        ("e%20f.png", "e f.png"),
        ("upload/1/e%20f.png", "e f.png"),
        (unicodedata.normalize("NFD", "höhe.png"), unicodedata.normalize("NFC", "höhe.png")),
        (unicodedata.normalize("NFC", "höhe.png"), unicodedata.normalize("NFD", "höhe.png")),
    ],
)
def test_names_of_other_machines(both, stated, name):
    assert areas(both([annotation(1, [SQUARE])], name=name, stated=stated)) == {1: 400}


def test_pictures_too_large_to_be_read_whole_become_windows(both, tmp_path, monkeypatch):
    """Of the pixels that are there: the windows tile the picture and its objects."""
    items = [annotation(1, [SQUARE]), annotation(2, [[20, 5, 80, 5, 80, 15, 20, 15]])]
    whole = both(items)
    spec = f"coco:{tmp_path / 'images'},{tmp_path / 'a.json'}"
    image = open_source(spec)[0].image
    monkeypatch.setattr("rsisrefiner_jax.data.annotated_picture.LARGEST", 1000)
    monkeypatch.setattr("rsisrefiner_jax.data.windows.SIDE", 30)
    source = open_source(spec)
    scenes = [source[i] for i in range(len(source))]
    assert [scene.name for scene in scenes] == [
        "scene.png_y0_x0",
        "scene.png_y0_x30",
        "scene.png_y0_x60",
    ]
    for number, scene in enumerate(scenes):
        part = np.s_[:30, 30 * number : 30 * number + 30]
        np.testing.assert_array_equal(scene.image, image[part])
        for item in scene.objects:
            np.testing.assert_array_equal(scene.mask(item), whole[item.id][1][part])
    assert [[item.id for item in scene.objects] for scene in scenes] == [[1, 2], [2], [2]]


def test_large_pictures_are_left_to_rasterio(tmp_path, monkeypatch):
    from rsisrefiner_jax.data import raster

    pixels = np.random.default_rng(0).integers(0, 255, (H, W, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    expected = raster.read_picture(str(tmp_path / "a.png"))[0]
    monkeypatch.setattr(raster, "LARGEST", 1000)
    monkeypatch.setattr(raster, "SMALL_FILE", 0)
    monkeypatch.setattr(raster, "decode", None)
    part, valid = raster.read_window(str(tmp_path / "a.png"), (10, 20, 30, 40))
    np.testing.assert_array_equal(part, expected[10:40, 20:60])
    assert valid.all()


def test_two_names_for_one_file_mean_none(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / "one" / "a.png"), np.zeros((H, W, 3), np.uint8))
    images = [
        {"id": i, "file_name": name, "width": W, "height": H}
        for i, name in enumerate(["x/a.png", "y/a.png", "a.pgn"], 1)
    ]
    items = [annotation(i, [SQUARE]) | {"image_id": i} for i in (1, 2, 3)]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": items}))
    with pytest.raises(UserError, match=r"x/a\.png is not there") as caught:
        CocoSource(str(tmp_path / "one"), str(tmp_path / "a.json"))
    assert "the nearest name there is a.png" not in str(caught.value)  # of the first one alone
    with pytest.raises(UserError, match=r"more than one \(2\) image in it is called a\.png"):
        read(tmp_path / "one" / "a.png", tmp_path / "a.json")


def test_a_missing_picture_is_named_with_the_nearest(tmp_path):
    cv2.imwrite(str(tmp_path / "tile_12.png"), np.zeros((H, W, 3), np.uint8))
    images = [{"id": 1, "file_name": "tile-12.png", "width": W, "height": H}]
    content = {"images": images, "annotations": [annotation(1, [SQUARE])]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"not there; the nearest name there is tile_12\.png"):
        CocoSource(str(tmp_path), str(tmp_path / "a.json"))
    reading = read(tmp_path / "tile_12.png", tmp_path / "a.json")
    assert "is about an image called tile-12.png" in reading.doubts[0]


def test_a_virtual_raster_is_a_picture(tmp_path):
    import rasterio
    import rasterio.shutil

    profile = {"driver": "GTiff", "height": H, "width": W, "count": 3, "dtype": "uint8"}
    with rasterio.open(tmp_path / "a.tif", "w", **profile) as file:
        file.write(np.full((3, H, W), 7, np.uint8))
    rasterio.shutil.copy(str(tmp_path / "a.tif"), str(tmp_path / "a.vrt"), driver="VRT")
    images = [{"id": 1, "file_name": "a.vrt", "width": W, "height": H}]
    content = {"images": images, "annotations": [annotation(1, [SQUARE])]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    scene = CocoSource(str(tmp_path), str(tmp_path / "a.json"))[0]
    assert (scene.image == 7).all()
    assert scene.labels.astype(bool).sum() == 400


@pytest.mark.parametrize(("head", "kind"), [(b"CDF\x01", "netCDF"), (b"\x89HDF\r\n", "HDF5")])
def test_files_of_many_rasters_are_named(tmp_path, head, kind):
    from rsisrefiner_jax.formats.raster_info import open_raster

    (tmp_path / "a.nc").write_bytes(head + bytes(100))
    with pytest.raises(UserError, match=rf"a\.nc: {kind}.* gdal_translate"):
        open_raster(str(tmp_path / "a.nc"))


@pytest.mark.parametrize("limit", [1, 1 << 30])
def test_run_lengths_of_small_and_large_pictures(both, monkeypatch, limit):
    monkeypatch.setattr("rsisrefiner_jax.formats.coco_masks._SMALL", limit)
    rng = np.random.default_rng(0)
    masks = rng.random((3, H, W)) < 0.3
    masks[1, :, :40] = masks[2, 20:] = False
    rles = [coco_mask.encode(np.asfortranarray(mask, np.uint8)) for mask in masks]
    items = [
        annotation(i, {"size": [H, W], "counts": rle["counts"].decode()})
        for i, rle in enumerate(rles, 1)
    ]
    found = both(items)
    for id, (_, mask) in found.items():
        np.testing.assert_array_equal(mask, masks[id - 1])
