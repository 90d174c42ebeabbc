"""Objects being drawn: the sessions of a project."""

import json
from typing import Any

from rsisrefiner_jax.annotate.recorded_state import RecordedState, lookup
from rsisrefiner_jax.annotate.refusals import Conflict, Missing
from rsisrefiner_jax.data.project.records import Image, Object, Session
from rsisrefiner_jax.data.project.state import State, recipe_to
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.masks import Mask


class Sessions:
    """Sessions, the objects being drawn: start, click, undo, finish. Any thread may call it."""

    def __init__(self, recorded: RecordedState) -> None:
        self._recorded = recorded
        self._state = recorded.state

    def get(self, id: int, must_be_open: bool = True) -> Session:
        """Raises Missing, and Conflict when it is finished or discarded."""
        with self._recorded.lock:
            session: Session = lookup(self._state.sessions, id, "session")
            if must_be_open and not session.open:
                raise Conflict(f"session {id} is finished; open another one")
            return session

    def all(self, image_id: int | None = None, only_open: bool = True) -> list[Session]:
        with self._recorded.lock:
            return [
                session
                for session in self._state.sessions.values()
                if (session.open or not only_open) and image_id in (None, session.image_id)
            ]

    def start(
        self,
        image_id: int,
        object_id: int | None = None,
        box: tuple[float, float, float, float] | None = None,
        click: tuple[float, float] | None = None,
        key: str | None = None,
    ) -> Session:
        """Starts an object, or goes on with one.

        Args:
            click: where the box gets its first.
            key: asked for twice with the same one, it happens once.
        """
        with self._recorded.lock:
            if key is not None and (earlier := self._recorded.journal.with_key(f"open/{key}")):
                return self._state.sessions[earlier.payload["id"]]
            image: Image = lookup(self._state.images, image_id, "image")
            start = None
            if object_id is not None:
                object = undeleted(self._state, object_id)
                require(
                    object.image.id == image_id, f"object {object_id} is not on image {image_id}"
                )
                start = object.encoded
            id = self._state.new_id("session")
            self._recorded.record(
                "session_opened",
                {
                    "id": id,
                    "image_id": image_id,
                    "object_id": object_id,
                    "box": box,
                    "start": start,
                    "recipe": recipe_to(image.recipe),
                    "click": click,
                },
                None if key is None else f"open/{key}",
            )
            return self._state.sessions[id]

    def step(
        self,
        id: int,
        kind: str,
        fields: dict[str, Any] | None = None,
        key: str | None = None,
        seen: Session | None = None,
    ) -> Session:
        """Adds a click or mask, or takes a step back or forth: "click", "mask", "undo", "redo".

        Args:
            key: asked for twice with the same one, it happens once.
            seen: the session as it was when the step was made for it.

        Raises:
            Conflict: there is nothing to undo or redo, or the session has gone on since.
        """
        with self._recorded.lock:
            session = self.get(id)
            key = None if key is None else f"{id}/{key}"
            if key is not None and self._recorded.journal.with_key(key):
                return session
            if seen is not None:
                _require_still(session, seen)
            if kind == "undo" and not session.steps:
                raise Conflict("nothing to undo")
            if kind == "redo" and not session.undone:
                raise Conflict("nothing to redo")
            self._recorded.record(kind, {"session": id, **(fields or {})}, key)
            return self._state.sessions[id]

    def also_refining(self, session: Session) -> list[int]:
        """The other open ones that refine the same object."""
        if session.refined is None or not session.open:
            return []
        with self._recorded.lock:
            return [
                other.id
                for other in self._state.sessions.values()
                if other.open and other.object_id == session.object_id and other.id != session.id
            ]

    def outdated(self, session: Session) -> bool:
        """Whether the object that it refines has other pixels by now, or is deleted."""
        if session.refined is None or not session.open:
            return False
        with self._recorded.lock:
            now = self._state.objects[session.refined.id]
        return now.deleted or now.version != session.refined.version

    def finish(
        self,
        session: Session,
        mask: Mask,
        class_id: int | None,
        attributes: dict[str, Any],
        overwrite: bool = False,
    ) -> Object:
        """Makes an object of a session, or gives the refined one its new pixels.

        Args:
            overwrite: also when that one has other pixels than the session began with.

        Raises:
            Conflict: there is no pixel, the session has gone on since, or its object has changed.
        """
        if not mask.area:
            raise Conflict("nothing to finish: the object has no pixel yet")
        with self._recorded.lock:
            _require_still(self.get(session.id), session)
            check_class(self._state, class_id)
            kept = None
            if session.refined is None:
                id = self._state.new_id("object")
            else:
                id = session.refined.id
                if self.outdated(session) and not overwrite:
                    raise Conflict(
                        f"object {id} was changed or deleted after this refinement began; finish "
                        "it with overwrite, or discard it"
                    )
                # An outline that nothing changed.
                kept = None if session.steps else session.refined.drawn
            item = {
                "id": id,
                "class_id": class_id,
                "attributes": attributes,
                "mask": mask.encode(),
                "drawn": kept,
                "clicks": session.clicks_behind,
            }
            self._recorded.record("finished", {"session": session.id, "object": item})
            return self._state.objects[id]

    def require_same(self, session: Session, asked: dict[str, Any]) -> None:
        """Checks that a finished session is not asked to be finished in another way.

        asked: "class_id" and "attributes", where they are given.

        Raises:
            Conflict: it was finished with another of them.
            UserError: there is no such class.
        """
        made = session.made
        assert made is not None
        others = [name for name in asked if not _alike(asked[name], getattr(made, name))]
        if not others:
            return
        with self._recorded.lock:
            check_class(self._state, asked.get("class_id"))
        raise Conflict(
            f"session {session.id} was finished with another {' and '.join(others)}; use "
            f"PATCH /api/objects/{made.id} to change them"
        )

    def discard(self, id: int) -> int | None:
        """Drops it; the edit by which undo brings it back, unless nothing was drawn."""
        with self._recorded.lock:
            session = self.get(id, must_be_open=False)
            if session.open:
                self._recorded.record("discarded", {"session": id})
            edits = reversed(self._state.histories[session.image_id].done)
            return next((edit.event for edit in edits if edit.session == id), None)


def _require_still(now: Session, seen: Session) -> None:
    """Raises Conflict: a session has gone on since."""
    if now.steps != seen.steps:
        raise Conflict(f"session {seen.id} has been clicked on meanwhile; look again")


def _alike(one: Any, other: Any) -> bool:
    """Whether two values are the same as JSON, in which 1 is not True."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def undeleted(state: State, id: int) -> Object:
    """An object. Raises Missing, also when it is deleted."""
    object: Object = lookup(state.objects, id, "object")
    if object.deleted:
        raise Missing(f"object {id} is deleted; restore it first")
    return object


def check_class(state: State, id: int | None) -> None:
    """Raises UserError: there is no such class."""
    require(id is None or id in state.classes, f"class_id {id}: there is no such class")
