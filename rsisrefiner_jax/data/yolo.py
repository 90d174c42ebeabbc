"""The data SPECs `yolo:IMAGES_DIR,LABELS_DIR` and `yolo:DATA.yaml`: pictures with YOLO labels."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rsisrefiner_jax.data.annotated_picture import picture_problem
from rsisrefiner_jax.data.mask_pairs import PICTURES
from rsisrefiner_jax.data.raster import read_picture
from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats import geometry
from rsisrefiner_jax.formats.layers import lay_out
from rsisrefiner_jax.formats.left_out import LeftOut
from rsisrefiner_jax.formats.yolo import read_labels
from rsisrefiner_jax.formats.yolo_data_set import class_names, names_beside, pictures_of


def open_folders(images_dir: str, labels_dir: str, recipe: Recipe = Recipe()) -> "YoloSource":
    """Pictures and labels of the same stem in two folders; those inside are not searched.

    Names of classes are those of a data.yaml or classes.txt beside the labels or a folder above;
    without one, numbers.

    Raises:
        UserError: a missing folder, or as `YoloSource` and `yolo_data_set.class_names`.
    """
    for folder, what in ((images_dir, "pictures"), (labels_dir, "labels")):
        require(os.path.isdir(folder), f"{folder}: no such folder of {what}")
    pictures = [
        path
        for path in sorted(Path(images_dir).iterdir(), key=lambda path: path.stem)
        if path.suffix.lower() in PICTURES and not path.name.startswith(".")
    ]
    return YoloSource(
        [(path.name, path, Path(labels_dir) / f"{path.stem}.txt") for path in pictures],
        names_beside([Path(labels_dir), *Path(labels_dir).resolve().parents[:2]]),
        recipe,
        f"{labels_dir}: no labels for the pictures in {images_dir}",
    )


def open_data_set(file: str, split: str = "train", recipe: Recipe = Recipe()) -> "YoloSource":
    """A split of the data set that a data.yaml is about.

    Raises:
        UserError: no such file, or as `YoloSource` and `formats.yolo_data_set`.
    """
    require(os.path.isfile(file), f"{file}: no such file")
    found = list(pictures_of(Path(file), split))
    common = os.path.commonpath([path.parent.absolute() for path, _ in found] or [Path(os.sep)])
    return YoloSource(
        [(os.path.relpath(path.absolute(), common), path, labels) for path, labels in found],
        class_names(Path(file)),
        recipe,
        f"{file}: split={split}: no labels for its {len(found)} pictures",
    )


class YoloSource:
    """Scenes of pictures that have a file of labels.

    Pictures without one, which YOLO takes for empty ones, are no scenes
    (`pictures_without_objects`). Objects are numbered by line.

    Args:
        pictures: name of the scene, picture, and labels of each.
        names: of classes, by number.
        recipe: how pictures become RGB.
        nothing: what to say where no scene is left.

    Raises:
        UserError: no picture with labels. Bad labels when their scene is read.
    """

    def __init__(
        self,
        pictures: Iterable[tuple[str, Path, Path]],
        names: dict[int, str],
        recipe: Recipe,
        nothing: str,
    ) -> None:
        self._names = names
        self._recipe = recipe
        self.left_out = LeftOut()
        self.pictures_without_objects = 0
        self._pictures: list[tuple[str, Path, Path]] = []
        for name, picture, labels in pictures:
            if picture.is_file() and not (labels.is_file() and labels.stat().st_size):
                self.pictures_without_objects += 1
            elif problem := picture_problem(str(picture)):
                self.left_out.add("picture", str(picture), problem)
            else:
                self._pictures.append((name, picture, labels))
        require(bool(self._pictures), nothing)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Scene:
        name, picture, label_file = self._pictures[index]
        image, valid = read_picture(str(picture), self._recipe)
        height, width = valid.shape
        regions = read_labels(label_file, (height, width), self._names)
        outlines = np.array([region.outline for region in regions], object)
        masks = geometry.rasterised(outlines, width, height)
        kept = [i for i, mask in enumerate(masks) if mask.area]
        ids = [i + 1 for i in kept]
        labels, layers = lay_out(ids, [masks[i] for i in kept], (height, width))
        objects = tuple(
            SceneObject(id, layer, regions[id - 1].category)
            for id, layer in zip(ids, layers, strict=True)
        )
        return Scene(name, image, labels, objects, ~valid)
