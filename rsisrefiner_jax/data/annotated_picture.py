"""A picture file with the masks that somebody drew on it, which becomes a scene when it is read."""

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from rsisrefiner_jax.data.raster import LARGEST, read_picture, read_window
from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.data.windows import Window, windows
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.coco_entries import size_problem
from rsisrefiner_jax.formats.file_by_name import nearest_file
from rsisrefiner_jax.formats.layers import lay_out
from rsisrefiner_jax.formats.left_out import LeftOut, Problem
from rsisrefiner_jax.formats.masks import Mask, encoded_box
from rsisrefiner_jax.formats.picture_file import file_problem
from rsisrefiner_jax.formats.raster_info import stored_size


@dataclasses.dataclass(frozen=True)
class AnnotatedPicture:
    """name: of the scene. size: (height, width) of the picture that was annotated, as `stated_by`
    says.

    objects: id, category and mask of each, crowds: masks of regions that are no single objects;
    masks as `Mask.encode` has them. window: the part that becomes the scene; None: all of it.
    """

    name: str
    path: str
    size: tuple[int, int]
    objects: tuple[tuple[int, str, dict[str, Any]], ...]
    crowds: tuple[dict[str, Any], ...] = ()
    stated_by: str = "the JSON"
    window: Window | None = None

    def scene(self, recipe: Recipe) -> Scene:
        """The picture and its objects. Raises UserError when the file is broken or has another
        size."""
        if self.window is None:
            image, valid = read_picture(self.path, recipe)
            if problem := size_problem(self.size, valid.shape[:2], self.stated_by):
                raise UserError(f"{self.path} {problem.message}")
        else:
            image, valid = read_window(self.path, self.window, recipe)
        y, x, height, width = self.window or Window(0, 0, *self.size)
        masks = [Mask.decode(mask).cut_to(x, y, width, height) for _, _, mask in self.objects]
        labels, layers = lay_out([id for id, _, _ in self.objects], masks, (height, width))
        ignore = ~valid
        for crowd in self.crowds:
            ignore |= Mask.decode(crowd).within(x, y, width, height) & ~labels.any(axis=-1)
        objects = tuple(
            SceneObject(id, layer, category)
            for (id, category, _), layer in zip(self.objects, layers, strict=True)
        )
        return Scene(self.name, image, labels, objects, ignore)

    def in_windows(self) -> Iterator["AnnotatedPicture"]:
        """Itself, or where it is too large to be read at once its windows with an object."""
        height, width = self.size
        if height * width <= LARGEST:
            yield self
            return
        everywhere = list(windows(height, width))
        found: list[list[tuple[int, str, dict[str, Any]]]] = [[] for _ in everywhere]
        starts = np.array(everywhere)[:, :2]
        ends = starts + np.array(everywhere)[:, 2:]
        for item in self.objects:
            left, top, right, bottom = encoded_box(item[2])
            near = (starts < (bottom, right)).all(axis=1) & (ends > (top, left)).all(axis=1)
            mask = Mask.decode(item[2])
            for i in np.flatnonzero(near).tolist():
                y, x, rows, columns = everywhere[i]
                if mask.cut_to(x, y, columns, rows).area:
                    found[i].append(item)
        for window, own in zip(everywhere, found, strict=True):
            if own:
                name = window.named(self.name)
                yield dataclasses.replace(self, name=name, objects=tuple(own), window=window)

    def size_problem(self) -> Problem | None:
        """That the file's header states another size."""
        actual = stored_size(self.path)
        return size_problem(self.size, actual, self.stated_by) if actual else None


def with_files(pictures: list[AnnotatedPicture], left_out: LeftOut) -> list[AnnotatedPicture]:
    """Those whose files can be used, the largest in windows; the others and their objects are
    counted in `left_out`."""
    kept = []
    for picture in tqdm(pictures, "looking at pictures", unit="file", delay=2, leave=False):
        if problem := picture_problem(picture.path) or picture.size_problem():
            left_out.add("picture", picture.name, problem)
            left_out.add("object", picture.name, problem, len(picture.objects))
        else:
            kept += picture.in_windows()
    return kept


def picture_problem(path: str) -> Problem | None:
    """Why a file cannot be a picture, as far as its first and last bytes tell."""
    problem = file_problem(path)
    if problem and problem.trap == "missing-file":
        folder, name = os.path.split(path)
        return problem._replace(message=problem.message + nearest_file(name, folder))
    return problem
