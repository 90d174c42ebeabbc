"""WHU Building: 512 x 512 pixel tiles with building masks."""

import numpy as np

from rsisrefiner_jax.data.builders.files import Files
from rsisrefiner_jax.data.builders.layout import (
    PICTURE,
    Layout,
    Request,
    matches,
    nothing_found,
    pictures,
)
from rsisrefiner_jax.data.builders.pictures import Pictures
from rsisrefiner_jax.data.builders.regions import Annotation, IdMasks, class_regions

_OFFICIAL = "/(?P<split>train|val|test)/{}/(?P<name>[^/]+)" + PICTURE
_AUTHORS = "/{}/(?P<name>[^/]+)" + PICTURE


def find(request: Request) -> dict[str, Pictures]:
    files = Files(request.source, request.scratch)
    images = matches(files, _OFFICIAL.format("image"))
    masks = matches(files, _OFFICIAL.format("label"))
    if splits := pictures(files, images, (masks,), buildings):
        return splits
    images = matches(files, _AUTHORS.format("image_use"))
    masks = matches(files, _AUTHORS.format("label_use"))
    if splits := pictures(files, images, (masks,), IdMasks("building")):
        return splits
    raise nothing_found(files, "{train,val,test}/image with label", LAYOUT.accepted)


def buildings(mask: np.ndarray) -> Annotation:
    """Each region of pixels other than 0 (1 and 255 both occur) is a building."""
    inside = mask > 0 if mask.ndim == 2 else np.any(mask > 0, axis=2)
    return class_regions(np.asarray(inside, np.uint8), {"building": 1})


LAYOUT = Layout(
    find=find,
    description="WHU Building: tiles of 512 x 512 pixels with masks of buildings.",
    homepage="http://gpcv.whu.edu.cn/data/building_dataset.html",
    citation=(
        "Ji, Wei and Lu, Fully Convolutional Networks for Multisource Building Extraction "
        "From an Open Aerial and Satellite Imagery Data Set, IEEE Transactions on Geoscience "
        "and Remote Sensing 57(1), 2019"
    ),
    accepted=(
        "{train,val,test}/{image,label}/*.tif with labels 0/255 or 0/1, zip files or folders; the "
        "authors' WHUBuildingTest/{image_use,label_use}"
    ),
    licence="No statement of licence was found on the data set's page; cite Ji, Wei and Lu (2019).",
    note=(
        "Each 8-connected region of building pixels is an object. The paper evaluates 2559 "
        "buildings of a chosen set of tiles; which ones is not published."
    ),
    paper_objects=2559,
    paper_split="test",
)
