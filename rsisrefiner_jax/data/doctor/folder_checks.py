"""What can be wrong with folders of pictures and masks."""

from collections.abc import Iterator

import numpy as np

from rsisrefiner_jax.data.doctor.folder_set import FolderSet, Mask
from rsisrefiner_jax.data.doctor.pictures import check_pictures, check_repeated
from rsisrefiner_jax.data.doctor.traps import Finding, check
from rsisrefiner_jax.formats.label_image import instance_ids
from rsisrefiner_jax.formats.left_out import counted

_MOST_CODES = 32  # class codes in one mask; the published sets have at most 16
_RARE, _MANY = 5, 16  # pixels, values: more rare values than this are a blend, not labels
_BLACK = 16  # grey levels that a viewer shows as black


@check(FolderSet)
def files(folders: FolderSet) -> Iterator[Finding]:
    yield from folders.unpaired
    yield from check_pictures(folders.files())
    yield from check_pictures(mask.picture for mask in folders.masks.values())
    yield from check_repeated(folders.files())


@check(FolderSet)
def sizes(folders: FolderSet) -> Iterator[Finding]:
    for picture, mask in folders.pairs:
        problem = folders.pair_problem(picture, mask)
        if problem and problem.trap == "size-differs":
            yield Finding("size-differs", mask, problem.message)


@check(FolderSet)
def appearance(folders: FolderSet) -> Iterator[Finding]:
    for path, mask in folders.masks.items():
        if mask.palette:
            yield Finding("palette-mask", path, f"has {len(mask.values)} palette indices")
        elif _looks_black(mask):
            yield Finding("black-looking-mask", path, f"has values {_listed(mask.values)}")
        if mask.picture.format == "JPEG":
            yield Finding("lossy-mask", path, f"is a JPEG with {len(mask.values)} values")
        elif _is_blended(folders.kind, mask):
            rare = int((mask.areas < _RARE).sum())
            message = f"has {len(mask.values)} values, {rare} of them on fewer than {_RARE} pixels"
            yield Finding("blended-mask", path, message)


@check(FolderSet)
def class_codes(folders: FolderSet) -> Iterator[Finding]:
    grey = [m.values for m in folders.masks.values() if len(m.values) and not m.is_colour]
    if folders.kind != "classes" or not grey:
        return
    codes = np.unique(np.concatenate(grey))
    if len(codes) > _MOST_CODES:
        return
    if codes[0] > 0:
        message = f"no mask has value 0; the classes are {_listed(codes)}"
        yield Finding("class-codes", folders.masks_dir, message)
    if codes[-1] == 255 and len(codes) > 2:
        message = "255 occurs beside class codes: usually pixels without a class"
        yield Finding("class-codes", folders.masks_dir, message)


@check(FolderSet)
def colliding_ids(folders: FolderSet) -> Iterator[Finding]:
    if folders.kind != "instances":
        return
    for path, mask in folders.masks.items():
        if not mask.is_colour:
            if mask.is_8_bit and (mask.values > 0).sum() == 255:
                yield Finding("ids-may-wrap", path, "uses every id from 1 to 255")
            continue
        exact = instance_ids(mask.values[None])[0]
        wrapped = instance_ids(mask.values[None], "wrapped")[0]
        lost = exact[(exact != 0) & (wrapped == 0)].tolist()
        merged = [
            exact[wrapped == id].tolist()
            for id, times in zip(*np.unique(wrapped, return_counts=True), strict=True)
            if id != 0 and times > 1
        ]
        if lost:
            message = f"{counted(len(lost), 'object')} would vanish: ids {_listed(lost)}"
            yield Finding("colliding-ids", path, message)
        if merged:
            groups = "; ".join(" and ".join(map(str, group)) for group in merged[:3])
            more = "; ..." if len(merged) > 3 else ""
            count = sum(map(len, merged))
            message = f"{count} objects would merge into {len(merged)}: ids {groups}{more}"
            yield Finding("colliding-ids", path, message)


@check(FolderSet)
def classes_as_ids(folders: FolderSet) -> Iterator[Finding]:
    grey = [m.values for m in folders.masks.values() if len(m.values) and not m.is_colour]
    if folders.kind == "instances" and grey:
        ids = np.unique(np.concatenate(grey))
        if ids.tolist() in ([0, 255], [255]):
            message = "255 is the only id: every mask would be one object"
            yield Finding("classes-as-ids", folders.masks_dir, message)


@check(FolderSet)
def exchanged_channels(folders: FolderSet) -> Iterator[Finding]:
    """Ids are small numbers, so red, their lowest byte, is the busiest channel."""
    colours = [m.values for m in folders.masks.values() if m.is_colour]
    if folders.kind == "instances" and colours:
        highest = np.concatenate(colours).max(0)
        if highest[0] == 0 and highest[2] > 0:
            message = "every id is a multiple of 65536: blue varies and red is 0"
            yield Finding("bgr-or-rgb", folders.masks_dir, message)


def _looks_black(mask: Mask) -> bool:
    return not mask.is_colour and len(mask.values) > 0 and 0 < mask.values[-1] < _BLACK


def _is_blended(kind: str, mask: Mask) -> bool:
    if mask.palette:
        return False
    rare = (mask.areas < _RARE).sum()
    too_many = kind == "classes" and len(mask.values) > _MOST_CODES
    return bool(too_many or (rare > _MANY and rare > len(mask.values) / 2))


def _listed(values: np.ndarray | list[int], most: int = 8) -> str:
    return ", ".join(str(int(value)) for value in values[:most]) + (
        ", ..." if len(values) > most else ""
    )
