"""LoveDA: the urban scenes, 1024 x 1024 pixels, with class masks."""

from rsisrefiner_jax.data.builders.files import Files
from rsisrefiner_jax.data.builders.layout import (
    PICTURE,
    Layout,
    Request,
    choose,
    matches,
    nothing_found,
    pictures,
)
from rsisrefiner_jax.data.builders.pictures import Pictures
from rsisrefiner_jax.data.builders.regions import ClassMasks, IdMasks

NO_DATA = 0
CLASSES = {
    "background": 1,
    "building": 2,
    "road": 3,
    "water": 4,
    "barren": 5,
    "forest": 6,
    "agriculture": 7,
}


_OFFICIAL = r"/(?P<split>train|val)/urban/{}/(?P<name>[^/]+)\.png$"
_AUTHORS = "/{}/(?P<name>[^/]+)" + PICTURE


def find(request: Request) -> dict[str, Pictures]:
    files = Files(request.source, request.scratch)
    images = matches(files, _OFFICIAL.format("images_png"))
    masks = matches(files, _OFFICIAL.format("masks_png"))
    regions = ClassMasks(choose(CLASSES, request.classes or ("building",)), NO_DATA)
    if splits := pictures(files, images, (masks,), regions):
        return splits
    images = matches(files, _AUTHORS.format("images_crop"))
    masks = matches(files, _AUTHORS.format("masks_crop"))
    if splits := pictures(files, images, (masks,), IdMasks("building")):
        return splits
    raise nothing_found(files, "{Train,Val}/Urban/images_png", LAYOUT.accepted)


LAYOUT = Layout(
    find=find,
    description="LoveDA, urban scenes: 1024 x 1024 pixels with masks of seven kinds of land cover.",
    homepage="https://zenodo.org/records/5706578",
    citation=(
        "Wang et al., LoveDA: A Remote Sensing Land-Cover Dataset for Domain Adaptive "
        "Semantic Segmentation, NeurIPS Datasets and Benchmarks, 2021"
    ),
    accepted=(
        "Train.zip and Val.zip, or {Train,Val}/Urban/{images_png,masks_png}/*.png; the authors' "
        "Urban/{images_crop,masks_crop}"
    ),
    licence="CC BY-NC-SA 4.0; pictures from Google Earth, whose terms apply as well.",
    note=(
        "Each 8-connected region of class building is an object (the paper: no other class can "
        "be used as instances); pixels without data are ignored. The paper's text gives 2049 "
        "objects, its Table II 851; the authors' crops are not published."
    ),
    classes=tuple(CLASSES),
    paper_objects=851,
)
