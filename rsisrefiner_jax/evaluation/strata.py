"""The objects of a data set in groups: by size and by class."""

from collections.abc import Iterable

from rsisrefiner_jax.evaluation.runs import Line

# Areas in pixels from which on an object is medium or large, as COCO's evaluation has them.
MEDIUM, LARGE = 32**2, 96**2


def size_of(area_px: int) -> str:
    """The size group of an area."""
    if area_px < MEDIUM:
        return f"small (below {MEDIUM} px)"
    if area_px < LARGE:
        return "medium"
    return f"large ({LARGE} px and more)"


def by_size(objects: Iterable[Line]) -> dict[str, list[Line]]:
    """Size group -> its objects, the smallest first; without empty groups."""
    groups: dict[str, list[Line]] = {}
    for one in sorted(objects, key=lambda one: one["area_px"]):
        groups.setdefault(size_of(one["area_px"]), []).append(one)
    return groups


def by_class(objects: Iterable[Line]) -> dict[str, list[Line]]:
    """Class -> its objects, in the order of the names."""
    groups: dict[str, list[Line]] = {}
    for one in sorted(objects, key=lambda one: one["class"]):
        groups.setdefault(one["class"] or "without a class", []).append(one)
    return groups
