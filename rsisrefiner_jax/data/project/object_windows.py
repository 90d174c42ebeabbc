"""Windows of pictures about single objects, at native resolution: one part of a project's objects.

The annotator looks at a window as large as the network's input, or larger where the object needs
it; so do training and evaluation here, however large the rasters are.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

from rsisrefiner_jax.data.annotated_picture import AnnotatedPicture
from rsisrefiner_jax.data.project.division import divide, undivided
from rsisrefiner_jax.data.raster import read_window
from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.data.windows import LOOK, Box, Window, square_about
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.layers import lay_out
from rsisrefiner_jax.formats.left_out import LeftOut
from rsisrefiner_jax.formats.masks import Mask, encoded_box

KEPT = 256 << 20  # bytes of windows that are kept in memory


class _Place(NamedTuple):
    """A scene before it is read. objects: places in those of the picture; named: the one it is
    about."""

    picture: AnnotatedPicture
    recipe: Recipe
    window: Window
    objects: list[int]
    named: int


class ObjectWindows:
    """A scene for every object of a part.

    Scenes of `train` have all objects of that part that they show, and nothing of what is held out
    (see `division`). A scene of `held-out` or `all` has the one object that it is about. It is
    called PICTURE#ID.

    Args:
        pictures: each with how it becomes RGB.
        part: one of `division.PARTS`.
        side: of a window, pixels; doubled until it holds its object with room around it, and cut
            to the picture.
        unusable: pictures that cannot be used, and their objects.

    Raises:
        UserError: there is no object in this part.
    """

    def __init__(
        self,
        pictures: Sequence[tuple[AnnotatedPicture, Recipe]],
        part: str,
        side: int,
        unusable: LeftOut,
    ) -> None:
        self.unusable = unusable
        pictures = [(_trimmed(picture), recipe) for picture, recipe in pictures]
        boxes = [[encoded_box(mask) for *_, mask in one.objects] for one, _ in pictures]
        sizes = [one.size for one, _ in pictures]
        divisions = undivided(boxes) if part == "all" else divide(sizes, boxes)
        self.objects = sum(map(len, boxes))  # of all parts, and those between them
        self._places: list[_Place] = []
        for (picture, recipe), own, division in zip(pictures, boxes, divisions, strict=True):
            height, width = picture.size
            chosen = division.train if part == "train" else division.held_out
            region = division.seen if part == "train" else (0, 0, width, height)
            for i in chosen:
                assert region is not None
                window = window_about(own[i], region, side)
                shown = [j for j in chosen if _meets(own[j], window)] if part == "train" else [i]
                self._places.append(_Place(picture, recipe, window, shown, i))
        require(
            bool(self._places),
            f"{self.objects} objects are too few to be divided: there is none in part={part}",
        )
        self._read = functools.lru_cache(max(1, KEPT // (8 * side * side)))(self._scene)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Scene:
        """Reads one window. Raises UserError when its picture is broken."""
        return self._read(range(len(self))[index])

    def smallest_area(self) -> int:
        """Pixels of the smallest object that a scene is about."""
        masks = (place.picture.objects[place.named][2] for place in self._places)
        return min(Mask.decode(mask).area for mask in masks)

    def _scene(self, index: int) -> Scene:
        picture, recipe, window, chosen, named = self._places[index]
        image, valid = read_window(picture.path, window, recipe)
        y, x, height, width = window
        found = []
        for id, category, encoded in (picture.objects[i] for i in chosen):
            part = Mask(0, 0, Mask.decode(encoded).within(x, y, width, height)).trimmed()
            if part.area:
                found.append((id, category, part))
        ids, masks = [id for id, _, _ in found], [mask for _, _, mask in found]
        labels, layers = lay_out(ids, masks, (height, width))
        objects = tuple(
            SceneObject(id, layer, category)
            for (id, category, _), layer in zip(found, layers, strict=True)
        )
        name = f"{picture.name}#{picture.objects[named][0]}"
        return Scene(name, image, labels, objects, ~valid)


def _trimmed(picture: AnnotatedPicture) -> AnnotatedPicture:
    """With no pixel around an object's mask: files may hold it in the whole picture."""
    objects = [
        (id, category, Mask.decode(encoded).trimmed().encode())
        for id, category, encoded in picture.objects
    ]
    return dataclasses.replace(picture, objects=tuple(objects))


def window_about(box: Box, region: Box, side: int) -> Window:
    """The square about a box that lies in a region, moved into that and cut to it."""
    left, top, right, bottom = box
    while side < LOOK * max(right - left, bottom - top):
        side *= 2
    return square_about(((left + right) / 2, (top + bottom) / 2), side, region)


def _meets(box: Box, window: Window) -> bool:
    left, top, right, bottom = box
    across = left < window.x + window.width and right > window.x
    return across and top < window.y + window.height and bottom > window.y
