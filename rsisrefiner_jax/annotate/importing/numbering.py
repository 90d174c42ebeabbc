"""Ids and classes of the objects of a file in the project that they come to."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from rsisrefiner_jax.data.project.records import Object
from rsisrefiner_jax.data.project.state import State

COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#42d4f4", "#f032e6", "#bfef45")


@dataclasses.dataclass(frozen=True)
class Numbered:
    """objects, classes: as an event has them; classes are those that are new. renamed: how many
    objects could not keep the ids of their file."""

    objects: list[dict[str, Any]]
    classes: list[dict[str, Any]]
    renamed: int


def numbered(
    found: Sequence[dict[str, Any]], replaced: Mapping[int, Object], state: State
) -> Numbered:
    """Objects keep their "id" where nothing has it; classes are known by their names.

    Args:
        found: as `reading.Reading.items`.
        replaced: of places in `found` the object whose outline it becomes, and whose class and
            attributes stay where it has none.
    """
    taken, renamed, objects = set(state.objects), 0, []
    new = max([state.new_id("object"), *((item["id"] or 0) + 1 for item in found)])
    ids: dict[str, int | None] = {item.name: item.id for item in state.classes.values()}
    classes: list[dict[str, Any]] = []
    for place, item in enumerate(found):
        item, name, old = dict(item), item["class"], replaced.get(place)
        ids[""] = None if old is None else old.class_id
        if old is not None:
            item["id"] = old.id
            item["attributes"] = item["attributes"] or old.attributes
        elif item["id"] is None or item["id"] in taken:
            renamed += item["id"] is not None
            item["id"], new = new, new + 1
        taken.add(item["id"])
        del item["class"]
        if name not in ids:
            ids[name] = id = state.new_id("class") + len(classes)
            colour = COLOURS[(id - 1) % len(COLOURS)]
            classes.append({"id": id, "name": name, "colour": colour})
        objects.append(item | {"class_id": ids[name]})
    return Numbered(objects, classes, renamed)
