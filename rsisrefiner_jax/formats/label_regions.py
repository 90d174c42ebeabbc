"""The objects in a mask, each as a box of pixels, so that the picture may be of any size."""

from collections.abc import Iterator, Sequence

import numpy as np

from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.label_file import LabelFile
from rsisrefiner_jax.formats.label_image import components
from rsisrefiner_jax.formats.masks import BOX_LIMIT, Mask, union_box
from rsisrefiner_jax.formats.region import Region, class_name, usable_ids

ROWS = 512
WHOLE_LIMIT = 250_000_000  # pixels of a mask whose connected regions are looked for
TOTAL_LIMIT = 2_000_000_000  # pixels of all objects' boxes
MOST = 200_000  # objects

Box = tuple[int, int, int, int]


def kind_of(file: LabelFile) -> str:
    """What a mask most likely holds: what it notes itself; else "binary" if it has one number
    besides 0, else "ids"."""
    if file.noted in ("ids", "classes"):
        return file.noted
    seen: set[int] = set()
    for codes, _ in _strips(file):
        seen |= set(np.unique(codes).tolist()) - {0}
        if len(seen) > 1:
            return "ids"
    return "binary"


def id_regions(file: LabelFile) -> list[Region]:
    """An object for every number but 0, whichever layers it lies in, in order of id.

    Ids that do not fit (`region.usable_ids`) are None.

    Raises:
        UserError: a broken file, or more and larger objects than are taken.
    """
    boxes: dict[int, Box] = {}
    for codes, y in _strips(file):
        for layer in codes:
            for id, box in _boxes(layer, y):
                boxes[id] = union_box([boxes[id], box]) if id in boxes else box
                require(len(boxes) <= MOST, f"more than {MOST} ids in one mask")
    sizes = [(r - x) * (b - y) for x, y, r, b in boxes.values()]
    require(
        max(sizes, default=0) <= BOX_LIMIT and sum(sizes) <= TOTAL_LIMIT,
        "the objects of this mask are larger than what is taken at a time",
    )
    found = {id: np.zeros((b - y, r - x), bool) for id, (x, y, r, b) in boxes.items()}
    for codes, y in _strips(file):
        for layer in codes:
            for id, (left, top, right, bottom) in _boxes(layer, y):
                x0, y0 = boxes[id][:2]
                here = layer[top - y : bottom - y, left:right] == id
                found[id][top - y0 : bottom - y0, left - x0 : right - x0] |= here
    keep = usable_ids(list(found))
    return [
        Region(id if keep else None, mask=Mask(*boxes[id][:2], found[id]).encode())
        for id in sorted(found)
    ]


def class_regions(file: LabelFile, by_class: bool = True) -> list[Region]:
    """An object for every connected region of a number but 0, of the class of that number.

    by_class: otherwise all numbers but 0 are one class without a name.

    Raises:
        UserError: a broken file, or more than is taken.
    """
    height, width = file.size
    require(
        height * width <= WHOLE_LIMIT,
        f"{file.path}: too large for a mask whose regions are to be told apart; give them ids",
    )
    codes, _ = file.codes()
    found: list[Region] = []
    for code in np.unique(codes).tolist() if by_class else [None]:
        if code == 0:
            continue
        chosen = (codes != 0 if code is None else codes == code).any(0)
        name = "" if code is None else code_name(file, code)
        found += [Region(category=name, mask=mask.encode()) for mask in regions_of(chosen)]
        require(len(found) <= MOST, f"more than {MOST} regions in one mask")
    return found


def code_name(file: LabelFile, code: int) -> str:
    """The name of the class of a number: as the file says, else the number or the colour."""
    if code in file.names:
        return class_name(file.names[code])
    if file.is_colour:
        return f"#{code & 255:02X}{code >> 8 & 255:02X}{code >> 16:02X}"
    return str(code)


def regions_of(pixels: np.ndarray) -> Iterator[Mask]:
    """The connected regions of bool [h, w], in order."""
    from scipy.ndimage import find_objects

    labels = components(pixels)
    for number, where in enumerate(find_objects(labels), start=1):
        rows, columns = where
        yield Mask(columns.start, rows.start, labels[where] == number)


def masks_of(regions: Sequence[Region]) -> list[Mask]:
    """The masks of regions that have one."""
    return [Mask.decode(region.mask) for region in regions if region.mask is not None]


def _strips(file: LabelFile) -> Iterator[tuple[np.ndarray, int]]:
    for y in range(0, file.size[0], ROWS):
        yield file.codes(y, min(y + ROWS, file.size[0]))[0], y


def _boxes(part: np.ndarray, y: int) -> Iterator[tuple[int, Box]]:
    """The ids in a strip of rows from `y` on, with their boxes in the picture."""
    from scipy.ndimage import find_objects

    ids, numbers = np.unique(part, return_inverse=True)
    numbers = numbers.reshape(part.shape) + (ids[0] != 0)
    for id, where in zip(ids[ids != 0].tolist(), find_objects(numbers), strict=True):
        rows, columns = where
        yield id, (columns.start, y + rows.start, columns.stop, y + rows.stop)
