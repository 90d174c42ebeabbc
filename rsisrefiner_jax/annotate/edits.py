"""Undo and redo of what happened to the objects of an image."""

import dataclasses

from rsisrefiner_jax.annotate.recorded_state import RecordedState, lookup
from rsisrefiner_jax.annotate.refusals import Conflict
from rsisrefiner_jax.data.project.records import Object, Session, measure
from rsisrefiner_jax.data.project.undo_history import Edit, History


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The objects of an edit as they are after undo or redo. session: one that undo reopened."""

    edit: Edit
    changed: list[Object]
    removed: list[int]
    session: Session | None


class Edits:
    """Undo and redo of a project's edits. Any thread may call it."""

    def __init__(self, recorded: RecordedState) -> None:
        self._recorded = recorded
        self._state = recorded.state

    def ends(self, image_id: int) -> tuple[Edit | None, Edit | None]:
        """The edits that undo and redo would move next. Raises Missing: there is no such image."""
        with self._recorded.lock:
            lookup(self._state.images, image_id, "image")
            history = self._state.histories[image_id]
            undo, redo = ([None, *edits][-1] for edits in (history.done, history.undone))
            return undo, redo

    def move(
        self, kind: str, image_id: int, event: int | None = None, key: str | None = None
    ) -> Outcome:
        """Undoes the last edit of an image or does it again: "undo", "redo".

        Args:
            event: the edit that is meant, where it is to be no other.
            key: asked for twice with the same one, it happens once.

        Raises:
            Conflict: there is nothing, or something else, to undo or redo.
        """
        with self._recorded.lock:
            lookup(self._state.images, image_id, "image")
            key = None if key is None else f"history/{image_id}/{key}"
            earlier = self._recorded.journal.with_key(key) if key is not None else None
            if earlier is not None:  # an edit is called "deed" in journals
                edit = self._state.edits[earlier.payload["deed"]]
            else:
                edit = _next(self._state.histories[image_id], kind, event)
                name = "undone" if kind == "undo" else "redone"
                self._recorded.record(name, {"image_id": image_id, "deed": edit.event}, key)
            outcome = self._outcome(edit)
        measure(outcome.changed)
        return outcome

    def _outcome(self, edit: Edit) -> Outcome:
        records = [self._state.objects[object.id] for object in edit.after]
        changed = [object for object in records if not object.deleted]
        session = None if edit.session is None else self._state.sessions[edit.session]
        return Outcome(
            edit,
            changed,
            [object.id for object in records if object.deleted],
            session if session and session.open else None,
        )


def _next(history: History, kind: str, event: int | None) -> Edit:
    """The edit that undo or redo moves next. Raises Conflict: none, or not the one meant."""
    edits = history.done if kind == "undo" else history.undone
    if not edits:
        raise Conflict(f"nothing to {kind}")
    if event is not None and edits[-1].event != event:
        raise Conflict(f"{edits[-1].label} comes first; {kind} that before")
    return edits[-1]
