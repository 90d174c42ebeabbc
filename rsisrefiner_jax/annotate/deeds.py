"""Undo and redo of what happened to the objects of an image."""

import dataclasses

from rsisrefiner_jax.annotate.faults import Conflict
from rsisrefiner_jax.annotate.ledger import Ledger, lookup
from rsisrefiner_jax.data.project.records import Drawing, Object, measure
from rsisrefiner_jax.data.project.undo_history import Deed, History


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a deed is about, as it is now. session: the one brought back."""

    deed: Deed
    changed: list[Object]
    removed: list[int]
    session: Drawing | None


class Deeds:
    """What clients may do with the history of a project. Any thread may call it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._state = ledger.state

    def ends(self, image_id: int) -> tuple[Deed | None, Deed | None]:
        """What undo and redo would do next. Raises Missing: there is no such image."""
        with self._ledger.lock:
            lookup(self._state.images, image_id, "image")
            history = self._state.histories[image_id]
            undo, redo = ([None, *deeds][-1] for deeds in (history.done, history.undone))
            return undo, redo

    def move(
        self, kind: str, image_id: int, event: int | None = None, key: str | None = None
    ) -> Outcome:
        """Undoes the last deed of an image or does it again: "undo", "redo".

        Args:
            event: the deed that is meant, where it is to be no other.
            key: asked for twice with the same one, it happens once.

        Raises:
            Conflict: there is nothing, or something else, to undo or redo.
        """
        with self._ledger.lock:
            lookup(self._state.images, image_id, "image")
            key = None if key is None else f"history/{image_id}/{key}"
            earlier = self._ledger.journal.with_key(key) if key is not None else None
            if earlier is not None:
                deed = self._state.deeds[earlier.payload["deed"]]
            else:
                deed = _next(self._state.histories[image_id], kind, event)
                name = "undone" if kind == "undo" else "redone"
                self._ledger.record(name, {"image_id": image_id, "deed": deed.event}, key)
            outcome = self._outcome(deed)
        measure(outcome.changed)
        return outcome

    def _outcome(self, deed: Deed) -> Outcome:
        records = [self._state.objects[object.id] for object in deed.after]
        changed = [object for object in records if not object.deleted]
        session = None if deed.session is None else self._state.drawings[deed.session]
        return Outcome(
            deed,
            changed,
            [object.id for object in records if object.deleted],
            session if session and session.open else None,
        )


def _next(history: History, kind: str, event: int | None) -> Deed:
    """What undo or redo would do next. Raises Conflict: nothing, or not the deed that is meant."""
    deeds = history.done if kind == "undo" else history.undone
    if not deeds:
        raise Conflict(f"nothing to {kind}")
    if event is not None and deeds[-1].event != event:
        raise Conflict(f"{deeds[-1].label} comes first; {kind} that before")
    return deeds[-1]
