"""Does a file belong to this image, and what becomes of objects that are there already."""

import json

import numpy as np
import pytest

pytest.importorskip("fastapi")

from rsisrefiner_jax.annotate.importing.repeats import repeats
from rsisrefiner_jax.formats.masks import Mask
from tests import annotating
from tests.annotating import HEIGHT, WIDTH
from tests.edits import history, move, objects, ok


def box(left, top, right, bottom):
    return Mask(left, top, np.ones((bottom - top, right - left), bool))


def masks(client):
    return {item["id"]: annotating.pixels(item) for item in objects(client)}


@pytest.fixture
def start(tmp_path):
    """A server with two objects on its image, of which the first has a class."""
    annotating.raster(tmp_path)
    here = annotating.context(tmp_path)
    here.project.add_image(tmp_path / "scene.tif")
    items = annotating.items([box(0, 0, 20, 10), box(30, 0, 50, 20)], attributes={"note": "a"})
    items[0]["class"] = "roof"
    here.project.import_objects(1, items)
    yield annotating.client(here), here
    here.project.close()


def send(client, name, content, action="import", **fields):
    path = f"/api/images/1/{action}"
    return client.post(path, files={"file": (name, content)}, data=fields)


def coco(boxes, name="scene.tif"):
    """A COCO file of boxes."""
    image = {"id": 1, "file_name": name, "width": WIDTH, "height": HEIGHT}
    rings = [[x, y, r, y, r, b, x, b] for x, y, r, b in boxes]
    annotations = [{"image_id": 1, "segmentation": [ring]} for ring in rings]
    return json.dumps({"images": [image], "annotations": annotations}).encode()


@pytest.mark.parametrize("name", ["coco", "gpkg", "ids-tif"])
def test_a_repeated_import_does_not_double(start, name):
    """Own exports: each object has its pixels, and by default nothing comes."""
    client, _ = start
    exported = client.get("/api/images/1/export", params={"format": name})
    file = exported.headers["content-disposition"].split('filename="')[1].split('"')[0]
    before, events = masks(client), history(client)
    seen = ok(send(client, file, exported.content, "import/preview"))
    assert seen == {
        "objects": 2,
        "skipped": 0,
        "box": [0, 0, 50, 20],
        "repeated": 2,
        "identical": 2,
        "doubts": [],
        "notes": [],
    }
    reply = ok(send(client, file, exported.content))
    assert (reply["objects"], reply["replaced"], reply["skipped"]) == (0, 0, 2)
    assert reply["notes"] == [
        "2 objects of the file lie on objects that were there and were left out"
    ]
    assert history(client) == events
    assert masks(client).keys() == before.keys()
    assert ok(send(client, file, exported.content, repeated="add"))["objects"] == 2
    assert len(masks(client)) == 4
    refused_kind = send(client, file, exported.content, repeated="perhaps")
    annotating.refused(refused_kind, "repeated: one of skip, replace, add")


def test_objects_that_lie_on_others_take_their_place(start):
    """One is 4 columns further right (IoU 2/3), one is new; undo takes both back."""
    client, here = start
    first, second = objects(client)
    content = coco([(4, 0, 24, 10), (60, 30, 80, 50)])
    seen = ok(send(client, "a.json", content, "import/preview"))
    assert (seen["objects"], seen["repeated"], seen["identical"]) == (2, 1, 0)
    assert seen["box"] == [4, 0, 80, 50]
    reply = ok(send(client, "a.json", content, repeated="replace"))
    assert (reply["objects"], reply["replaced"], reply["skipped"]) == (2, 1, 0)
    moved, same, new = objects(client)
    assert (moved["id"], same, new["id"]) == (first["id"], second, 3)
    assert moved["bbox"] == [4, 0, 24, 10]
    assert (moved["class_id"], moved["attributes"]) == (first["class_id"], first["attributes"])
    here.project.close()
    again = annotating.context(here.project.folder.parent)
    client = annotating.client(again)
    assert objects(client) == [moved, same, new]
    assert move(client, "undo")["label"] == "import of 2 objects"
    assert objects(client) == [first, second]
    move(client, "redo")
    assert objects(client) == [moved, same, new]
    again.project.close()


def test_an_object_that_changed_meanwhile_is_not_replaced(start):
    client, here = start
    old = here.project.objects(1)[0]
    ok(client.patch("/api/objects/1", json={"attributes": {}}))
    with pytest.raises(Exception, match="object 1 was changed meanwhile; import again"):
        here.project.import_objects(1, annotating.items([box(0, 0, 9, 9)]), {0: old})
    assert len(masks(client)) == 2


def mask_file(tmp_path, **ground):
    ids = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    ids[0, 40:50, 40:50] = 1
    ids[0, 40:50, 60:70] = 2
    return annotating.raster(tmp_path / "masks", "m.tif", ids, **ground).read_bytes()


def test_files_of_other_images_are_doubted(start, tmp_path):
    client, _ = start
    away = annotating.TURNED @ annotating.Affine.translation(100, 0)
    files = {
        "m.tif": (mask_file(tmp_path, transform=away), "places it 100 pixels away from scene.tif"),
        "a.json": (coco([(60, 30, 80, 50)], "other.tif"), "an image called other.tif"),
        "other.txt": (b"0 .1 .9 .2 .9 .2 .8\n", "other.txt is not called scene.txt"),
    }
    for name, (content, words) in files.items():
        (doubt,) = ok(send(client, name, content, "import/preview"))["doubts"]
        assert words in doubt
    assert len(objects(client)) == 2
    for name, (content, words) in files.items():
        assert words in ok(send(client, name, content))["notes"][0]
    assert not ok(send(client, "m.tif", mask_file(tmp_path), "import/preview"))["doubts"]
    assert not ok(send(client, "scene.txt", files["other.txt"][0], "import/preview"))["doubts"]
    annotating.refused(send(client, "a.json", b"{}", "import/preview"), "a.json has no lists")


def test_masks_that_lie_on_one_another():
    """The most alike first, and no two on the same one."""
    there = [box(0, 0, 10, 10), box(0, 0, 10, 8), box(50, 50, 60, 60), box(0, 0, 60, 60)]
    found = [box(0, 0, 10, 9), box(0, 0, 10, 10), box(50, 50, 60, 54), box(51, 50, 61, 60)]
    on = repeats([mask.encode() for mask in found], [mask.encode() for mask in there])
    assert on == {1: (0, 1.0), 0: (1, pytest.approx(8 / 9)), 3: (2, pytest.approx(9 / 11))}
    assert repeats([], [mask.encode() for mask in there]) == {}
