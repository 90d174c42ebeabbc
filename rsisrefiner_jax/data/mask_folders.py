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
from rsisrefiner_jax.formats.label_file import Colour, LabelFile, open_labels
from rsisrefiner_jax.formats.label_image import instance_ids
from rsisrefiner_jax.formats.label_regions import code_name, id_regions, masks_of, regions_of
from rsisrefiner_jax.formats.layers import lay_out
from rsisrefiner_jax.formats.left_out import LeftOut
from rsisrefiner_jax.formats.region import usable_ids


class InstanceFolderSource:
    """Scenes of id masks: whole numbers, palette indices, or ids encoded as colours.

    Objects come in order of id; every value but 0 is one. `formats.label_file` has the rules.
    Pixels without data in the mask or the picture are ignored. Scenes are in order of stem, and
    those without an object are kept: to find them, every mask would have to be read.

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
            _has_object(self._pairs, lambda file: _by_id(file, decode)[0]),
            f"{masks_dir}: all {len(self._pairs)} masks are 0: there is no object",
        )

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Scene:
        picture, mask = self._pairs[index]
        with open_labels(mask) as file:
            labels, layers, valid = _by_id(file, self._decode)
        objects = tuple(SceneObject(id, layer) for id, layer in layers.items())
        return _scene(picture, mask, labels, objects, valid, self._recipe)


class ClassFolderSource:
    """Scenes of semantic masks: every 8-connected region of one class is an object.

    Scenes are in order of stem, and those without the class are kept.

    Args:
        images_dir, masks_dir: the folders; folders inside them are not searched.
        value: the class: a number (in a colour mask all three channels), a colour as "#RRGGBB",
            or a name that the masks state, as those of the annotator do. Of a palette mask,
            numbers are its indices and colours its colours.
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
        self.left_out = LeftOut()
        self._pairs = sound_pairs(images_dir, masks_dir, CLASS_MASKS, self.left_out)
        _require_value("class", value, self._pairs[0][1], also=True)
        if ignore is not None:
            _require_value("ignore", ignore, "")
        parsed = _parse(value)
        self._value: int | Colour | str = str(value) if parsed is None else parsed
        self._ignore = None if ignore is None else _parse(ignore)
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
        with open_labels(mask) as file:
            regions = list(regions_of(self._class(file)))
            ignored = ~file.codes()[1]
            if self._ignore is not None:
                ignored |= file.where(self._ignore)
            name = self._category(file)
        ids = range(1, len(regions) + 1)
        labels, _ = lay_out(ids, regions, ignored.shape)
        objects = tuple(SceneObject(id, 0, name) for id in ids)
        return _scene(picture, mask, labels, objects, ~ignored, self._recipe)

    def _class(self, file: LabelFile) -> np.ndarray:
        """bool [h, w]: the pixels of the class in a mask."""
        if isinstance(self._value, str):
            codes = [code for code, name in file.names.items() if name == self._value]
            return np.asarray(np.isin(file.codes()[0], codes).any(0))
        return file.where(self._value)

    def _category(self, file: LabelFile) -> str:
        if isinstance(self._value, int) and not file.is_colour:
            return code_name(file, self._value)
        return self._name


def _by_id(
    file: LabelFile, decode: Literal["exact", "wrapped"]
) -> tuple[np.ndarray, dict[int, int], np.ndarray]:
    """labels int32 [h, w, layers], the ids with their layers, and valid bool [h, w]."""
    codes, valid = file.codes()
    if file.is_colour and decode == "wrapped":
        bands, _ = file.bands(0, file.size[0])
        codes = instance_ids(np.moveaxis(bands, 0, -1), decode)[None]
    if len(codes) > 1:
        regions = id_regions(file)
        ids = [region.id or number for number, region in enumerate(regions, start=1)]
        labels, layers = lay_out(ids, masks_of(regions), file.size)
        return labels, dict(zip(ids, layers, strict=True)), valid
    ids = _ids(codes[0]).tolist()
    if not usable_ids(ids):
        codes = np.where(codes == 0, 0, np.searchsorted(ids, codes) + 1)
        ids = list(range(1, len(ids) + 1))
    return codes[0].astype(np.int32)[..., None], dict.fromkeys(ids, 0), valid


def _has_object(pairs: list[Pair], read: Callable[[LabelFile], np.ndarray]) -> bool:
    """Whether a mask has an object. Raises UserError when none is found but some are broken."""
    broken = None
    for _, mask in pairs:
        try:
            with open_labels(mask) as file:
                if read(file).any():
                    return True
        except UserError as error:  # said again when its scene is read
            broken = error
    if broken:
        raise broken
    return False


def _scene(
    picture: str,
    mask: str,
    labels: np.ndarray,
    objects: tuple[SceneObject, ...],
    mask_valid: np.ndarray,
    recipe: Recipe,
) -> Scene:
    image, valid = read_picture(picture, recipe)
    (height, width), (rows, columns) = valid.shape, mask_valid.shape
    problem = size_problem(picture, (height, width), (rows, columns))
    if problem:
        raise UserError(f"{mask} {problem.message}")
    return Scene(os.path.basename(picture), image, labels, objects, ~(valid & mask_valid))


def _ids(labels: np.ndarray) -> np.ndarray:
    """The ids but 0, ascending."""
    flat = labels.ravel()
    starts = flat[np.flatnonzero(np.diff(flat, prepend=0))]  # of runs: few to sort
    return np.unique(starts[starts != 0])


def _parse(value: str | int) -> int | Colour | None:
    """A number or a colour; None for anything else."""
    text = str(value).strip()
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        red, green, blue = bytes.fromhex(text[1:])
        return red, green, blue
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _require_value(name: str, value: str | int, mask: str, also: bool = False) -> None:
    """Raises UserError: neither number nor colour, nor, if `also`, a class that a mask names."""
    names: list[str] = []
    if also:
        with open_labels(mask) as file:
            names = list(file.names.values())
    more = f", nor a class that the masks name ({', '.join(names)})" if names else ""
    require(
        _parse(value) is not None or value in names,
        f"{name}={value}: neither a number, as in {name}=2, nor a colour, as in "
        f"{name}=#00FF00{more}",
    )


def _values(mask: str) -> str:
    """What values a mask file has, in words."""
    with open_labels(mask) as file:
        codes, _ = file.codes()
        values = np.unique(codes)
        if not file.is_colour:
            known = f" ({', '.join(file.names.values())})" if file.names else ""
            return "the values " + _list([str(value) for value in values], 8) + known
        return "the colours " + _list([code_name(file, code) for code in values.tolist()], 8)


def _list(words: list[str], most: int) -> str:
    return ", ".join(words[:most]) + (", ..." if len(words) > most else "")
