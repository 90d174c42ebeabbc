"""A picture file with the masks that somebody drew on it, which becomes a scene when it is read."""

import dataclasses
import os
from typing import Any

from tqdm import tqdm

from rsisrefiner_jax.data.raster import read_picture
from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.coco_entries import size_problem
from rsisrefiner_jax.formats.file_by_name import nearest_file
from rsisrefiner_jax.formats.layers import lay_out
from rsisrefiner_jax.formats.left_out import LeftOut, Problem
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.formats.picture_file import file_problem
from rsisrefiner_jax.formats.raster_info import stored_size


@dataclasses.dataclass(frozen=True)
class AnnotatedPicture:
    """name: of the scene. size: (height, width) of the picture that was annotated, as `stated_by`
    says.

    objects: id, category and mask of each, crowds: masks of regions that are no single objects;
    masks as `Mask.encode` has them.
    """

    name: str
    path: str
    size: tuple[int, int]
    objects: tuple[tuple[int, str, dict[str, Any]], ...]
    crowds: tuple[dict[str, Any], ...] = ()
    stated_by: str = "the JSON"

    def scene(self, recipe: Recipe) -> Scene:
        """The picture and its objects. Raises UserError when the file is broken or has another
        size."""
        image, valid = read_picture(self.path, recipe)
        height, width = valid.shape
        if problem := size_problem(self.size, (height, width), self.stated_by):
            raise UserError(f"{self.path} {problem.message}")
        masks = [Mask.decode(mask) for _, _, mask in self.objects]
        labels, layers = lay_out([id for id, _, _ in self.objects], masks, self.size)
        ignore = ~valid
        for crowd in self.crowds:
            ignore |= Mask.decode(crowd).within(0, 0, width, height) & ~labels.any(axis=-1)
        objects = tuple(
            SceneObject(id, layer, category)
            for (id, category, _), layer in zip(self.objects, layers, strict=True)
        )
        return Scene(self.name, image, labels, objects, ignore)

    def size_problem(self) -> Problem | None:
        """That the file's header states another size."""
        actual = stored_size(self.path)
        return size_problem(self.size, actual, self.stated_by) if actual else None


def with_files(pictures: list[AnnotatedPicture], left_out: LeftOut) -> list[AnnotatedPicture]:
    """Those whose files can be used; the others and their objects are counted in `left_out`."""
    kept = []
    for picture in tqdm(pictures, "looking at pictures", unit="file", delay=2, leave=False):
        if problem := picture_problem(picture.path) or picture.size_problem():
            left_out.add("picture", picture.name, problem)
            left_out.add("object", picture.name, problem, len(picture.objects))
        else:
            kept.append(picture)
    return kept


def picture_problem(path: str) -> Problem | None:
    """Why a file cannot be a picture, as far as its first and last bytes tell."""
    problem = file_problem(path)
    if problem and problem.trap == "missing-file":
        folder, name = os.path.split(path)
        return problem._replace(message=problem.message + nearest_file(name, folder))
    return problem
