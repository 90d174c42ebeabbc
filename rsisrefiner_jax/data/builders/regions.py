"""Objects of class masks: each closed region of a class is one (paper section IV-A)."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from rsisrefiner_jax.data.scene import SceneObject
from rsisrefiner_jax.formats.label_image import components, instance_ids

Annotation = tuple[np.ndarray, tuple[SceneObject, ...], np.ndarray]
"""labels int32 [h, w, layers], the objects, ignore bool [h, w]: what a Scene adds to a picture."""


def packed(colours: np.ndarray) -> np.ndarray:
    """int32 [h, w]: RGB colours uint8 [h, w, 3] as the numbers 0xRRGGBB."""
    red, green, blue = (colours[..., i].astype(np.int32) for i in range(3))
    return red << 16 | green << 8 | blue


def class_regions(
    codes: np.ndarray, classes: Mapping[str, int], ignore: np.ndarray | None = None
) -> Annotation:
    """One object for each 8-connected region of each class, numbered from 1, class after class.

    Args:
        codes: int [h, w], the class of every pixel; codes not in `classes` are background.
        classes: name -> code.
        ignore: bool [h, w], if there are pixels that count as nothing.
    """
    labels = np.zeros(codes.shape, np.int32)
    objects: list[SceneObject] = []
    for name, code in classes.items():
        regions = components(codes == code)
        count = int(regions.max(initial=0))
        inside = regions > 0
        labels[inside] = regions[inside] + len(objects)
        first = len(objects) + 1
        objects += [SceneObject(id, 0, name) for id in range(first, first + count)]
    if ignore is None:
        ignore = np.zeros(codes.shape, bool)
    return labels[..., None], tuple(objects), ignore


def numbered(ids: np.ndarray, categories: Mapping[int, str] | str = "") -> Annotation:
    """One object for each id but 0 in `ids` (int32 [h, w]), in order of id.

    categories: of each id, or of all.
    """
    found = np.unique(ids[ids != 0]).tolist()
    names = dict.fromkeys(found, categories) if isinstance(categories, str) else categories
    objects = tuple(SceneObject(id, 0, names.get(id, "")) for id in found)
    return ids[..., None], objects, np.zeros(ids.shape, bool)


@dataclasses.dataclass(frozen=True)
class IdMasks:
    """Annotates masks of ids, grey or coloured, such as the paper's authors made."""

    category: str = ""

    def __call__(self, mask: np.ndarray) -> Annotation:
        return numbered(instance_ids(mask), self.category)


@dataclasses.dataclass(frozen=True)
class ClassMasks:
    """Annotates masks of grey class codes, or of colours where the codes are 0xRRGGBB."""

    classes: Mapping[str, int]
    ignore: int | None = None  # code of pixels that count as nothing

    def __call__(self, mask: np.ndarray) -> Annotation:
        codes = packed(mask) if mask.ndim == 3 else mask
        return class_regions(codes, self.classes, codes == self.ignore)
