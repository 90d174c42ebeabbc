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
    assert source.pictures_without_objects == 1
    assert source.left_out.sentence() == (
        "1 object (no-mask 1) is left out: annotation 70 has no polygon and no RLE"
    )
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


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", r"instances\.json is empty; fetch"),
        (json.dumps(content())[:-90], r"instances\.json ends early, after [0-9,]+ characters"),
        ("a,b", r"instances\.json is not JSON"),
        ([], "has no lists 'images' and 'annotations'"),
        (broken(lambda d: d.pop("annotations")), "has no lists 'images' and 'annotations'"),
        (broken(lambda d: d.update(annotations=[])), "no object with a mask in 3 images$"),
        (
            broken(lambda d: [image.update(file_name="c.png") for image in d["images"]]),
            r"no object .* 2 pictures \(missing-file 2\) and .* left out: c\.png is not there",
        ),
    ],
)
def test_what_cannot_be_used_at_all_is_named(tmp_path, data, message):
    images, path = write(tmp_path, data)
    with pytest.raises(UserError, match=message) as caught:
        CocoSource(images, path)
    assert "\n" not in str(caught.value)


def test_missing_folder_and_file(tmp_path):
    images, path = write(tmp_path, content())
    with pytest.raises(UserError, match=r"nowhere: no such folder"):
        CocoSource(str(tmp_path / "nowhere"), path)
    with pytest.raises(UserError, match=r"none\.json is not there"):
        CocoSource(images, str(tmp_path / "none.json"))


def entry(key, index=0, **fields):
    return broken(lambda d: d[key][index].update(fields))


def runs(extra):
    return {"size": [H, W], "counts": [*uncompressed(RING)["counts"], extra]}


OBJECTS = {  # annotations that cannot be used
    "annotation-without-image": entry("annotations", image_id=77),
    "degenerate-polygon": entry("annotations", segmentation=[[1, 1, 9, 9]]),
    "no-pixel": entry("annotations", segmentation=[[900, 900, 950, 900, 950, 950]]),
    "broken-segmentation: text": entry("annotations", segmentation="x"),
    "broken-segmentation: far": entry("annotations", segmentation=[[1e9, 0, 0, 1e9, 5, 5]]),
    "broken-segmentation: size": entry("annotations", segmentation={"size": [3], "counts": [9]}),
    "broken-segmentation: runs": entry("annotations", segmentation=runs(5)),
    "malformed-entry": broken(lambda d: d["annotations"][0].pop("image_id")),
}


@pytest.mark.parametrize("problem", OBJECTS)
def test_objects_that_cannot_be_used_are_left_out(tmp_path, problem):
    source = CocoSource(*write(tmp_path, OBJECTS[problem]))
    assert [item.id for item in source[0].objects] == [20, 40, 60]  # 30 is gone
    assert source.left_out.number("object") == 2  # and the box without a mask
    assert problem.partition(":")[0] + " 1" in source.left_out.sentence()


def test_an_entry_without_size_takes_that_of_its_file(tmp_path):
    expected = CocoSource(*write(tmp_path, content()))[1]
    source = CocoSource(*write(tmp_path, broken(lambda d: d["images"][0].pop("width"))))
    np.testing.assert_array_equal(source[1].labels, expected.labels)
    assert source.left_out.number("picture") == 0


def cut(path, end):
    path.write_bytes(path.read_bytes()[:end])


def jpeg(path):
    data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (H, W, 3), np.uint8))[1]
    path.write_bytes(data.tobytes())


def other_size(path):
    cv2.imwrite(str(path), np.zeros((W, H, 3), np.uint8))


FILES = {
    "missing-file": Path.unlink,
    "zero-bytes": lambda path: path.write_bytes(b""),
    "truncated": lambda path: cut(path, -20),
    "truncated: a JPEG": lambda path: (jpeg(path), cut(path, -200)),
    "unreadable": lambda path: path.write_text("<html>"),
    "size-differs": other_size,
}


@pytest.mark.parametrize(
    ("problem", "sized"), [*((name, True) for name in FILES), ("missing-file", False)]
)
def test_pictures_that_cannot_be_used_are_left_out(tmp_path, capsys, problem, sized):
    data = content()
    if not sized:
        del data["images"][0]["height"]
    images, path = write(tmp_path, data)
    FILES[problem](Path(images, "b.png"))
    source = open_source(f"coco:{images},{path}")
    assert [source[i].name for i in range(len(source))] == ["a.png"]
    note = capsys.readouterr().err
    assert note.count("\n") == 1
    assert note.startswith(f"note: coco:{images},{path}: 1 picture (")
    assert f"1 picture ({problem.partition(':')[0]} 1)" in note
    assert "b.png" in note


def test_pictures_that_share_an_id_are_left_out(tmp_path):
    source = CocoSource(*write(tmp_path, entry("images", 2, id=9)))
    assert [source[i].name for i in range(len(source))] == ["a.png"]
    assert source.left_out.number("picture") == 2
    twice = broken(lambda d: d["images"].append(dict(d["images"][0])))
    source = CocoSource(*write(tmp_path, twice))  # the same entry again says nothing new
    assert [source[i].name for i in range(len(source))] == ["a.png", "b.png"]


def test_a_clean_set_makes_no_note(tmp_path, capsys):
    images, path = write(tmp_path, broken(lambda d: d["annotations"].pop(5)))
    open_source(f"coco:{images},{path}")
    assert capsys.readouterr().err == ""


def test_files_that_change_later(tmp_path):
    images, path = write(tmp_path, content())
    source = CocoSource(images, path)
    cv2.imwrite(f"{images}/a.png", np.zeros((H, W + 1, 3), np.uint8))
    with pytest.raises(UserError, match=r"a\.png is 40 x 61 .* says 40 x 60"):
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
    assert [item.id for item in source[0].objects] == [20, 40, 60]
    assert "broken-segmentation 1" in source.left_out.sentence()


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


def test_read_rgb_of_floats_needs_rasterio(tmp_path, monkeypatch):
    monkeypatch.setattr("rsisrefiner_jax.formats.raster_info.installed", lambda: None)
    path = str(tmp_path / "p.tiff")
    cv2.imwrite(path, np.zeros((3, 4), np.float32))
    with pytest.raises(UserError, match=r"p\.tiff: values are float32, .* -e \.\[geo\]"):
        read_rgb(path)


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
