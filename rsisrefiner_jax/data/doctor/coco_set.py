"""A COCO JSON and its pictures as they lie on the disk, read without trusting any of it."""

import dataclasses
import os
from typing import Any

from rsisrefiner_jax.data.doctor.pictures import Picture, look, look_at_all
from rsisrefiner_jax.data.doctor.traps import Finding
from rsisrefiner_jax.formats.coco_entries import (
    Entry,
    read_json,
    size_problem,
    sound_entries,
    stated_size,
)
from rsisrefiner_jax.formats.coco_masks import encode
from rsisrefiner_jax.formats.file_by_name import files_meant
from rsisrefiner_jax.formats.left_out import Problem


@dataclasses.dataclass(frozen=True)
class CocoSet:
    """The well-formed entries of a COCO JSON; `malformed` says what was left out of them.

    images: every one has an id and a file name; annotations: an id and an image id;
    categories: an id and a name. An id is a number or text. pictures: by path.
    """

    images_dir: str
    annotations_path: str
    images: list[Entry] = dataclasses.field(default_factory=list)
    annotations: list[Entry] = dataclasses.field(default_factory=list)
    categories: list[Entry] = dataclasses.field(default_factory=list)
    pictures: dict[str, Picture] = dataclasses.field(default_factory=dict)
    malformed: list[Finding] = dataclasses.field(default_factory=list)

    def picture(self, image: Entry) -> Picture:
        """The file of an entry of `images`."""
        return self.pictures[os.path.join(self.images_dir, image["file_name"])]

    def size(self, image: Entry) -> tuple[int, int] | None:
        """(height, width) that an image's annotations refer to: as stated, else the file's."""
        return stated_size(image) or self.picture(image).size

    def files(self) -> list[Picture]:
        return list(self.pictures.values())

    def names(self) -> dict[Any, str]:
        """Class names by category id."""
        return {item["id"]: str(item["name"]) for item in self.categories}


def read_coco(images_dir: str, annotations_path: str) -> CocoSet:
    """Reads the JSON and every picture it names. Never raises."""
    content = read_json(annotations_path)
    if isinstance(content, Problem):
        malformed = [Finding(content.trap, annotations_path, content.message)]
        return CocoSet(images_dir, annotations_path, malformed=malformed)
    found, malformed = {}, []
    for group in ("images", "annotations", "categories"):
        found[group], problem, _ = sound_entries(content, group)
        if problem:
            malformed.append(Finding(problem.trap, annotations_path, problem.message))
    files = files_meant([image["file_name"] for image in found["images"]], images_dir)
    found["images"] = [
        {**image, "file_name": files[image["file_name"]]} for image in found["images"]
    ]
    paths = sorted({os.path.join(images_dir, item["file_name"]) for item in found["images"]})
    return CocoSet(
        images_dir,
        annotations_path,
        **found,
        pictures=look_at_all(paths, "reading pictures", look),
        malformed=malformed,
    )


def image_problem(image: Entry, picture: Picture) -> Problem | None:
    """Why an image cannot be used, were its size stated."""
    stated = stated_size(image)
    if picture.problem or stated is None or picture.size is None:
        return picture.problem
    return size_problem(stated, picture.size)


def annotation_problem(annotation: Entry, size: tuple[int, int]) -> Problem | None:
    """Why the mask of an annotation, in a picture of size (height, width), cannot be used."""
    mask = encode(annotation, size)
    return mask if isinstance(mask, Problem) else None
