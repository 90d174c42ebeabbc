"""COCO instance annotations over a folder of pictures.

The JSON is read once; every mask is kept as compressed run lengths and pictures are read when a
scene is asked for, so memory stays near the size of the annotations.
"""

import dataclasses
import os
from typing import Any

import numpy as np
from tqdm import tqdm

from rsisrefiner_jax.data.raster import read_picture
from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.coco import CocoFile
from rsisrefiner_jax.formats.coco_entries import size_problem, stated_size
from rsisrefiner_jax.formats.file_names import files_meant, nearest_file
from rsisrefiner_jax.formats.layers import lay_out
from rsisrefiner_jax.formats.left_out import Problem
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.formats.picture_file import file_problem
from rsisrefiner_jax.formats.raster_info import stored_size


@dataclasses.dataclass(frozen=True)
class _Picture:
    """One entry of the JSON's `images` with its annotations. Masks as `Mask.encode` has them."""

    file_name: str
    size: tuple[int, int]  # height, width
    objects: tuple[tuple[int, str, dict[str, Any]], ...]  # id, category, mask
    crowds: tuple[dict[str, Any], ...]


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

    `formats.coco` says what an object is and which id it has, `formats.file_names` which file the
    name of a picture means.

    Args:
        images_dir: folder that the `file_name`s of the JSON are relative to.
        annotations: the JSON file.
        recipe: how pictures become RGB.

    Raises:
        UserError: no such folder, a file that is not COCO, or nothing in it that can be used.
    """

    def __init__(self, images_dir: str, annotations: str, recipe: Recipe = Recipe()) -> None:
        require(os.path.isdir(images_dir), f"{images_dir}: no such folder of pictures")
        self.images_dir = images_dir
        self.annotations = annotations
        self.pictures_without_objects = 0
        self._recipe = recipe
        file = CocoFile(annotations)
        self.left_out = file.left_out
        self.licence = "; ".join(file.licences) or "not stated"
        self._pictures = self._index(file)
        self._require_files()
        require(
            bool(self._pictures),
            f"{annotations}: no object with a mask in {len(file.images)} images"
            + (f"; {self.left_out.sentence()}" if self.left_out else ""),
        )

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Scene:
        """Reads one scene. Raises UserError when its picture is broken or of another size."""
        picture = self._pictures[index]
        path = os.path.join(self.images_dir, picture.file_name)
        image, valid = read_picture(path, self._recipe)
        height, width = valid.shape
        problem = size_problem(picture.size, (height, width))
        if problem:
            raise UserError(f"{path} {problem.message}")
        ids = [item[0] for item in picture.objects]
        masks = [Mask.decode(item[2]) for item in picture.objects]
        labels, layers = lay_out(ids, masks, picture.size)
        ignore = ~valid
        for crowd in picture.crowds:
            ignore |= Mask.decode(crowd).within(0, 0, width, height) & ~labels.any(axis=-1)
        return Scene(
            name=picture.file_name,
            image=image,
            labels=labels,
            objects=tuple(
                SceneObject(id, layer, category)
                for (id, category, _), layer in zip(picture.objects, layers, strict=True)
            ),
            ignore=ignore,
        )

    def _index(self, file: CocoFile) -> list[_Picture]:
        """The pictures with objects; counts the others, and what cannot be used."""
        files = files_meant([image["file_name"] for image in file.images], self.images_dir)
        pictures: list[_Picture] = []
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
            size = stated_size(image) or stored_size(os.path.join(self.images_dir, name))
            if size is None:
                problem = self._file_problem(name) or Problem("missing-size", "states no size")
                self._leave_out(name, problem, file.count(image))
            elif objects := file.objects(image, size):
                kept = tuple((o.id, o.category, o.mask) for o in objects if o.id and o.mask)
                pictures.append(_Picture(name, size, kept, tuple(file.crowds(image, size))))
            else:
                self.pictures_without_objects += 1
        file.leave_out_rest()
        return pictures

    def _require_files(self) -> None:
        """Leaves out the pictures whose files cannot be used."""
        bar = tqdm(self._pictures, "looking at pictures", unit="file", delay=2, leave=False)
        kept = []
        for picture in bar:
            problem = self._file_problem(picture.file_name, picture.size)
            if problem:
                self._leave_out(picture.file_name, problem, len(picture.objects))
            else:
                kept.append(picture)
        self._pictures = kept

    def _file_problem(self, name: str, size: tuple[int, int] | None = None) -> Problem | None:
        path = os.path.join(self.images_dir, name)
        problem = file_problem(path)
        if problem and problem.trap == "missing-file":
            message = problem.message + nearest_file(name, os.path.dirname(path))
            return problem._replace(message=message)
        actual = stored_size(path) if size and not problem else None
        return size_problem(size, actual) if size and actual else problem

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
