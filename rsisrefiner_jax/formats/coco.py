"""Reading COCO instances: one set of rules for a data set and for a single picture of it."""

import os
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.coco_entries import (
    Entry,
    category_of,
    read_json,
    shared_ids,
    sound_entries,
)
from rsisrefiner_jax.formats.coco_masks import Size, encode, polygon_parts
from rsisrefiner_jax.formats.left_out import Kind, LeftOut, Problem
from rsisrefiner_jax.formats.region import Region, class_name, plain_attributes, usable_ids


class CocoFile:
    """The images and annotations of a COCO JSON that can be used; the others are in `left_out`.

    Ids of annotations are kept if all of the file's can be (`region.usable_ids`); otherwise they
    are running numbers within each image. Annotations with `iscrowd` are no objects.

    `images_dir` is the folder of pictures that the file names, or its own.

    Args:
        path: the JSON.
        shown: what to call it in messages, if that is not its path.

    Raises:
        UserError: it is not there, or no COCO.
    """

    def __init__(self, path: str, shown: str | None = None) -> None:
        shown = shown or path
        content = read_json(path)
        if isinstance(content, Problem):
            raise UserError(f"{shown} {content.message}; fetch or export it again")
        self._shown = shown
        self.left_out = LeftOut()
        self.images_dir = os.path.join(os.path.dirname(path), _images_dir(content))
        self.licences = [item["name"] for item in sound_entries(content, "licenses")[0]]
        images, annotations = self._sound(content, "images"), self._sound(content, "annotations")
        self.images = sorted(images, key=lambda item: _sort_key(item["id"]))
        self._by_image: dict[Any, list[Entry]] = defaultdict(list)
        for item in sorted(annotations, key=lambda item: _sort_key(item["id"])):
            self._by_image[item["image_id"]].append(item)
        self._names = {
            item["id"]: class_name(item["name"]) for item in sound_entries(content, "categories")[0]
        }
        self._keep_ids = usable_ids([item["id"] for item in annotations])
        self.ambiguous = shared_ids(images)

    def count(self, image: Entry) -> int:
        """How many annotations an image has, crowd regions among them."""
        return len(self._by_image[image["id"]])

    def objects(self, image: Entry, size: Size, outlines: bool = False) -> list[Region]:
        """The objects of an image in order of id; what has no mask is counted in `left_out`.

        Args:
            size: (height, width) of the picture.
            outlines: whether those that come as polygons get their outlines, too (needs shapely).
        """
        own = [item for item in self._by_image[image["id"]] if not item.get("iscrowd")]
        found = list(self._masks(own, size))
        shapes = _outlines([item for item, _ in found], size) if outlines else [None] * len(found)
        return [
            Region(
                id=item["id"] if self._keep_ids else number,
                category=self._names.get(category_of(item), ""),
                attributes=_attributes(item),
                clicks=_clicks(item),
                mask=mask,
                outline=shape,
            )
            for number, ((item, mask), shape) in enumerate(zip(found, shapes, strict=True), start=1)
        ]

    def crowds(self, image: Entry, size: Size) -> list[dict[str, Any]]:
        """The masks of an image's crowd regions: many objects that nobody told apart."""
        own = [item for item in self._by_image[image["id"]] if item.get("iscrowd")]
        return [mask for _, mask in self._masks(own, size)]

    def leave_out_rest(self) -> None:
        """Counts the annotations that belong to no image, or to several."""
        for id in self._by_image.keys() - {image["id"] for image in self.images}:
            problem = Problem(
                "annotation-without-image", f"is of image {id!r}, which is not in the image list"
            )
            self._leave_out(self._by_image[id], problem)
        for id in self.ambiguous:
            message = f"is of image {id!r}, which is several pictures"
            self._leave_out(self._by_image[id], Problem("image-id-twice", message))

    def _sound(self, content: Entry, group: str) -> list[Entry]:
        entries, problem, lost = sound_entries(content, group)
        if problem:
            what: Kind = "picture" if group == "images" else "object"
            self.left_out.add(what, f"{self._shown}:", problem, lost)
        return entries

    def _masks(
        self, annotations: list[Entry], size: Size
    ) -> Iterator[tuple[Entry, dict[str, Any]]]:
        for item in annotations:
            mask = encode(item, size)
            if isinstance(mask, Problem):
                self._leave_out([item], mask)
            else:
                yield item, mask

    def _leave_out(self, annotations: list[Entry], problem: Problem) -> None:
        if annotations:
            where = f"annotation {annotations[0]['id']!r}"
            self.left_out.add("object", where, problem, len(annotations))


def _images_dir(content: Entry) -> str:
    """The folder of pictures that a file names itself, from its own folder; "" if it names none."""
    info = content.get("info")
    named = info.get("images_dir") if isinstance(info, dict) else None
    return named if isinstance(named, str) else ""


def _outlines(annotations: list[Entry], size: Size) -> list[Any]:
    """The outlines of those that are polygons; None of run lengths."""
    found: list[Any] = [None] * len(annotations)
    rings: dict[int, list[np.ndarray]] = {}
    for i, annotation in enumerate(annotations):
        shape = annotation["segmentation"]
        parts = polygon_parts(shape, size) if isinstance(shape, list) else None
        if isinstance(parts, list):
            rings[i] = [np.reshape(part, (-1, 2)) for part in parts]
    if rings:
        from rsisrefiner_jax.formats.rings import from_rings_each

        for i, outline in zip(rings, from_rings_each(list(rings.values())), strict=True):
            found[i] = outline
    return found


def _attributes(annotation: Entry) -> dict[str, Any]:
    given = annotation.get("attributes")
    return plain_attributes(given) if isinstance(given, dict) else {}


def _clicks(annotation: Entry) -> int:
    clicks = annotation.get("clicks")
    return clicks if type(clicks) is int and 0 <= clicks < 2**31 else 0


def _sort_key(id: Any) -> tuple[bool, Any]:
    return isinstance(id, str), id  # numbers first, then text: both occur in the wild
