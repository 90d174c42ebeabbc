"""COCO instance annotations over a folder of pictures.

The JSON is read once; every mask is kept as compressed run lengths and pictures are read when a
scene is asked for, so memory stays near the size of the annotations.
"""

import dataclasses
import os
from collections import defaultdict
from typing import Any

import numpy as np
from tqdm import tqdm

from rsisrefiner_jax.data.raster import read_picture
from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.coco_entries import (
    Entry,
    category_of,
    read_json,
    shared_ids,
    size_problem,
    sound_entries,
    stated_size,
)
from rsisrefiner_jax.formats.coco_masks import decode, encode, lay_out
from rsisrefiner_jax.formats.left_out import Kind, LeftOut, Problem
from rsisrefiner_jax.formats.picture_file import file_problem
from rsisrefiner_jax.formats.raster_info import stored_size


@dataclasses.dataclass(frozen=True)
class _Picture:
    """One entry of the JSON's `images` with its annotations."""

    file_name: str
    size: tuple[int, int]  # height, width
    objects: tuple[tuple[int, str, bytes], ...]  # id, category, run lengths
    crowds: tuple[bytes, ...]


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

    An object's id is its annotation id if all of the file's fit int32 and are positive and
    distinct; otherwise a running number within its picture.

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
        self.left_out = LeftOut()
        self._recipe = recipe
        content = read_json(annotations)
        if isinstance(content, Problem):
            raise UserError(f"{annotations} {content.message}; fetch or export it again")
        names = [item["name"] for item in sound_entries(content, "licenses")[0]]
        self.licence = "; ".join(names) or "not stated"
        self._pictures = self._index(content)
        self._require_files()
        require(
            bool(self._pictures),
            f"{annotations}: no object with a mask in {len(content['images'])} images"
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
        try:
            labels, layers = lay_out(ids, [item[2] for item in picture.objects], picture.size)
            ignore = ~valid
            for counts in picture.crowds:
                ignore |= decode(counts, picture.size) & ~labels.any(axis=-1)
        except ValueError as error:
            raise UserError(
                f"{self.annotations}: an RLE of {picture.file_name} does not fit {height} x "
                f"{width} pixels (height x width)"
            ) from error
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

    def _index(self, content: Entry) -> list[_Picture]:
        """The pictures with objects; counts the others, and what cannot be used."""
        images, annotations = self._sound(content, "images"), self._sound(content, "annotations")
        categories = {
            item["id"]: str(item["name"]) for item in sound_entries(content, "categories")[0]
        }
        by_image = defaultdict(list)
        for annotation in annotations:
            by_image[annotation["image_id"]].append(annotation)
        keep_ids = _fit_int32([item["id"] for item in annotations])
        self._count_unlisted(images, by_image)
        ambiguous = shared_ids(images)
        pictures: list[_Picture] = []
        seen: set[tuple[Any, str]] = set()
        for image in sorted(images, key=lambda item: _sort_key(item["id"])):
            name, own = image["file_name"], by_image[image["id"]]
            if (image["id"], name) in seen:
                continue  # the same entry twice
            seen.add((image["id"], name))
            if not own:
                self.pictures_without_objects += 1
                continue
            if image["id"] in ambiguous:
                message = f"shares image id {image['id']!r} with another picture"
                self.left_out.add("picture", name, Problem("image-id-twice", message))
                continue
            size = stated_size(image) or stored_size(os.path.join(self.images_dir, name))
            if size is None:
                problem = self._file_problem(name) or Problem("missing-size", "states no size")
                self._leave_out(name, problem, len(own))
            elif objects := self._objects(own, size, categories, keep_ids):
                crowds = self._masks([item for item in own if item.get("iscrowd")], size)
                pictures.append(_Picture(name, size, objects, tuple(mask for _, mask in crowds)))
            else:
                self.pictures_without_objects += 1
        for id in ambiguous:
            message = f"is of image {id!r}, which is several pictures"
            self._leave_out_annotations(by_image[id], Problem("image-id-twice", message))
        return pictures

    def _sound(self, content: Entry, group: str) -> list[Entry]:
        entries, problem, lost = sound_entries(content, group)
        if problem:
            what: Kind = "picture" if group == "images" else "object"
            self.left_out.add(what, f"{self.annotations}:", problem, lost)
        return entries

    def _count_unlisted(self, images: list[Entry], by_image: dict[Any, list[Entry]]) -> None:
        for id in by_image.keys() - {image["id"] for image in images}:
            problem = Problem(
                "annotation-without-image", f"is of image {id!r}, which is not in the image list"
            )
            self._leave_out_annotations(by_image[id], problem)

    def _objects(
        self, annotations: list[Entry], size: tuple[int, int], names: dict[Any, str], keep: bool
    ) -> tuple[tuple[int, str, bytes], ...]:
        """Id, category and run lengths of what is an object in one picture."""
        own = [item for item in annotations if not item.get("iscrowd")]
        return tuple(
            (item["id"] if keep else number, names.get(category_of(item), ""), mask)
            for number, (item, mask) in enumerate(self._masks(own, size), start=1)
        )

    def _masks(self, annotations: list[Entry], size: tuple[int, int]) -> list[tuple[Entry, bytes]]:
        """Annotations in order of id with their run lengths, but for those that have none."""
        found = []
        for item in sorted(annotations, key=lambda item: _sort_key(item["id"])):
            mask = encode(item, size)
            if isinstance(mask, Problem):
                self._leave_out_annotations([item], mask)
            else:
                found.append((item, mask))
        return found

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
        actual = stored_size(path) if size and not problem else None
        return size_problem(size, actual) if size and actual else problem

    def _leave_out(self, name: str, problem: Problem, objects: int) -> None:
        """Counts a picture and its objects."""
        self.left_out.add("picture", name, problem)
        self.left_out.add("object", name, problem, objects)

    def _leave_out_annotations(self, annotations: list[Entry], problem: Problem) -> None:
        if annotations:
            where = f"annotation {annotations[0]['id']!r}"
            self.left_out.add("object", where, problem, len(annotations))


def read_rgb(path: str, recipe: Recipe = Recipe()) -> np.ndarray:
    """Reads any raster file as uint8 [h, w, 3] RGB; see `raster.read_picture`.

    Grey becomes three equal channels, alpha is dropped, a palette is resolved, an orientation
    tag is not applied. Values of more than 8 bits are stretched as `recipe` says.

    Raises:
        UserError: the file is missing or is not a picture, or is of a kind that needs rasterio.
    """
    return read_picture(path, recipe)[0]


def _sort_key(id: Any) -> tuple[bool, Any]:
    return isinstance(id, str), id  # numbers first, then text: both occur in the wild


def _fit_int32(ids: list[Any]) -> bool:
    numbers = all(type(id) is int and 0 < id < 2**31 for id in ids)
    return numbers and len(set(ids)) == len(ids)
