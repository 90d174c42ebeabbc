"""The data SPEC `yolo:IMAGES_DIR,LABELS_DIR`: pictures with YOLO segmentation labels."""

import os
from pathlib import Path

from rsisrefiner_jax.data.mask_pairs import PICTURES
from rsisrefiner_jax.data.raster import read_picture
from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats import geometry
from rsisrefiner_jax.formats.layers import lay_out
from rsisrefiner_jax.formats.left_out import LeftOut
from rsisrefiner_jax.formats.picture_file import file_problem
from rsisrefiner_jax.formats.yolo import names_beside, read_labels


class YoloSource:
    """Scenes of pictures and label files of the same stem, in order of stem.

    Pictures without a label file, which YOLO takes for empty ones, are no scenes
    (`pictures_without_objects`). Objects are numbered by line. Names of classes are those of a
    data.yaml or classes.txt beside the labels or a folder above; without one, numbers.

    Args:
        images_dir, labels_dir: the folders; folders inside them are not searched.
        recipe: how pictures become RGB.

    Raises:
        UserError: a missing folder, no picture with labels, or a data.yaml without names. Bad
            labels when their scene is read.
    """

    def __init__(self, images_dir: str, labels_dir: str, recipe: Recipe = Recipe()) -> None:
        for folder, what in ((images_dir, "pictures"), (labels_dir, "labels")):
            require(os.path.isdir(folder), f"{folder}: no such folder of {what}")
        self._recipe = recipe
        self.left_out = LeftOut()
        self.pictures_without_objects = 0
        self._names = names_beside([Path(labels_dir), *Path(labels_dir).resolve().parents[:2]])
        self._pairs: list[tuple[Path, Path]] = []
        for picture in sorted(Path(images_dir).iterdir(), key=lambda path: path.stem):
            if picture.suffix.lower() not in PICTURES or picture.name.startswith("."):
                continue
            labels = Path(labels_dir) / f"{picture.stem}.txt"
            if not labels.is_file() or not labels.stat().st_size:
                self.pictures_without_objects += 1
            elif problem := file_problem(str(picture)):
                self.left_out.add("picture", str(picture), problem)
            else:
                self._pairs.append((picture, labels))
        require(bool(self._pairs), f"{labels_dir}: no labels for the pictures in {images_dir}")

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Scene:
        picture, label_file = self._pairs[index]
        image, valid = read_picture(str(picture), self._recipe)
        height, width = valid.shape
        regions = read_labels(label_file, (height, width), self._names)
        masks = [geometry.rasterise(region.outline, width, height) for region in regions]
        kept = [i for i, mask in enumerate(masks) if mask.area]
        ids = [i + 1 for i in kept]
        labels, layers = lay_out(ids, [masks[i] for i in kept], (height, width))
        objects = tuple(
            SceneObject(id, layer, regions[id - 1].category)
            for id, layer in zip(ids, layers, strict=True)
        )
        return Scene(picture.name, image, labels, objects, ~valid)
