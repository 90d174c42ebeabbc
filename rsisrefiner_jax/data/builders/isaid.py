"""iSAID: pictures of DOTA-v1.0, instance and class masks of the iSAID site."""

import numpy as np

from rsisrefiner_jax.data.builders.files import Files
from rsisrefiner_jax.data.builders.layout import (
    Layout,
    Request,
    matches,
    nothing_found,
    pictures,
)
from rsisrefiner_jax.data.builders.pictures import Pictures
from rsisrefiner_jax.data.builders.regions import Annotation, numbered, packed
from rsisrefiner_jax.formats.label_image import instance_ids, read_label_colours, read_labels

PATCH, OVERLAP = 800, 200  # pixels
SKIPPED = ("P1527", "P1530")  # as the development kit does
COLOURS = {  # RGB, of Semantic_masks
    0x00003F: "ship",
    0x003F3F: "storage_tank",
    0x003F00: "baseball_diamond",
    0x003F7F: "tennis_court",
    0x003FBF: "basketball_court",
    0x003FFF: "ground_track_field",
    0x007F3F: "bridge",
    0x007F7F: "large_vehicle",
    0x00007F: "small_vehicle",
    0x0000BF: "helicopter",
    0x0000FF: "swimming_pool",
    0x00BF7F: "roundabout",
    0x007FBF: "soccer_ball_field",
    0x007FFF: "plane",
    0x00649B: "harbor",
}
_FILE = r"/(?P<split>train|val)/(?:.*/)?(?P<name>P\d+(?:_\d+)*)"


def find(request: Request) -> dict[str, Pictures]:
    files = Files(request.source, request.scratch)
    images, ids, colours = (
        {key: file for key, file in matches(files, _FILE + ending).items() if key[1] not in SKIPPED}
        for ending in (r"\.png$", r"_instance_id_RGB\.png$", r"_instance_color_RGB\.png$")
    )
    readers = (read_labels, read_label_colours)
    splits = pictures(files, images, (ids, colours), annotate, readers, PATCH, OVERLAP)
    if not splits:
        raise nothing_found(files, "P0000.png with P0000_instance_id_RGB.png", LAYOUT.accepted)
    return splits


def annotate(id_mask: np.ndarray, colours: np.ndarray | None = None) -> Annotation:
    """Every id is an object, of the class that most of its pixels are coloured in."""
    ids = instance_ids(id_mask)
    if colours is None:
        return numbered(ids)
    inside = ids != 0
    both = ids[inside].astype(np.int64) << 24 | packed(colours)[inside]
    pairs, counts = np.unique(both, return_counts=True)
    categories = {
        int(pair >> 24): COLOURS.get(int(pair & 0xFFFFFF), "")
        for pair in pairs[np.argsort(counts, kind="stable")]  # the most frequent comes last
    }
    return numbered(ids, categories)


LAYOUT = Layout(
    find=find,
    description=(
        "iSAID: 2 806 aerial pictures of DOTA-v1.0 with 655 451 outlined objects of 15 classes."
    ),
    homepage="https://captain-whu.github.io/iSAID/",
    citation=(
        "Waqas Zamir et al., iSAID: A Large-scale Dataset for Instance Segmentation in Aerial "
        "Images, CVPR Workshops, 2019"
    ),
    accepted=(
        "{train,val}/images/*.zip or *.png (DOTA-v1.0) with "
        "{train,val}/Instance_masks/images.zip or P0000_instance_id_RGB.png and "
        "{train,val}/Semantic_masks/images.zip or P0000_instance_color_RGB.png; the development "
        "kit's {train,val}/images/ with all three side by side; the authors' iSAID_sam_patches"
    ),
    licence=(
        "Pictures: DOTA, from Google Earth and others, for academic purposes only, any commercial "
        "use is prohibited. Masks: iSAID, for academic purposes only."
    ),
    note=(
        "Patches of 800 x 800 pixels with an overlap of 200, cut and named as the development kit "
        "does, except that a side of at most 800 pixels does not keep the other side from being "
        "cut. Each id within a patch is an object, however small. P1527 and P1530 are left out, "
        "as the development kit does. The paper evaluates 844 objects of val; which ones is not "
        "published."
    ),
    paper_objects=844,
    paper_split="val",
)
