"""The known traps, and what a check reports.

A defect should be mended, a doubt be looked at by a person (statistics are only a hint), and a
note says that something which looks wrong is right, or matters only elsewhere.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Literal

Severity = Literal["defect", "doubt", "note"]


@dataclasses.dataclass(frozen=True)
class Trap:
    """A known way for data to be wrong, or to look wrong."""

    severity: Severity
    advice: str  # what it does and the way out


TRAPS: dict[str, Trap] = {
    # Files.
    "missing-file": Trap("defect", "The picture is listed but not there; fetch it again."),
    "zero-bytes": Trap("defect", "A download or copy that failed; fetch the file again."),
    "truncated": Trap(
        "defect", "The file ends early; some readers show a grey rest. Fetch it again."
    ),
    "damaged": Trap("defect", "A checksum inside the file does not hold; fetch it again."),
    "unreadable": Trap("defect", "Cannot be decoded; fetch or convert it."),
    "name-lies": Trap(
        "defect",
        "The content is another format than the name says; it is read by its content here, but "
        "not everywhere. --fix writes true PNGs.",
    ),
    "same-picture": Trap("doubt", "Identical files under several names; objects may count twice."),
    # COCO.
    "json-cut-off": Trap("defect", "The JSON ends early; fetch it again, it cannot be mended."),
    "not-json": Trap("defect", "The annotation file is not JSON; fetch or export it again."),
    "not-coco": Trap("defect", "Export instance annotations: images, annotations, categories."),
    "malformed-entry": Trap("defect", "Images need id and file_name, annotations id and image_id."),
    "missing-size": Trap(
        "defect", "COCO requires width and height; --fix takes them from the pictures."
    ),
    "size-differs": Trap(
        "defect",
        "Picture and annotations are of different sizes: resized, or rotated by an EXIF tag. "
        "The masks would lie beside the objects.",
    ),
    "image-id-twice": Trap("defect", "Two images share an id; whose the annotations are is open."),
    "image-listed-twice": Trap("defect", "One file has several image ids; --fix unites them."),
    "annotation-id-twice": Trap(
        "defect", "Ids are made anew within each picture; --fix numbers the annotations."
    ),
    "category-id-twice": Trap("defect", "The last name counts; give every class its own id."),
    "annotation-without-image": Trap(
        "defect", "Its image id is missing in the image list, so the object is never seen."
    ),
    "no-mask": Trap("defect", "A box without polygon or RLE; such objects are left out."),
    "degenerate-polygon": Trap(
        "defect", "A polygon needs three whole points (x, y); lesser parts are left out."
    ),
    "no-pixel": Trap("defect", "A mask without a single pixel in its picture; it is left out."),
    "no-place": Trap("defect", "It cannot be converted to the raster's coordinate system."),
    "broken-segmentation": Trap("defect", "Neither polygons of numbers nor a fitting RLE."),
    "unknown-category": Trap(
        "defect", "Its category id is not in 'categories', so the object has no class name."
    ),
    "ids-start-at-0": Trap(
        "note",
        "Right here. Elsewhere 0 may mean background or 'no match', as in pycocotools' COCOeval.",
    ),
    # Masks.
    "mask-missing": Trap("defect", "A picture without a mask of the same name."),
    "picture-missing": Trap("defect", "A mask without a picture of the same name."),
    "same-name": Trap("defect", "Two files go by the same name; keep one of them."),
    "lossy-mask": Trap(
        "defect", "JPEG changes values, so that ids and classes appear which nobody drew."
    ),
    "palette-mask": Trap(
        "note",
        "Its values are read as indices into the table of colours. Tools that read the colours "
        "lose classes.",
    ),
    "black-looking-mask": Trap(
        "note", "Right: class codes or ids so small that a viewer shows them as black."
    ),
    "blended-mask": Trap(
        "doubt", "So many rare values look resized with interpolation; use nearest neighbour."
    ),
    "colliding-ids": Trap(
        "note",
        "Right here: ids are decoded exactly (R + 256 G + 65536 B). The authors' released code "
        "wraps in 8 bits, and merges or loses these objects.",
    ),
    "ids-may-wrap": Trap(
        "doubt", "Every 8-bit id is in use; with more than 255 objects, ids would have wrapped."
    ),
    "classes-as-ids": Trap(
        "doubt",
        "Black and white masks of a class; for an object per region take "
        "classes:IMAGES_DIR,MASKS_DIR,class=255.",
    ),
    "class-codes": Trap("note", "Compare the codes with the data set's own table of classes."),
    # Colour.
    "bgr-or-rgb": Trap(
        "doubt",
        "Red and blue may be exchanged. This is a hint from statistics only (water, haze and false "
        "colour look alike): look at --sheet.",
    ),
    # Two splits.
    "category-ids-differ": Trap("defect", "Match the classes of two splits by name, never by id."),
    "class-in-one-split": Trap("note", "A class that only one of the two splits has."),
    "picture-in-both-splits": Trap(
        "defect", "The same picture in both splits: scores on the one are not a test."
    ),
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One trap in one file."""

    trap: str  # a key of TRAPS
    file: str
    message: str

    @property
    def severity(self) -> Severity:
        return TRAPS[self.trap].severity


Check = Callable[[Any], Iterable[Finding]]
_CHECKS: dict[type, list[Check]] = defaultdict(list)


def check(kind: type) -> Callable[[Check], Check]:
    """Registers a check of one kind of set: a function from the set to its findings."""

    def register(function: Check) -> Check:
        _CHECKS[kind].append(function)
        return function

    return register


def run_checks(examined: Any) -> list[Finding]:
    """The findings of every check of this kind of set."""
    return [finding for function in _CHECKS[type(examined)] for finding in function(examined)]
