"""ISPRS Potsdam: 38 orthophotos of 6000 x 6000 pixels with class masks."""

import dataclasses

import numpy as np

from rsisrefiner_jax.data.builders.files import Files
from rsisrefiner_jax.data.builders.layout import (
    PICTURE,
    Key,
    Layout,
    Request,
    choose,
    matches,
    nothing_found,
    pictures,
)
from rsisrefiner_jax.data.builders.pictures import Pictures
from rsisrefiner_jax.data.builders.regions import Annotation, IdMasks, class_regions, packed
from rsisrefiner_jax.formats.label_image import read_label_colours

PATCH = 800  # pixels
CLASSES = {  # RGB; black is the border between regions, where labels have one
    "impervious_surface": 0xFFFFFF,
    "building": 0x0000FF,
    "low_vegetation": 0x00FFFF,
    "tree": 0x00FF00,
    "car": 0xFFFF00,
    "clutter": 0xFF0000,
}
PALETTE = np.array([0, *CLASSES.values(), 0], np.int32)
# The tiles of the benchmark's test set, as mmsegmentation's val; the other 24 are for training.
VAL = (
    *("2_13", "2_14", "3_13", "3_14", "4_13", "4_14", "4_15"),
    *("5_13", "5_14", "5_15", "6_13", "6_14", "6_15", "7_13"),
)
_TILE = r"/(?P<name>top_potsdam_\d+_\d+)_"
_PATCH = r"(?:/(?P<split>train|val)(?:_rgb)?)?/(?P<name>{}[^/]*)" + PICTURE


def find(request: Request) -> dict[str, Pictures]:
    files = Files(request.source, request.scratch)
    regions = Regions(choose(CLASSES, request.classes or tuple(CLASSES)))
    for bands in ("RGB", "RGBIR"):
        for ending in ("label", "label_noBoundary"):
            images, labels = (_by_tile(files, _TILE + end + r"\.tif$") for end in (bands, ending))
            readers = (read_label_colours,)
            if splits := pictures(files, images, (labels,), regions, readers, PATCH):
                return splits
    authors = any("/img_dir/train_rgb/" in f"/{name}" for name in files.names)
    name = _PATCH.format("" if authors else r"\d+_\d+_")
    images, labels = (_by_tile(files, f"/{folder}{name}") for folder in ("img_dir", "ann_dir"))
    if splits := pictures(files, images, (labels,), IdMasks() if authors else regions):
        return splits
    raise nothing_found(files, "top_potsdam_*_RGB.tif with *_label.tif", LAYOUT.accepted)


@dataclasses.dataclass(frozen=True)
class Regions:
    """Each region of a class is an object; pixels of no class, such as borders, are ignored.

    Masks are colours, or mmsegmentation's codes: 0 border, then 1.. in the order of CLASSES.
    """

    classes: dict[str, int]

    def __call__(self, mask: np.ndarray) -> Annotation:
        codes = packed(mask) if mask.ndim == 3 else PALETTE[mask.clip(max=len(CLASSES) + 1)]
        return class_regions(codes, self.classes, ~np.isin(codes, list(CLASSES.values())))


def _by_tile(files: Files, pattern: str) -> dict[Key, str]:
    """As `matches`; where the folder does not say the split, the number of the tile does."""
    found = {}
    for (split, name), file in matches(files, pattern, split="").items():
        tile = "_".join(name.removeprefix("top_potsdam_").split("_")[:2])
        found[split or ("val" if tile in VAL else "train"), name] = file
    return found


LAYOUT = Layout(
    find=find,
    description=(
        "ISPRS Potsdam: 38 orthophotos of 6000 x 6000 pixels at 5 cm with masks of six classes."
    ),
    homepage="https://www.isprs.org/education/benchmarks/UrbanSemLab/",
    citation=(
        "Rottensteiner et al., The ISPRS benchmark on urban object classification and 3D "
        "building reconstruction, ISPRS Annals I-3, 2012"
    ),
    accepted=(
        "2_Ortho_RGB or 4_Ortho_RGBIR (top_potsdam_2_10_RGB.tif) with 5_Labels_all or "
        "5_Labels_all_noBoundary (top_potsdam_2_10_label.tif), zip files or folders; "
        "mmsegmentation's {img_dir,ann_dir}/{train,val}; the authors' "
        "{img_dir,ann_dir}/{train_rgb,val}"
    ),
    licence=(
        "ISPRS benchmark data, given on request for research; the provider (DGPF) is to be named."
    ),
    note=(
        "Patches of 800 x 800 pixels without overlap, the last of a row and column flush with the "
        "border (so they overlap their neighbours). Each 8-connected region of a class within a "
        "patch is an object; pixels of none of the six colours (borders, faults) are ignored. "
        "val is the benchmark's test set of 14 tiles, train the other 24. The paper trains on this "
        "data set and evaluates no part of it."
    ),
    classes=tuple(CLASSES),
)
