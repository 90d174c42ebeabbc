"""about.json: what is in a prepared data set, beside its records."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from rsisrefiner_jax.data.builders.layout import Layout
from rsisrefiner_jax.data.builders.picture_records import load_picture_records
from rsisrefiner_jax.data.object_hash import object_hash


def describe(
    layout: Layout, files: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Counts what is in the files of records of each split.

    Returns:
        The content of about.json: counts by split and class, object hashes, licence, notes, and
        the pictures that were left out; and the files that hold a record, by split.
    """
    splits: dict[str, Any] = {}
    used: dict[str, list[str]] = {}
    left_out: list[str] = []
    listed: list[tuple[str, int, int]] = []
    for split, paths in files.items():
        own: list[tuple[str, int, int]] = []
        classes: collections.Counter[str] = collections.Counter()
        scenes = empty = 0
        for path in paths:
            found = load_picture_records(path)
            empty += found.empty
            left_out += [found.problem] if found.problem else []
            if found.scenes:
                used.setdefault(split, []).append(path)
            for scene, objects in found.scenes:
                scenes += 1
                classes.update(category for _, category, _ in objects)
                own += [(scene, id, area) for id, _, area in objects if area]
        if scenes:
            splits[split] = {
                "scenes": scenes,
                "scenes_without_object": empty,
                "objects": sum(classes.values()),
                "classes": dict(sorted(classes.items())),
                "object_hash": object_hash(own),
            }
        listed += own
    content = {
        "splits": splits,
        "objects": sum(split["objects"] for split in splits.values()),
        "object_hash": object_hash(listed),
        "paper": _against_paper(layout, splits),
        "note": layout.note,
        "licence": layout.licence,
        "pictures": sum(map(len, files.values())),
        "left_out": left_out,
    }
    return content, used


def _against_paper(layout: Layout, splits: Mapping[str, Any]) -> str:
    """A sentence on the number of objects; "" where the paper evaluates none."""
    if layout.paper_objects is None:
        return ""
    chosen = {
        split: entry for split, entry in splits.items() if layout.paper_split in (None, split)
    } or splits
    objects = sum(entry["objects"] for entry in chosen.values())
    where = ", ".join(chosen)
    if objects == layout.paper_objects:
        return f"{where} has {objects} objects, as many as in the paper."
    return (
        f"{where} has {objects} objects where the paper evaluates {layout.paper_objects}: its "
        "subset is not published, so figures on this data set are not comparable to the paper's "
        "one to one."
    )
