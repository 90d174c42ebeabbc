"""From miniature official layouts to prepared data: counts, pixels, names, splits."""

import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds
from pycocotools.coco import COCO
from scipy import ndimage

from rsisrefiner_jax.data.builders.preparation import prepare
from rsisrefiner_jax.data.prepared import PreparedSource
from rsisrefiner_jax.errors import UserError
from tests import official_layouts


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """Where prepared data go in these tests; patches are small."""
    folder = tmp_path / "prepared"
    monkeypatch.setenv("RSISREFINER_DATA", str(folder))
    for attribute, size in official_layouts.SMALL_PATCHES.items():
        monkeypatch.setattr(attribute, size)
    return folder


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def scenes(name, split=""):
    source = PreparedSource(name, split)
    return {scene.name: scene for scene in (source[i] for i in range(len(source)))}


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder with a hash of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def regions(mask: np.ndarray) -> list[np.ndarray]:
    """The 8-connected regions of a mask, found by scipy."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    return [labels == i for i in range(1, count + 1)]


def assert_masks(scene, expected: list[tuple[str, np.ndarray]]) -> None:
    """The scene's objects are the expected (category, mask), whatever their order."""
    found = [(item.category, scene.mask(item).tobytes()) for item in scene.objects]
    assert sorted(found) == sorted((name, mask.tobytes()) for name, mask in expected)


ISAID_WINDOWS = {  # y0, y1, x0, x1 of patches of 80 pixels that overlap by 20
    "P0001_0_80_0_80": (0, 80, 0, 80),
    "P0001_0_80_10_90": (0, 80, 10, 90),
    "P0001_20_100_0_80": (20, 100, 0, 80),
    "P0001_20_100_10_90": (20, 100, 10, 90),
    "P0010": (0, 60, 0, 40),
    "P0003_0_50_0_80": (0, 50, 0, 80),
    "P0003_0_50_50_130": (0, 50, 50, 130),
}


def assert_isaid(truth) -> None:
    """All scenes are there, in order, with the picture, ids and classes of their window."""
    found = scenes("isaid")
    assert list(found) == list(ISAID_WINDOWS)
    assert list(scenes("isaid", "val")) == list(ISAID_WINDOWS)[-2:]
    for name, (y0, y1, x0, x1) in ISAID_WINDOWS.items():
        image, ids, colours = (pixels[y0:y1, x0:x1] for pixels in truth[name.split("_")[0]])
        scene = found[name]
        assert np.array_equal(scene.image, image)
        numbers = ids.astype(int) @ [1, 256, 65536]
        assert np.array_equal(scene.labels[..., 0], numbers)
        assert [item.id for item in scene.objects] == np.unique(numbers[numbers > 0]).tolist()
        for item in scene.objects:
            (colour,) = np.unique(colours[scene.mask(item)], axis=0)
            assert official_layouts.ISAID_COLOURS[item.category] == tuple(colour)


@pytest.mark.parametrize("layout", [official_layouts.isaid, official_layouts.isaid_archives])
def test_isaid(source, layout):
    truth = layout(source)
    before = tree(source)
    about = prepare("isaid", str(source))
    assert tree(source) == before  # nothing is written where the archives lie
    assert_isaid(truth)
    objects = [len(scene.objects) for scene in scenes("isaid", "val").values()]
    assert about["splits"]["val"]["objects"] == sum(objects)
    assert about["left_out"] == []
    assert "844" in about["paper"]


def test_isaid_takes_the_authors_patches(source):
    truth = official_layouts.isaid(source / "flat")
    for name, window in ISAID_WINDOWS.items():
        y0, y1, x0, x1 = window
        image, ids, _ = (pixels[y0:y1, x0:x1] for pixels in truth[name.split("_")[0]])
        split = "val" if name.startswith("P0003") else "train"
        folder = source / "iSAID_sam_patches" / split
        official_layouts.save(folder / "images" / f"{name}.png", image)
        official_layouts.save(folder / "Instance_masks" / f"{name}_instance_id_RGB.png", ids)
    from_patches = prepare("isaid", str(source / "iSAID_sam_patches"), called="patches")
    from_scenes = prepare("isaid", str(source / "flat"))
    assert from_patches["object_hash"] == from_scenes["object_hash"]
    by_patch, by_scene = scenes("patches"), scenes("isaid")
    assert list(by_patch) == list(by_scene)
    for name in by_patch:
        assert np.array_equal(by_patch[name].image, by_scene[name].image)
        assert np.array_equal(by_patch[name].labels, by_scene[name].labels)


def test_isaid_without_rasterio(source, root, monkeypatch):
    """Where rasterio is missing OpenCV reads the pictures, to the same bytes."""
    official_layouts.isaid(source)
    prepare("isaid", str(source), str(root / "by_rows"))
    monkeypatch.setattr("rsisrefiner_jax.data.builders.plain_rgb._streamed", None)
    with pytest.raises(TypeError):  # so it was rasterio's turn
        prepare("isaid", str(source), str(root / "neither"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    prepare("isaid", str(source), str(root / "whole"))
    assert tree(root / "by_rows") == tree(root / "whole")


def test_isaid_drops_patches_without_objects(source):
    image, ids, colours = official_layouts.isaid_scene(0, 90, 90)
    ids[:], colours[:] = 0, 0
    ids[85:, 85:], colours[85:, 85:] = (7, 8, 9), (0, 0, 63)
    folder = source / "val" / "images"
    for ending, pixels in (
        ("", image),
        ("_instance_id_RGB", ids),
        ("_instance_color_RGB", colours),
    ):
        official_layouts.save(folder / f"P0007{ending}.png", pixels)
    about = prepare("isaid", str(source))
    assert list(scenes("isaid")) == ["P0007_10_90_10_90"]
    assert about["splits"]["val"]["scenes_without_object"] == 3
    assert about["splits"]["val"]["classes"] == {"ship": 1}


@pytest.mark.parametrize(
    ("images", "labels", "zipped"),
    [
        ("2_Ortho_RGB", "5_Labels_all", True),
        ("4_Ortho_RGBIR", "5_Labels_all", False),
        ("2_Ortho_RGB", "5_Labels_all_noBoundary", False),
    ],
)
def test_potsdam(source, images, labels, zipped):
    truth = official_layouts.potsdam(source, images, labels)
    if zipped:
        official_layouts.pack(source / images, source / f"{images}.zip", inside=images)
        official_layouts.pack(source / labels, source / f"{labels}.zip")  # without a folder in it
    about = prepare("potsdam", str(source))
    for split, tile in (("train", "top_potsdam_2_10"), ("val", "top_potsdam_2_13")):
        found = scenes("potsdam", split)
        windows = [(y, x) for y in (0, 10) for x in (0, 20)]
        assert list(found) == [f"{tile}_{y}_{y + 80}_{x}_{x + 80}" for y, x in windows]
        for (y, x), scene in zip(windows, found.values(), strict=True):
            image, codes = (pixels[y : y + 80, x : x + 80] for pixels in truth[tile])
            assert np.array_equal(scene.image, image)
            assert np.array_equal(scene.ignore, codes == 0)
            assert_masks(
                scene,
                [
                    (name, region)
                    for code, name in enumerate(official_layouts.POTSDAM_COLOURS, start=1)
                    for region in regions(codes == code)
                ],
            )
        assert about["splits"][split]["objects"] == sum(len(s.objects) for s in found.values())


def test_potsdam_of_chosen_classes(source):
    official_layouts.potsdam(source)
    about = prepare("potsdam", str(source), classes=("car", "building"))
    assert set(about["splits"]["train"]["classes"]) == {"building", "car"}
    with pytest.raises(UserError, match=r"no class boat to choose; there are .*car"):
        prepare("potsdam", str(source), called="other", classes=("boat",))


def test_potsdam_ignores_colours_of_no_class(source):
    official_layouts.potsdam(source)
    path = source / "5_Labels_all" / "top_potsdam_2_10_label.tif"
    label = cv2.imread(str(path))
    label[:3] = 252, 255, 255  # as in some official tiles
    cv2.imwrite(str(path), label)
    prepare("potsdam", str(source))
    scene = PreparedSource("potsdam", "train")[0]
    assert scene.ignore[:3].all()
    assert not scene.ignore[3:].any()


def test_potsdam_takes_mmsegmentation_patches(source):
    truth = official_layouts.potsdam_patches(
        source, {"train": "2_10_0_0_512_512", "val": "2_13_0_0_512_512"}, ids=False
    )
    prepare("potsdam", str(source))
    assert list(scenes("potsdam", "val")) == ["2_13_0_0_512_512"]
    for name, scene in scenes("potsdam").items():
        image, codes = truth[name]
        assert np.array_equal(scene.image, image)
        assert np.array_equal(scene.ignore, codes == 0)
        expected = [
            (kind, region)
            for code, kind in enumerate(official_layouts.POTSDAM_COLOURS, start=1)
            for region in regions(codes == code)
        ]
        assert_masks(scene, expected)


def test_potsdam_takes_the_authors_patches(source):
    truth = official_layouts.potsdam_patches(source, {"train_rgb": "a_1", "val": "b_2"}, ids=True)
    prepare("potsdam", str(source))
    assert list(scenes("potsdam", "train")) == ["a_1"]
    for name, scene in scenes("potsdam").items():
        codes = truth[name][1]
        assert_masks(scene, [("", codes == code) for code in np.unique(codes) if code])
        assert [item.id for item in scene.objects] == [
            3 * code + 256 * 2 + 65536 * 5 * code for code in np.unique(codes).tolist() if code
        ]


def test_loveda_urban(source):
    truth = official_layouts.loveda(source)
    prepare("loveda_urban", str(source))
    assert list(scenes("loveda_urban", "val")) == ["3514"]
    found = scenes("loveda_urban")
    assert list(found) == ["1366", "3514"]
    for name, scene in found.items():
        image, codes = truth[name]
        assert np.array_equal(scene.image, image)
        assert np.array_equal(scene.ignore, codes == 0)
        assert_masks(scene, [("building", region) for region in regions(codes == 2)])


def test_whu_building(source):
    truth = official_layouts.whu(source / "a", on=255)
    official_layouts.whu(source / "b", on=1)
    about = prepare("whu_building", str(source / "a"))
    other = prepare("whu_building", str(source / "b"), called="other")
    assert about["object_hash"] == other["object_hash"]
    assert list(about["splits"]) == ["test", "train", "val"]
    for name, scene in scenes("whu_building").items():
        image, mask = truth[name]
        assert np.array_equal(scene.image, image)
        assert_masks(scene, [("building", region) for region in regions(mask)])


@pytest.mark.parametrize(
    ("name", "images", "masks", "split", "category"),
    [
        (
            "whu_building",
            "WHUBuildingTest/image_use",
            "WHUBuildingTest/label_use",
            "test",
            "building",
        ),
        ("loveda_urban", "LoveDA/Urban/images_crop", "LoveDA/Urban/masks_crop", "test", "building"),
        ("nwpu", "NWPU/img_dir_png", "NWPU/ann_dir_rgb", "test", ""),
        ("sandbar", "Sandbar/images/new_val", "Sandbar/masks/new_val", "new_val", "sandbar"),
    ],
)
def test_authors_layouts(source, name, images, masks, split, category):
    truth = official_layouts.authors(source, images, masks)
    about = prepare(name, str(source))
    assert list(about["splits"]) == [split]
    for scene_name, scene in scenes(name).items():
        image, numbers = truth[scene_name]
        assert np.array_equal(scene.image, image)
        ids = [n for n in np.unique(numbers).tolist() if n]
        assert_masks(scene, [(category, numbers == n) for n in ids])
        assert {item.id for item in scene.objects} == {
            n + 256 * 3 * n + 65536 * (n > 3) for n in ids
        }


@pytest.mark.parametrize("zipped", [False, True])
def test_nwpu(source, tmp_path, zipped):
    images, annotations = official_layouts.nwpu(source)
    shutil.copytree(source, tmp_path / "copy")
    if zipped:
        official_layouts.pack(images.parent, source / "NWPU VHR-10 dataset.zip", images.parent.name)
        official_layouts.pack(annotations.parent, source / "coco.zip", annotations.parent.name)
    about = prepare("nwpu", str(source))
    truth = COCO(str(tmp_path / "copy" / annotations.relative_to(source)))
    found = scenes("nwpu", "test")
    assert list(found) == ["001.jpg", "002.jpg", "003.jpg"]
    assert about["splits"]["test"]["classes"] == {"airplane": 3, "vehicle": 3}
    for image_id, scene in enumerate(found.values()):
        path = tmp_path / "copy" / images.relative_to(source) / scene.name
        assert np.array_equal(scene.image, cv2.imread(str(path))[..., ::-1])
        for item, annotation in zip(
            scene.objects, truth.loadAnns(truth.getAnnIds([image_id])), strict=True
        ):
            assert item.id == annotation["id"]
            assert np.array_equal(scene.mask(item), truth.annToMask(annotation))
        assert scene.labels.shape[-1] == 2  # the two polygons overlap


def test_sandbar_takes_coco(source):
    for split in ("train", "val"):
        folder = source / "images" / split
        official_layouts.save(folder / "a.png", official_layouts.picture(0, 40, 50))
        path = source / "annotations" / f"instances_{split}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(official_layouts.coco([("a.png", 40, 50)])))
    about = prepare("sandbar", str(source))
    assert {split: entry["objects"] for split, entry in about["splits"].items()} == {
        "train": 2,
        "val": 2,
    }


def test_pictures_that_need_no_cutting_are_kept_as_files(source, root):
    images, _ = official_layouts.nwpu(source)
    prepare("nwpu", str(source))
    builder = tfds.builder_from_directory(str(root / "nwpu" / "1.0.0"))
    records = builder.as_data_source("test", decoders={"image": tfds.decode.SkipDecoding()})
    for record, path in zip(records, sorted(images.iterdir()), strict=True):
        assert record["image"] == path.read_bytes()
