"""Pictures and masks of two folders (which may be one), paired by name.

A pair has the same stem, but for the usual endings (`P0002.png` and `P0002_instance_id_RGB.png`,
`top_potsdam_2_10_RGB.tif` and `top_potsdam_2_10_label.tif`). In one folder, masks are the files
with such an ending.
"""

import dataclasses
import os
import re

from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.label_file import LAYER
from rsisrefiner_jax.formats.left_out import LeftOut, Problem
from rsisrefiner_jax.formats.picture_file import file_problem
from rsisrefiner_jax.formats.raster_info import stored_size

PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ID_MASKS = ("_instance_id_RGB", "_label", "_mask", "_ids")
CLASS_MASKS = ("_instance_color_RGB", "_label", "_label_noBoundary", "_mask", "_classes")
_BANDS = re.compile(r"_(RGB|RGBIR|IRRG)$")  # ISPRS names its pictures by their bands

Pair = tuple[str, str]  # paths of a picture and of its mask


@dataclasses.dataclass
class Pairs:
    """What two folders hold, by path and in order of stem.

    pairs: pictures with their masks. without_mask, without_picture: what has no partner.
    same_name: files whose stem another one has already, (path, other path).
    """

    pairs: list[Pair]
    without_mask: list[str]
    without_picture: list[str]
    same_name: list[tuple[str, str]]


def pair_files(images_dir: str, masks_dir: str, endings: tuple[str, ...]) -> Pairs:
    """Pairs the files of two folders; folders inside them are not searched.

    Args:
        endings: that the stem of a mask may have after that of its picture.

    Raises:
        UserError: a folder is missing, or holds no picture or no mask.
    """
    for folder, what in ((images_dir, "pictures"), (masks_dir, "masks")):
        require(os.path.isdir(folder), f"{folder}: no such folder of {what}")
    together = os.path.realpath(images_dir) == os.path.realpath(masks_dir)
    every_ending = (*ID_MASKS, *CLASS_MASKS)
    pictures: dict[str, str] = {}
    masks: dict[str, str] = {}
    same_name = []
    for stem, path in _files(images_dir):
        if not (together and stem.endswith(every_ending)):
            same_name += _add(pictures, _BANDS.sub("", stem), path)
    for stem, path in _files(masks_dir):
        if stem.endswith(endings) or not together:
            same_name += _add(masks, _BANDS.sub("", _without(stem, endings)), path)
    require(bool(pictures), f"{images_dir}: no picture ({', '.join(PICTURES)}) in this folder")
    require(
        bool(masks),
        f"{masks_dir}: no mask in this folder"
        + (f" (a name that ends in {', '.join(endings)})" if together else ""),
    )
    return Pairs(
        pairs=[(pictures[stem], masks[stem]) for stem in sorted(pictures.keys() & masks.keys())],
        without_mask=[pictures[stem] for stem in sorted(pictures.keys() - masks.keys())],
        without_picture=[masks[stem] for stem in sorted(masks.keys() - pictures.keys())],
        same_name=same_name,
    )


def sound_pairs(
    images_dir: str, masks_dir: str, endings: tuple[str, ...], left_out: LeftOut
) -> list[Pair]:
    """The pairs that can be used, as far as a glance at their files tells.

    The others are counted in `left_out`.

    Raises:
        UserError: as `pair_files`; two files of one name; or no pair can be used.
    """
    found = pair_files(images_dir, masks_dir, endings)
    for path, other in found.same_name:
        name = os.path.basename(other)
        raise UserError(f"{path}: {name} goes by the same name; keep one of the two")
    for path in found.without_mask:
        missing = Problem("mask-missing", f"has no mask of the same name in {masks_dir}")
        left_out.add("picture", path, missing)
    for path in found.without_picture:
        missing = Problem("picture-missing", f"has no picture of the same name in {images_dir}")
        left_out.add("mask", path, missing)
    kept = []
    for picture, mask in found.pairs:
        path, problem = _problem(picture, mask)
        if problem:
            left_out.add("picture", path, problem)
        else:
            kept.append((picture, mask))
    require(bool(kept), f"{images_dir}: no picture with a mask; {left_out.sentence()}")
    return kept


def size_problem(picture: str, size: tuple[int, int], mask: tuple[int, int]) -> Problem | None:
    """That a mask is of another size, (height, width), than its picture."""
    if size == mask:
        return None
    return Problem(
        "size-differs",
        f"is {mask[0]} x {mask[1]} pixels (height x width), but its picture "
        f"{os.path.basename(picture)} is {size[0]} x {size[1]}",
    )


def _problem(picture: str, mask: str) -> tuple[str, Problem | None]:
    for path in (picture, mask):
        problem = file_problem(path)
        if problem:
            return path, problem
    size, mask_size = stored_size(picture), stored_size(mask)
    return mask, size_problem(picture, size, mask_size) if size and mask_size else None


def _files(folder: str) -> list[tuple[str, str]]:
    """(stem, path) of the pictures in a folder, in order."""
    names = [os.path.splitext(name) for name in sorted(os.listdir(folder))]
    there = set(names)
    return [
        (stem, os.path.join(folder, stem + ending))
        for stem, ending in names
        if ending.lower() in PICTURES
        and not stem.startswith(".")
        and (LAYER.sub("_ids", stem), ending) not in there - {(stem, ending)}  # of that mask
    ]


def _without(stem: str, endings: tuple[str, ...]) -> str:
    longest = max((end for end in endings if stem.endswith(end)), key=len, default="")
    return stem.removesuffix(longest)


def _add(files: dict[str, str], stem: str, path: str) -> list[tuple[str, str]]:
    other = files.setdefault(stem, path)
    return [] if other == path else [(path, other)]
