"""Masks of ids and of classes: the same objects in training and in the annotator."""

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi")
import rasterio
from PIL import Image

from rsisrefiner_jax.data.mask_folders import ClassFolderSource, InstanceFolderSource
from rsisrefiner_jax.errors import UserError
from tests.both_readers import alike, areas, imported, read, trained

H, W = 30, 40


@pytest.fixture
def folders(tmp_path):
    """A picture, and an empty folder for its mask."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "scene.png"), np.zeros((H, W, 3), np.uint8))
    return tmp_path


def ids_of(folders, mask: Path):
    """The objects of an id mask, which both readers agree on."""
    found = trained(f"instances:{folders / 'images'},{folders / 'masks'}")
    alike(found, imported(folders / "images" / "scene.png", mask, "ids"))
    return found


def write_tif(path, bands, **profile):
    bands = np.asarray(bands).reshape(-1, H, W)
    about = {"count": len(bands), "height": H, "width": W, "dtype": bands.dtype} | profile
    tags = about.pop("tags", {})
    with rasterio.open(path, "w", driver="GTiff", **about) as file:
        file.write(bands)
        file.update_tags(**tags)
    return path


def some_ids(dtype=np.uint8):
    ids = np.zeros((H, W), dtype)
    ids[2:6, 2:6] = 3
    ids[10:20, 10:30] = 200
    return ids


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "uint32", "int16", "int32", "float32", "float64"]
)
def test_numbers_of_any_type(folders, dtype):
    path = write_tif(folders / "masks" / "scene.tif", some_ids(dtype))
    assert areas(ids_of(folders, path)) == {3: 16, 200: 200}


@pytest.mark.parametrize(
    ("dtype", "value", "nodata"),
    [
        ("uint8", 255, 255),
        ("int16", -9999, -9999),
        ("int32", -1, None),
        ("float32", np.nan, None),
        ("float64", np.nan, np.nan),
        ("float64", -9999, -9999),
        ("uint16", 65535, 65535),
    ],
)
def test_no_data_is_no_object_and_not_trained_on(folders, dtype, value, nodata):
    ids = some_ids(dtype)
    ids[:, 35:] = value
    path = write_tif(folders / "masks" / "scene.tif", ids, nodata=nodata)
    assert areas(ids_of(folders, path)) == {3: 16, 200: 200}
    source = InstanceFolderSource(str(folders / "images"), str(folders / "masks"))
    assert source[0].ignore[:, 35:].all()
    assert source[0].ignore.sum() == 5 * H


def test_no_data_0_is_the_background(folders):
    path = write_tif(folders / "masks" / "scene.tif", some_ids(), nodata=0)
    assert areas(ids_of(folders, path)) == {3: 16, 200: 200}
    source = InstanceFolderSource(str(folders / "images"), str(folders / "masks"))
    assert not source[0].ignore.any()


def test_numbers_that_are_not_whole(folders):
    path = write_tif(folders / "masks" / "scene.tif", some_ids(np.float32) / 2 + 0.25)
    for get in (lambda: trained(f"instances:{path.parents[1] / 'images'},{path.parent}"),):
        with pytest.raises(UserError, match="values are float32 and not whole numbers"):
            get()
    with pytest.raises(UserError, match="values are float32 and not whole numbers"):
        read(folders / "images" / "scene.png", path, "ids")


def test_ids_beyond_32_bits_are_numbered(folders):
    ids = some_ids(np.uint32)
    ids[ids == 200] = 4_000_000_000
    path = write_tif(folders / "masks" / "scene.tif", ids)
    assert areas(ids_of(folders, path)) == {1: 16, 2: 200}


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_colours_are_ids(folders, ending, alpha):
    """iSAID's masks: R + 256 G + 65536 B."""
    pixels = np.zeros((H, W, 4), np.uint8)
    pixels[..., 3] = 255
    for number, colour in enumerate([(1, 0, 0), (0, 1, 0), (44, 1, 0), (5, 0, 2)]):
        pixels[2:6, 6 * number : 6 * number + 4, :3] = colour
    pixels[20:, :, 3] = 0  # transparent, and colours under it
    pixels[20:, :, :3] = 77
    path = folders / "masks" / f"scene.{ending}"
    kept = pixels if alpha else np.where(pixels[..., 3:] > 0, pixels, 0)[..., :3]
    if ending == "png":
        Image.fromarray(kept).save(path)
    else:
        photometric = {"photometric": "RGB"} | ({"alpha": "yes"} if alpha else {})
        write_tif(path, np.moveaxis(kept, -1, 0), **photometric)
    assert areas(ids_of(folders, path)) == {id: 16 for id in (1, 256, 300, 5 + 2 * 65536)}


def test_grey_with_alpha(folders):
    pixels = np.dstack([some_ids(), np.full((H, W), 255, np.uint8)])
    pixels[20:] = (9, 0)
    Image.fromarray(pixels, "LA").save(folders / "masks" / "scene.png")
    assert areas(ids_of(folders, folders / "masks" / "scene.png")) == {3: 16, 200: 200}
    (folders / "masks" / "scene.png").unlink()
    path = write_tif(folders / "masks" / "scene.tif", np.moveaxis(pixels, -1, 0), alpha="yes")
    assert areas(ids_of(folders, path)) == {3: 16, 200: 200}


@pytest.mark.parametrize("dtype", ["uint8", "uint32"])
def test_layers_hold_what_overlaps(folders, dtype):
    layers = np.zeros((2, H, W), dtype)
    layers[0] = some_ids(dtype)
    layers[1, 15:25, 15:25] = 7
    layers[1, 0, 0] = 3  # an object in two layers
    path = write_tif(folders / "masks" / "scene.tif", layers)
    assert areas(ids_of(folders, path)) == {3: 17, 7: 100, 200: 200}


def test_layers_in_several_files(folders):
    other = np.zeros((H, W), np.uint16)
    other[15:25, 15:25] = 7
    cv2.imwrite(str(folders / "masks" / "scene_ids.png"), some_ids(np.uint16))
    cv2.imwrite(str(folders / "masks" / "scene_ids_2.png"), other)
    found = ids_of(folders, folders / "masks" / "scene_ids.png")
    assert areas(found) == {3: 16, 7: 100, 200: 200}


def class_mask():
    """One region touches itself at a corner, one is a diagonal line, one stands alone."""
    mask = np.zeros((H, W), np.uint8)
    mask[2:5, 2:5] = mask[5:8, 5:8] = 2
    mask[10:28, 10:28][np.eye(18, dtype=bool)] = 2
    mask[0, 39] = 2
    mask[20:, 30:] = 5
    return mask


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_regions_of_classes(folders, ending):
    path = folders / "masks" / f"scene.{ending}"
    Image.fromarray(class_mask()).save(path)
    spec = f"classes:{folders / 'images'},{folders / 'masks'},class="
    both = imported(folders / "images" / "scene.png", path, "classes")
    by_class = [list(trained(spec + str(code)).values()) for code in (2, 5)]
    assert [len(found) for found in by_class] == [3, 1]
    alike(dict(enumerate([*by_class[0], *by_class[1]], 1)), both)
    assert len(read(folders / "images" / "scene.png", path, "binary").items) == 4


def test_classes_as_colours(folders):
    pixels = np.zeros((H, W, 3), np.uint8)
    pixels[class_mask() == 2] = (0, 63, 255)
    Image.fromarray(pixels).save(folders / "masks" / "scene.png")
    found = trained(f"classes:{folders / 'images'},{folders / 'masks'},class=#003FFF")
    path = folders / "masks" / "scene.png"
    alike(found, imported(folders / "images" / "scene.png", path, "classes"))
    assert {name for name, _ in found.values()} == {"#003FFF"}


def test_classes_that_a_mask_names(folders):
    tags = {"RSISREFINER": "classes", "class_2": "roof", "class_5": "unclassified"}
    path = write_tif(folders / "masks" / "scene_classes.tif", class_mask(), tags=tags)
    images, masks = str(folders / "images"), str(folders / "masks")
    by_name, by_number = (ClassFolderSource(images, masks, value)[0] for value in ("roof", 2))
    assert [item.category for item in by_name.objects] == ["roof"] * 3
    np.testing.assert_array_equal(by_name.labels, by_number.labels)
    found = imported(folders / "images" / "scene.png", path)
    assert [name for name, _ in found.values()] == ["roof", "roof", "roof", ""]
    with pytest.raises(UserError, match=r"nor a class that the masks name \(roof, unclassified\)"):
        ClassFolderSource(images, masks, "tree")


def test_a_mask_that_lies_elsewhere_is_said(tmp_path):
    from rasterio.transform import Affine

    here = {"crs": "EPSG:32632", "transform": Affine(1, 0, 500_000, 0, -1, 5_000_000)}
    there = here | {"transform": Affine(1, 0, 500_100, 0, -1, 5_000_000)}
    picture = write_tif(tmp_path / "scene.tif", np.zeros((3, H, W), np.uint8), **here)
    for about, notes in ((here, 0), (there, 1), ({}, 0)):
        reading = read(picture, write_tif(tmp_path / "mask.tif", some_ids(), **about))
        assert (len(reading.items), len(reading.doubts)) == (2, notes)
    assert (
        "places it 100 pixels away"
        in read(picture, write_tif(tmp_path / "mask.tif", some_ids(), **there)).doubts[0]
    )
