"""What the module of a data set must define, and how it is found by the name of the data set."""

import dataclasses
import importlib
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rsisrefiner_jax.data.builders.files import Files
from rsisrefiner_jax.data.builders.pictures import Pair, PairedPictures, Pictures
from rsisrefiner_jax.data.builders.regions import Annotation
from rsisrefiner_jax.data.spec import PREPARED
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.label_image import read_labels

OFFICIAL = PREPARED
VERSION = "1.0.0"  # of all data sets; goes up when the same files become other records
GENERIC = ("classes", "coco", "geo", "instances", "project", "synthetic", "yolo")

Key = tuple[str, str]  # split, name
PICTURE = r"\.(?:png|jpe?g|tiff?|bmp)$"  # case is ignored


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be prepared.

    source: the `--from`: a folder, or what the SPEC takes after its colon.
    scratch: a folder for what has to be unpacked meanwhile.
    classes: names of the classes whose regions become objects; () = the data set's own choice.
    recipe: how files of one's own become RGB.
    """

    source: str
    scratch: str
    classes: tuple[str, ...] = ()
    recipe: Recipe = dataclasses.field(default_factory=Recipe)


@dataclasses.dataclass(frozen=True)
class Layout:
    """One data set.

    description, homepage, citation: what goes with the records; "" where there is none.
    find: the pictures of each split. Raises UserError when nothing of the kind is there.
    accepted: the folders that `find` knows, one a line, for messages and `--help`.
    licence: what is known of the terms of use.
    note: how objects are made, and anything a reader of the numbers has to know.
    classes: names of the classes that one may choose from.
    paper_objects: objects that the paper evaluates on, and of which split (None = all).
    """

    find: Callable[[Request], dict[str, Pictures]]
    accepted: str
    licence: str
    note: str
    classes: Sequence[str] = ()
    description: str = ""
    homepage: str = ""
    citation: str = ""
    paper_objects: int | None = None
    paper_split: str | None = None


def find_layout(name: str) -> Layout:
    """The layout of a data set named in OFFICIAL or GENERIC."""
    if name in GENERIC:
        return importlib.import_module(f"{__package__}.own_data").LAYOUTS[name]
    return importlib.import_module(f"{__package__}.{name}").LAYOUT


def nothing_found(files: Files, wanted: str, accepted: str) -> UserError:
    """The error for a folder that holds no accepted layout."""
    packed = f"; unpack {files.archives[0]} first" if files.archives else ""
    return UserError(f"{files.root}: no {wanted} below this folder{packed}. Accepted: {accepted}")


def choose(known: Mapping[str, int], classes: Sequence[str]) -> dict[str, int]:
    """Name -> code of the chosen classes, in the order of the data set."""
    return {name: code for name, code in known.items() if name in classes}


def matches(files: Files, pattern: str, split: str = "test") -> dict[Key, str]:
    """The files whose name matches, each under its split and name; plain ones before archived.

    Args:
        pattern: regular expression, searched in "/" + the name without regard to case. Its group
            `name` says the name and its group `split`, if it has one, the split.
        split: the split of those whose pattern does not say.
    """
    found: dict[Key, str] = {}
    for file in files.names:
        if match := re.search(pattern, f"/{file}", re.IGNORECASE):
            groups = match.groupdict()
            found.setdefault(((groups.get("split") or split).lower(), groups["name"]), file)
    return found


def pictures(
    files: Files,
    images: Mapping[Key, str],
    masks: Sequence[Mapping[Key, str]],
    annotate: Callable[..., Annotation],
    readers: Sequence[Callable[[str], np.ndarray]] = (read_labels,),
    size: int | None = None,
    overlap: int = 0,
) -> dict[str, Pictures]:
    """The pictures of every split that has some with a mask, in natural order of name.

    Args:
        images, masks: as `matches` returns them. The first of `masks` is needed; pictures without
            it and masks without a picture are kept for `PairedPictures` to complain about.
        annotate, readers, size, overlap: as `PairedPictures` takes them.
    """
    needed = masks[0]
    splits = {split for split, _ in images.keys() & needed.keys()}
    pairs: dict[str, list[Pair]] = {split: [] for split in sorted(splits)}
    for key in sorted(images.keys() | needed.keys(), key=lambda key: natural(key[1])):
        if key[0] in pairs:
            own = [found[key] for found in masks if key in found] if key in needed else []
            pairs[key[0]].append(Pair(key[1], images.get(key), tuple(own)))
    return {
        split: PairedPictures(files, items, readers, annotate, size, overlap)
        for split, items in pairs.items()
    }


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts P10 behind P9."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
