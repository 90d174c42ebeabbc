"""CocoSource and the data SPEC strings: what they read, and what they say about bad input."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from rsisrefiner_jax.data.coco import CocoSource, read_rgb
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.errors import UserError

H, W = 40, 60


def rectangle(y0, y1, x0, x1):
    mask = np.zeros((H, W), np.uint8)
    mask[y0:y1, x0:x1] = 1
    return mask


def uncompressed(mask):
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *runs] if flat[0] else runs}


def compressed(mask):
    rle = coco_mask.encode(np.asfortranarray(mask))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


RING = rectangle(20, 36, 2, 20) - rectangle(24, 30, 8, 12)  # a hole


def annotation(id, image_id, segmentation, **more):
    return {
        "id": id,
        "image_id": image_id,
        "category_id": 7,
        "segmentation": segmentation,
        "iscrowd": 0,
        **more,
    }


def content():
    two_parts = [[0, 0, 10, 0, 10, 8, 0, 8], [20, 0, 30, 0, 30, 8, 20, 8]]
    image = {"height": H, "width": W}
    return {
        "images": [
            {"id": 9, "file_name": "b.png", **image},
            {"id": 2, "file_name": "a.png", **image},
            {"id": 5, "file_name": "empty.png", **image},
        ],
        "categories": [{"id": 7, "name": "ship"}],
        "annotations": [
            annotation(30, 2, uncompressed(RING)),
            annotation(20, 2, two_parts),
            annotation(40, 2, compressed(rectangle(4, 12, 5, 25))),  # overlaps 20
            annotation(50, 2, compressed(rectangle(10, 30, 30, 50)), iscrowd=1),
            annotation(60, 2, compressed(rectangle(28, 34, 40, 45))),  # partly in the crowd
            annotation(70, 2, []),  # a box without a mask
            annotation(80, 9, compressed(rectangle(1, 2, 1, 2))),
        ],
    }


def write(folder: Path, data) -> tuple[str, str]:
    """The pictures and `data` (anything JSON, or raw text) under `folder`."""
    images = folder / "images"
    images.mkdir(exist_ok=True)
    picture = np.zeros((H, W, 3), np.uint8)
    picture[..., 2] = 200  # red, in OpenCV's order
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(images / name), picture)
    path = folder / "instances.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return str(images), str(path)


@pytest.fixture
def source(tmp_path):
    return CocoSource(*write(tmp_path, content()))


def test_scenes_are_ordered_and_counted(source):
    assert [source[i].name for i in range(len(source))] == ["a.png", "b.png"]
    assert (source.pictures_left_out, source.objects_left_out) == (1, 1)
    with pytest.raises(IndexError):
        source[2]


def test_every_kind_of_mask(source):
    scene = source[0]
    assert (scene.image == [200, 0, 0]).all()  # RGB
    assert scene.image.dtype == np.uint8
    assert scene.labels.dtype == np.int32
    assert [(item.id, item.category) for item in scene.objects] == [
        (20, "ship"),
        (30, "ship"),
        (40, "ship"),
        (60, "ship"),
    ]
    masks = {item.id: scene.mask(item) for item in scene.objects}
    np.testing.assert_array_equal(masks[20], rectangle(0, 8, 0, 10) + rectangle(0, 8, 20, 30))
    np.testing.assert_array_equal(masks[30], RING)
    np.testing.assert_array_equal(masks[40], rectangle(4, 12, 5, 25))


def test_overlap_makes_a_layer_only_where_needed(source):
    assert source[0].labels.shape == (H, W, 2)
    assert [item.layer for item in source[0].objects] == [0, 0, 1, 0]
    assert source[1].labels.shape == (H, W, 1)


def test_crowd_is_ignored_but_not_under_an_object(source):
    expected = rectangle(10, 30, 30, 50) - rectangle(28, 30, 40, 45)
    np.testing.assert_array_equal(source[0].ignore, expected)
    assert not source[1].ignore.any()


@pytest.mark.parametrize("odd_id", [2**31, 80, "x", 0])
def test_ids_that_do_not_fit_become_running_numbers(tmp_path, odd_id):
    data = content()
    data["annotations"][0]["id"] = odd_id
    source = CocoSource(*write(tmp_path, data))
    assert [item.id for item in source[0].objects] == [1, 2, 3, 4]


def broken(change):
    data = content()
    change(data)
    return data


SMALL = {"size": [3, 3], "counts": [9]}
MISFITS = [
    ("{", "instances.json: cannot be read as JSON"),
    ([], "'images' or 'annotations' is missing"),
    (broken(lambda d: d.pop("annotations")), "'images' or 'annotations' is missing"),
    (broken(lambda d: d["images"][0].pop("width")), "not COCO .*width"),
    (broken(lambda d: d.update(annotations=[])), "no object with a mask in its 3 images"),
    (broken(lambda d: d["images"][1].update(file_name="c.png")), "1 of the 2 .* is c.png"),
    (broken(lambda d: d["annotations"][0].update(segmentation=SMALL)), "annotation 30 has an RLE"),
    (
        broken(lambda d: d["annotations"][0].update(segmentation=[[1e9, 0, 0, 1e9, 5, 5]])),
        "far out",
    ),
    (broken(lambda d: d["annotations"][0].update(segmentation="x")), "annotation 30 .*neither"),
    (
        broken(lambda d: d["annotations"][0]["segmentation"]["counts"].append(5)),
        "annotation 30 .*neither",
    ),
]


@pytest.mark.parametrize(("data", "message"), MISFITS)
def test_bad_annotations_are_named(tmp_path, data, message):
    images, path = write(tmp_path, data)
    with pytest.raises(UserError, match=message) as caught:
        CocoSource(images, path)
    assert "\n" not in str(caught.value)


def test_missing_folder_and_file(tmp_path):
    images, path = write(tmp_path, content())
    with pytest.raises(UserError, match=r"nowhere: no such folder"):
        CocoSource(str(tmp_path / "nowhere"), path)
    with pytest.raises(UserError, match=r"none\.json: no such annotation file"):
        CocoSource(images, str(tmp_path / "none.json"))


def test_picture_of_another_size_and_broken_picture(tmp_path):
    images, path = write(tmp_path, content())
    source = CocoSource(images, path)
    cv2.imwrite(f"{images}/a.png", np.zeros((H, W + 1, 3), np.uint8))
    with pytest.raises(UserError, match=r"a\.png: the picture is 40 x 61 .* says 40 x 60"):
        source[0]
    Path(images, "b.png").write_text("not a picture")
    with pytest.raises(UserError, match=r"b\.png: not a picture"):
        source[1]


def test_run_lengths_beyond_the_picture(tmp_path):
    data = content()
    larger = np.zeros((2 * H, W), np.uint8)
    larger[10:20, 50:60] = 1
    data["annotations"][0]["segmentation"] = compressed(larger) | {"size": [H, W]}
    source = CocoSource(*write(tmp_path, data))
    with pytest.raises(UserError, match=r"instances\.json: an RLE of a\.png does not fit 40 x 60"):
        source[0]


def test_read_rgb_takes_grey_alpha_and_16_bit(tmp_path):
    path = str(tmp_path / "p.png")
    cv2.imwrite(path, np.full((3, 4), 9, np.uint8))
    np.testing.assert_array_equal(read_rgb(path), np.full((3, 4, 3), 9))
    cv2.imwrite(path, np.full((3, 4, 4), (1, 2, 3, 0), np.uint8))
    np.testing.assert_array_equal(read_rgb(path)[0, 0], [3, 2, 1])
    ramp = np.arange(1000, 2000, dtype=np.uint16).reshape(20, 50)
    cv2.imwrite(path, ramp)
    grey = read_rgb(path)[..., 0].ravel()
    assert grey[0] == 0
    assert grey[-1] == 255
    assert grey[500] == pytest.approx(127, abs=2)
    path = str(tmp_path / "p.tiff")
    cv2.imwrite(path, np.zeros((3, 4), np.float32))
    with pytest.raises(UserError, match=r"p\.tiff: pixels are float32"):
        read_rgb(path)


def test_spec_opens_coco(tmp_path):
    images, path = write(tmp_path, content())
    assert len(open_source(f"coco:{images},{path}")) == 2


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("isaid:train", "'isaid:train' is not prepared .* coco:IMAGES_DIR,ANNOTATIONS.json"),
        ("synthetik", "unknown data set 'synthetik'; did you mean 'synthetic'"),
        ("synthetic:trian", "did you mean 'train'"),
        ("coco:only_one", "expected coco:IMAGES_DIR,ANNOTATIONS.json"),
        ("", "unknown data set ''; known: "),
    ],
)
def test_spec_errors_say_the_way_out(spec, message):
    with pytest.raises(UserError, match=message):
        open_source(spec)


def test_a_ring_inside_another_is_a_hole(tmp_path):
    def square(low, high):
        return [low, low, high, low, high, high, low, high]

    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 40, 3), np.uint8))
    rings = [square(4, 36), square(10, 30), square(15, 25)]  # an island in the hole
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": rings}
    data = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 40}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "pond"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(data))
    scene = CocoSource(str(tmp_path), str(tmp_path / "a.json"))[0]
    mask = scene.mask(scene.objects[0])
    assert mask[5, 5]
    assert not mask[12, 12]
    assert mask[20, 20]
    assert mask.sum() == 32**2 - 20**2 + 10**2
