"""The objects that are outlined for this project."""

import json
from collections import Counter
from pathlib import Path

import pycocotools.mask
import pytest

import rsisrefiner_jax

FOLDER = Path(rsisrefiner_jax.__file__).parent / "data" / "annotations"


@pytest.mark.parametrize("path", FOLDER.glob("*.json"), ids=lambda path: path.stem)
def test_annotations_are_whole_and_free(path):
    content = json.loads(path.read_text())
    assert [licence["name"] for licence in content["licenses"]] == ["CC0 1.0"]
    images = {image["id"]: image for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    assert len({image["file_name"] for image in images.values()}) == len(images)
    for annotation in content["annotations"]:
        image, rle = images[annotation["image_id"]], annotation["segmentation"]
        assert rle["size"] == [image["height"], image["width"]]
        assert pycocotools.mask.area(rle) == annotation["area"] > 0
    assert len({annotation["id"] for annotation in content["annotations"]}) == len(
        content["annotations"]
    )
    # No object is drawn twice.
    for id in images:
        masks = [a["segmentation"] for a in content["annotations"] if a["image_id"] == id]
        overlaps = pycocotools.mask.iou(masks, masks, [0] * len(masks))
        assert (overlaps - (overlaps == 1) < 0.5).all()
        assert (overlaps == 1).sum() == len(masks)
    count = Counter(names[annotation["category_id"]] for annotation in content["annotations"])
    assert min(count.values()) >= 20, count
