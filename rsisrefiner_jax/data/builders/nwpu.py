"""NWPU VHR-10: the positive image set, with the instance masks of VHR-10_dataset_coco."""

import os
import re

from rsisrefiner_jax.data.builders.coco_files import coco_pictures
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
from rsisrefiner_jax.data.builders.regions import IdMasks


def find(request: Request) -> dict[str, Pictures]:
    files = Files(request.source, request.scratch)
    found = [name for name in files.names if os.path.basename(name) == "annotations.json"]
    folder = re.compile(r"(^|/)positive image set/[^/]+\.jpe?g$", re.IGNORECASE)
    images = [name for name in files.names if folder.search(name)]
    if found and images:
        same = os.path.dirname(images[0])
        images = [name for name in images if os.path.dirname(name) == same]
        return {"test": coco_pictures(files, found[0], images)}
    patches, masks = (
        matches(files, f"/{folder}/(?P<name>[^/]+){PICTURE}")
        for folder in ("img_dir_png", "ann_dir_rgb")
    )
    if splits := pictures(files, patches, (masks,), IdMasks()):
        return splits
    wanted = "annotations.json" if images else "folder 'positive image set' of jpg files"
    raise nothing_found(files, wanted, LAYOUT.accepted)


LAYOUT = Layout(
    find=find,
    description="NWPU VHR-10, positive image set: 650 pictures, outlined objects of ten classes.",
    homepage="https://github.com/chaozhong2010/VHR-10_dataset_coco",
    citation=(
        "Cheng et al., Multi-class geospatial object detection and geographic image "
        "classification based on collection of part detectors, ISPRS Journal of "
        "Photogrammetry and Remote Sensing 98, 2014"
    ),
    accepted=(
        "'positive image set' (001.jpg ... 650.jpg) with annotations.json of "
        "github.com/chaozhong2010/VHR-10_dataset_coco, zip files or folders; the authors' "
        "NWPU/{img_dir_png,ann_dir_rgb}"
    ),
    licence=(
        "Pictures: NWPU VHR-10, for research only, from Google Earth and the ISPRS Vaihingen data. "
        "Masks: VHR-10_dataset_coco, MIT."
    ),
    note=(
        "Each annotation is an object. The paper's Table II gives 2049 objects, its text 851; how "
        "they were chosen from the 3921 of the positive image set is not published."
    ),
    paper_objects=2049,
)
