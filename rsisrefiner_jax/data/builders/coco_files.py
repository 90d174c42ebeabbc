"""Pictures of COCO annotations that lie among downloaded files."""

import os

from rsisrefiner_jax.data.builders.files import Files
from rsisrefiner_jax.data.builders.pictures import SourcePictures
from rsisrefiner_jax.data.coco import CocoSource


def coco_pictures(files: Files, annotations: str, images: list[str]) -> SourcePictures:
    """The pictures of one JSON.

    Args:
        annotations: name of the JSON.
        images: names of all files in the folder of the pictures.
    """
    json_path = os.path.join(files.folder([annotations]), os.path.basename(annotations))
    images_dir = files.folder(images)
    return SourcePictures(CocoSource(images_dir, json_path), images_dir)
