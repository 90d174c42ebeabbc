"""Checks between two splits of one data set: shared pictures, different categories."""

import os
from collections.abc import Iterable, Iterator

from rsisrefiner_jax.data.doctor.coco_set import CocoSet
from rsisrefiner_jax.data.doctor.pictures import Picture
from rsisrefiner_jax.data.doctor.traps import Finding


def compare_categories(one: CocoSet, other: CocoSet) -> Iterator[Finding]:
    """Classes whose ids differ, and classes that one of the two lacks."""
    ids = {name: id for id, name in one.names().items()}
    others = {name: id for id, name in other.names().items()}
    for name in sorted(ids.keys() & others.keys()):
        if ids[name] != others[name]:
            message = f"{name!r} is category {ids[name]} here and {others[name]} there"
            yield Finding("category-ids-differ", one.annotations_path, message)
    for path, lacking in (
        (one.annotations_path, others.keys() - ids.keys()),
        (other.annotations_path, ids.keys() - others.keys()),
    ):
        for name in sorted(lacking):
            yield Finding("class-in-one-split", path, f"has no class {name!r}")


def compare_pictures(one: Iterable[Picture], other: Iterable[Picture]) -> Iterator[Finding]:
    """Pictures with identical content in both."""
    there = {picture.digest: picture.path for picture in other if picture.digest}
    for picture in one:
        if picture.digest in there:
            name = os.path.basename(there[picture.digest])
            yield Finding("picture-in-both-splits", picture.path, f"is {name} of the other split")
