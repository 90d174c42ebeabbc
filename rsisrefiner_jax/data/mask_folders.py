"""A folder of pictures and a folder of masks, paired by name.

    instances:IMAGES,MASKS            one id per object, 0 = background
    classes:IMAGES,MASKS,class=2      semantic masks; each connected region of a class is an object

mask_pairs.py says what makes a pair. Pixels of a picture that have no data are ignored. Pictures
without a mask, masks without a picture, and pairs of which a file is broken or whose sizes differ
are left out and counted in `left_out`.
"""

import os
import re
from collections.abc import Callable
from typing import Literal

import numpy as np

from rsisrefiner_jax.data.mask_pairs import CLASS_MASKS, ID_MASKS, Pair, size_problem, sound_pairs
from rsisrefiner_jax.data.raster import read_picture
from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.label_image import (
    components,
    instance_ids,
    read_label_colours,
    read_labels,
)
from rsisrefiner_jax.formats.left_out import LeftOut

Colour = tuple[int, int, int]


class InstanceFolderSource:
    """Scenes of id masks: 8- or 16-bit grey, palette indices, or ids encoded as colours.

    Objects come in order of id; every value but 0 is one. Scenes are in order of stem, and those
    without an object are kept: to find them, every mask would have to be read.

    Args:
        images_dir, masks_dir: the folders; folders inside them are not searched.
        decode: how colours become ids, see `label_image.instance_ids`.
        recipe: how pictures become RGB.

    Raises:
        UserError: a missing folder, two files of one name, or not a single pair or object. A file
            that cannot be decoded when its scene is read.
    """

    def __init__(
        self,
        images_dir: str,
        masks_dir: str,
        decode: Literal["exact", "wrapped"] = "exact",
        recipe: Recipe = Recipe(),
    ) -> None:
        self._recipe = recipe
        self.left_out = LeftOut()
        self._pairs = sound_pairs(images_dir, masks_dir, ID_MASKS, self.left_out)
        self._decode = decode
        require(
            _has_object(self._pairs, self._labels),
            f"{masks_dir}: all {len(self._pairs)} masks are 0: there is no object",
        )

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Scene:
        picture, mask = self._pairs[index]
        return _scene(picture, mask, self._labels(mask), self._recipe)

    def _labels(self, mask: str) -> np.ndarray:
        return instance_ids(read_labels(mask), self._decode)


class ClassFolderSource:
    """Scenes of semantic masks: every 8-connected region of one class is an object.

    Scenes are in order of stem, and those without the class are kept.

    Args:
        images_dir, masks_dir: the folders; folders inside them are not searched.
        value: the class: a number (in a colour mask all three channels), or a colour as
            "#RRGGBB". Of a palette mask, numbers are its indices and colours its colours.
        ignore: the value of pixels that count as nothing, if there is one.
        recipe: how pictures become RGB.

    Raises:
        UserError: as InstanceFolderSource, or `value` or `ignore` is neither number nor colour.
    """

    def __init__(
        self,
        images_dir: str,
        masks_dir: str,
        value: str | int,
        ignore: str | int | None = None,
        recipe: Recipe = Recipe(),
    ) -> None:
        self._recipe = recipe
        self._name = str(value)
        self._value = _parse("class", value)
        self._ignore = None if ignore is None else _parse("ignore", ignore)
        self.left_out = LeftOut()
        self._pairs = sound_pairs(images_dir, masks_dir, CLASS_MASKS, self.left_out)
        if not _has_object(self._pairs, self._class):
            example = self._pairs[0][1]
            raise UserError(
                f"{masks_dir}: no pixel of class={self._name} in {len(self._pairs)} masks; "
                f"{os.path.basename(example)} has {_values(example)}"
            )

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Scene:
        picture, mask = self._pairs[index]
        labels = components(self._class(mask))
        scene = _scene(picture, mask, labels, self._recipe, self._name)
        if self._ignore is not None:
            np.logical_or(scene.ignore, _where(mask, self._ignore), out=scene.ignore)
        return scene

    def _class(self, mask: str) -> np.ndarray:
        return _where(mask, self._value)


def _has_object(pairs: list[Pair], read: Callable[[str], np.ndarray]) -> bool:
    """Whether a mask has an object. Raises UserError when none is found but some are broken."""
    broken = None
    for _, mask in pairs:
        try:
            if read(mask).any():
                return True
        except UserError as error:  # said again when its scene is read
            broken = error
    if broken:
        raise broken
    return False


def _scene(
    picture: str, mask: str, labels: np.ndarray, recipe: Recipe, category: str = ""
) -> Scene:
    image, valid = read_picture(picture, recipe)
    (height, width), (rows, columns) = valid.shape, labels.shape
    problem = size_problem(picture, (height, width), (rows, columns))
    if problem:
        raise UserError(f"{mask} {problem.message}")
    return Scene(
        name=os.path.basename(picture),
        image=image,
        labels=labels[..., None],
        objects=tuple(SceneObject(int(id), 0, category) for id in _ids(labels)),
        ignore=~valid,
    )


def _ids(labels: np.ndarray) -> np.ndarray:
    """The ids but 0, ascending."""
    flat = labels.ravel()
    starts = flat[np.flatnonzero(np.diff(flat, prepend=0))]  # of runs: few to sort
    return np.unique(starts[starts != 0])


def _parse(name: str, value: str | int) -> int | Colour:
    text = str(value).strip()
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        red, green, blue = bytes.fromhex(text[1:])
        return red, green, blue
    require(
        re.fullmatch(r"[0-9]{1,5}", text) is not None,
        f"{name}={text}: neither a number, as in {name}=2, nor a colour, as in {name}=#00FF00",
    )
    return int(text)


def _where(mask: str, value: int | Colour) -> np.ndarray:
    """bool [h, w]: the pixels of a mask file that have this value."""
    stored = read_labels(mask) if isinstance(value, int) else read_label_colours(mask)
    same = stored == np.array(value)
    return same.all(-1) if stored.ndim == 3 else same


def _values(mask: str) -> str:
    """What values a mask file has, in words."""
    stored = read_labels(mask)
    if stored.ndim == 2:
        return "the values " + _list([str(value) for value in np.unique(stored)], 8)
    ids = np.unique(instance_ids(stored))
    colours = [f"#{id & 255:02X}{id >> 8 & 255:02X}{id >> 16:02X}" for id in ids.tolist()]
    return "the colours " + _list(colours, 8)


def _list(words: list[str], most: int) -> str:
    return ", ".join(words[:most]) + (", ..." if len(words) > most else "")
