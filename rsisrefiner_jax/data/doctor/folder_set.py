"""A folder of pictures and a folder of masks as they lie on the disk."""

import dataclasses
import os

import numpy as np

from rsisrefiner_jax.data.doctor.areas import value_areas
from rsisrefiner_jax.data.doctor.pictures import Picture, look, look_at_all, said_of
from rsisrefiner_jax.data.doctor.traps import Finding
from rsisrefiner_jax.data.mask_pairs import CLASS_MASKS, ID_MASKS, pair_files, size_problem
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.label_file import open_labels
from rsisrefiner_jax.formats.left_out import Problem


@dataclasses.dataclass(frozen=True)
class Mask:
    """Facts about one mask file.

    values: the stored values, ascending: integers [n], or RGB uint8 [n, 3] of a colour mask.
    areas: int64 [n], pixels of each.
    """

    picture: Picture
    palette: bool = False
    values: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    areas: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    is_8_bit: bool = True

    @property
    def is_colour(self) -> bool:
        return self.values.ndim == 2


@dataclasses.dataclass(frozen=True)
class FolderSet:
    """Pictures and masks by path; `pairs` are (picture path, mask path) of the same name."""

    kind: str  # instances or classes
    images_dir: str
    masks_dir: str
    pictures: dict[str, Picture]
    masks: dict[str, Mask]
    pairs: list[tuple[str, str]]
    unpaired: list[Finding]

    def files(self) -> list[Picture]:
        return list(self.pictures.values())

    def sound_pairs(self) -> list[tuple[str, str]]:
        """The pairs of which both files can be read and have the same size."""
        return [pair for pair in self.pairs if self.pair_problem(*pair) is None]

    def pair_problem(self, picture_path: str, mask_path: str) -> Problem | None:
        """Why a pair cannot be used."""
        picture, mask = self.pictures[picture_path], self.masks[mask_path].picture
        if picture.size is None or mask.size is None:
            return picture.problem or mask.problem
        return size_problem(picture_path, picture.size, mask.size)


def read_folders(kind: str, images_dir: str, masks_dir: str) -> FolderSet:
    """Reads every picture and mask of two folders (which may be one).

    Raises:
        UserError: a folder is missing, or holds no picture or no mask.
    """
    endings = ID_MASKS if kind == "instances" else CLASS_MASKS
    found = pair_files(images_dir, masks_dir, endings)
    unpaired = [
        Finding("same-name", path, f"goes by the same name as {os.path.basename(other)}")
        for path, other in found.same_name
    ]
    for path in found.without_mask:
        unpaired.append(Finding("mask-missing", path, f"has no mask in {masks_dir}"))
    for path in found.without_picture:
        unpaired.append(Finding("picture-missing", path, f"has no picture in {images_dir}"))
    pictures = [pair[0] for pair in found.pairs] + found.without_mask
    masks = [pair[1] for pair in found.pairs] + found.without_picture
    return FolderSet(
        kind,
        images_dir,
        masks_dir,
        look_at_all(sorted(pictures), "reading pictures", look),
        look_at_all(sorted(masks), "reading masks", look_at_mask),
        found.pairs,
        unpaired,
    )


def look_at_mask(path: str) -> Mask:
    """Reads one mask. Never raises."""
    picture = look(path)
    if picture.problem:
        return Mask(picture)
    try:
        with open_labels(path) as file:
            bands, _ = file.bands(0, file.size[0])
            codes, _ = file.codes()
    except UserError as error:
        return Mask(
            dataclasses.replace(picture, problem=Problem("unreadable", said_of(path, error)))
        )
    values, areas = value_areas(codes.reshape(-1, file.size[1]))
    if not file.is_colour:
        return Mask(picture, file.palette is not None, values, areas, bands.dtype == np.uint8)
    colours = np.stack([values & 255, values >> 8 & 255, values >> 16], axis=-1).astype(np.uint8)
    in_order = np.lexsort(colours.T[::-1])
    return Mask(picture, False, colours[in_order], areas[in_order])
