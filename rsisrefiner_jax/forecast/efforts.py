"""What finished objects took, as the events of their project tell it."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rsisrefiner_jax.data.project.events import Event
from rsisrefiner_jax.data.project.state import State
from rsisrefiner_jax.evaluation.strata import size_of

BREAK = 60.0  # seconds without a step that count as work at most: longer ones are a break
ENOUGH = 10  # objects of the network in use, from which on those of earlier ones do not count


class Group(NamedTuple):
    """Objects that are alike. None: not known."""

    category: str | None = None  # the class's name, "" for none
    size: str | None = None  # as `strata.size_of` calls it


class Effort(NamedTuple):
    """Of a finished object. clicks: also those that were taken back. seconds: of a person's time,
    from the object finished before it on."""

    id: int
    group: Group
    clicks: int
    seconds: float


def efforts(events: Iterable[Event], folder: Path) -> list[Effort]:
    """Of the objects that were clicked and are there, in the order of their numbers.

    Once ENOUGH were finished with the network in use, only these count. Imported objects count if
    they were corrected by clicks. What was discarded costs nothing here.
    """
    state, seconds = State(folder), defaultdict[int, float](float)
    last: dict[int, float] = {}  # when each session had its last step
    finished: float | None = None
    for event in events:
        state.apply(event)
        session = event.payload.get("session")
        if event.kind == "session_opened":
            session = event.payload["id"]
            if finished is not None:  # looking for it is work, too
                seconds[session] += min(event.time - finished, BREAK)
        elif session in last:
            seconds[session] += min(max(event.time - last[session], 0.0), BREAK)
        if session is not None:
            last[session] = event.time
        if event.kind in ("finished", "discarded"):
            finished = event.time
    return _of_network_in_use(state, _by_object(state, seconds))


def _by_object(state: State, seconds: dict[int, float]) -> list[Effort]:
    """An object may have been gone on with, in a session of its own."""
    clicks, spent = defaultdict[int, int](int), defaultdict[int, float](float)
    for session in state.sessions.values():
        if session.made is not None:
            number = sum(step.mask is None for step in session.everything)
            clicks[session.made.id] += number
            spent[session.made.id] += seconds[session.id]
    names: dict[int | None, str] = {None: ""}
    names |= {item.id: item.name for item in state.classes.values()}
    return [
        Effort(id, Group(names[object.class_id], size_of(object.area_px)), clicks[id], spent[id])
        for id, object in sorted(state.objects.items())
        if clicks[id] and not object.deleted
    ]


def _of_network_in_use(state: State, found: list[Effort]) -> list[Effort]:
    since = state.network_since
    late = [effort for effort in found if state.objects[effort.id].version > since]
    return late if len(late) >= ENOUGH else found
