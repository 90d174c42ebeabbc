"""Data SPEC strings: what `data.train`, `data.eval` and `--data` may name.

    synthetic[:train|val|test][@SIZE]     pictures made on the fly, SIZE x SIZE (384) pixels
    coco:IMAGES_DIR,ANNOTATIONS.json      your own pictures with COCO instances

A new kind is one opener, added to `_OPENERS` under the word in front of the colon.
"""

import difflib
from collections.abc import Callable

from rsisrefiner_jax.data.scene import Source
from rsisrefiner_jax.errors import UserError

# Data sets that exist by name once they have been prepared.
PREPARED = ("isaid", "loveda_urban", "nwpu", "potsdam", "sandbar", "whu_building")


def open_source(spec: str) -> Source:
    """The data set that `spec` names.

    Raises:
        UserError: unknown kind or name, a data set that is not prepared here, or bad files.
    """
    name, _, argument = spec.strip().partition(":")
    if name in _OPENERS:
        return _OPENERS[name](argument)
    if name in PREPARED:
        raise UserError(
            f"data set {spec!r} is not prepared on this machine; point data.train, data.eval or "
            "--data at your own pictures with coco:IMAGES_DIR,ANNOTATIONS.json"
        )
    known = sorted([*_OPENERS, *PREPARED])
    raise UserError(f"unknown data set {spec!r}{_nearest(name, known)}; known: {', '.join(known)}")


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word.lower(), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


# The imports are inside: opening one kind should not cost the dependencies of all.
def _open_coco(argument: str) -> Source:
    from rsisrefiner_jax.data.coco import CocoSource

    images_dir, comma, annotations = argument.rpartition(",")
    if not (comma and images_dir and annotations):
        raise UserError(f"data 'coco:{argument}': expected coco:IMAGES_DIR,ANNOTATIONS.json")
    return CocoSource(images_dir.strip(), annotations.strip())


def _open_synthetic(argument: str) -> Source:
    from rsisrefiner_jax.data.synthetic import SyntheticSource

    splits = ["train", "val", "test"]
    split, _, size = argument.partition("@")
    split = split or "train"
    if split not in splits:
        raise UserError(
            f"data 'synthetic:{split}'{_nearest(split, splits)}; the splits are {', '.join(splits)}"
        )
    if not (size.isdigit() or size == ""):
        raise UserError(f"data 'synthetic:{argument}': {size!r} is not a size in pixels")
    return SyntheticSource(split, int(size or 384))


_OPENERS: dict[str, Callable[[str], Source]] = {
    "coco": _open_coco,
    "synthetic": _open_synthetic,
}
