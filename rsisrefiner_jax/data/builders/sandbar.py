"""SandBar: river sandbars in Landsat-8 and GF-2 pictures of 512 x 512 pixels."""

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

_SPLIT = re.compile(r"(new_val|train|val|test)", re.IGNORECASE)


def find(request: Request) -> dict[str, Pictures]:
    files = Files(request.source, request.scratch)
    images, masks = (
        matches(files, rf"/{folder}/(?P<split>\w+)/(?P<name>[^/]+){PICTURE}")
        for folder in ("images", "masks")
    )
    if splits := pictures(files, images, (masks,), IdMasks("sandbar")):
        return splits
    for annotations in (name for name in files.names if name.lower().endswith(".json")):
        match = _SPLIT.search(os.path.basename(annotations)) or _SPLIT.search(annotations)
        split = match[1].lower() if match else "test"
        if own := _images(files, split):
            splits.setdefault(split, coco_pictures(files, annotations, own))
    if not splits:
        raise nothing_found(files, "images/new_val with masks/new_val", LAYOUT.accepted)
    return splits


def _images(files: Files, split: str) -> list[str]:
    """The files of the picture folder of a split, or of the only one there is."""
    folders: dict[str, list[str]] = {}
    for name in files.names:
        if re.search(PICTURE, name, re.IGNORECASE):
            folders.setdefault(os.path.dirname(name), []).append(name)
    own = [folder for folder in folders if split in folder.lower().split("/")[-2:]]
    chosen = own or (list(folders) if len(folders) == 1 else [])
    return folders[chosen[0]] if chosen else []


LAYOUT = Layout(
    find=find,
    description="SandBar: river sandbars in Landsat-8 and GF-2 pictures of 512 x 512 pixels.",
    accepted=(
        "the authors' {images,masks}/{train,val,new_val}; or COCO: a JSON whose name has the "
        "split in it and a folder of pictures of that name"
    ),
    licence="Terms are not published; the authors of the paper share the data on request.",
    note=(
        "Each id (or annotation) is an object. The paper evaluates 663 objects of the split "
        "new_val."
    ),
    paper_objects=663,
    paper_split="new_val",
)
