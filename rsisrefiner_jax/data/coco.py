"""COCO instance annotations over a folder of pictures.

The JSON is read once; every mask is kept as compressed run lengths and pictures are read when a
scene is asked for, so memory stays near the size of the annotations.
"""

import os
from typing import Any

import numpy as np

from rsisrefiner_jax.data.annotated_picture import AnnotatedPicture, picture_problem, with_files
from rsisrefiner_jax.data.raster import read_picture
from rsisrefiner_jax.data.scene import Scene
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.coco import CocoFile
from rsisrefiner_jax.formats.coco_entries import stated_size
from rsisrefiner_jax.formats.file_by_name import files_meant
from rsisrefiner_jax.formats.left_out import Problem
from rsisrefiner_jax.formats.raster_info import stored_size


class CocoSource:
    """Scenes of a COCO JSON: pictures in order of image id, objects in order of annotation id.

    Only pictures with at least one object are scenes; `pictures_without_objects` counts the
    others. What cannot be used is left out and counted in `left_out`: pictures that are missing,
    broken by their first and last bytes, of another size than stated, or that share an image id;
    annotations without a pixel, of an unknown image, or with a broken mask. A size that the JSON
    does not state is the file's.

    The parts of a polygon are united, as pycocotools does, but one wholly inside another is a hole
    in it. Pixels of crowd regions that belong to no object, and pixels without data, are
    `Scene.ignore`. Objects that overlap go to the first layer where they fit.

    `formats.coco` says what an object is and which id it has, `formats.file_by_name` which file the
    name of a picture means.

    Args:
        images_dir: folder that the `file_name`s of the JSON are relative to; None: the one that
            the JSON names itself, as that of a whole project does.
        annotations: the JSON file.
        recipe: how pictures become RGB.

    Raises:
        UserError: no such folder, a file that is not COCO, or nothing in it that can be used.
    """

    def __init__(self, images_dir: str | None, annotations: str, recipe: Recipe = Recipe()) -> None:
        def require_folder(folder: str) -> None:
            moved = f"; give coco:IMAGES_DIR,{annotations}" if images_dir is None else ""
            require(os.path.isdir(folder), f"{folder}: no such folder of pictures{moved}")

        if images_dir is not None:
            require_folder(images_dir)
        file = CocoFile(annotations)
        self.images_dir = file.images_dir if images_dir is None else images_dir
        require_folder(self.images_dir)
        self.annotations = annotations
        self.pictures_without_objects = 0
        self._recipe = recipe
        self.left_out = file.left_out
        self.licence = "; ".join(file.licences) or "not stated"
        self._pictures = self._index(file)
        self._pictures = with_files(self._pictures, self.left_out)
        require(
            bool(self._pictures),
            f"{annotations}: no object with a mask in {len(file.images)} images"
            + (f"; {self.left_out.sentence()}" if self.left_out else ""),
        )

    @property
    def pictures(self) -> list[tuple[AnnotatedPicture, Recipe]]:
        """Those of the scenes, and how each becomes RGB."""
        return [(picture, self._recipe) for picture in self._pictures]

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Scene:
        """Reads one scene. Raises UserError when its picture is broken or of another size."""
        return self._pictures[index].scene(self._recipe)

    def _index(self, file: CocoFile) -> list[AnnotatedPicture]:
        """The pictures with objects; counts the others, and what cannot be used."""
        files = files_meant([image["file_name"] for image in file.images], self.images_dir)
        pictures: list[AnnotatedPicture] = []
        seen: set[tuple[Any, str]] = set()
        for image in file.images:
            name = files[image["file_name"]]
            if (image["id"], name) in seen:
                continue  # the same entry twice
            seen.add((image["id"], name))
            if not file.count(image):
                self.pictures_without_objects += 1
                continue
            if image["id"] in file.ambiguous:
                message = f"shares image id {image['id']!r} with another picture"
                self.left_out.add("picture", name, Problem("image-id-twice", message))
                continue
            size = stated_size(image) or stored_size(self._path(name))
            if size is None:
                stateless = Problem("missing-size", "states no size")
                problem = picture_problem(self._path(name)) or stateless
                self._leave_out(name, problem, file.count(image))
            elif objects := file.objects(image, size):
                kept = tuple((o.id, o.category, o.mask) for o in objects if o.id and o.mask)
                crowds = tuple(file.crowds(image, size))
                pictures.append(AnnotatedPicture(name, self._path(name), size, kept, crowds))
            else:
                self.pictures_without_objects += 1
        file.leave_out_rest()
        return pictures

    def _path(self, name: str) -> str:
        return os.path.join(self.images_dir, name)

    def _leave_out(self, name: str, problem: Problem, objects: int) -> None:
        """Counts a picture and its objects."""
        self.left_out.add("picture", name, problem)
        self.left_out.add("object", name, problem, objects)


def read_rgb(path: str, recipe: Recipe = Recipe()) -> np.ndarray:
    """Reads any raster file as uint8 [h, w, 3] RGB; see `raster.read_picture`.

    Grey becomes three equal channels, alpha is dropped, a palette is resolved, an orientation
    tag is not applied. Values of more than 8 bits are stretched as `recipe` says.

    Raises:
        UserError: the file is missing or is not a picture, or is of a kind that needs rasterio.
    """
    return read_picture(path, recipe)[0]
