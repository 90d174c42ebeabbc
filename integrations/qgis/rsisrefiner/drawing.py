"""Objects drawn by clicks on one image of the server, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .conversation import Conversation
from .server import Request, Server, new_key


class Drawing:
    """The object that is being drawn. What clicks mean is the server's to say.

    A session of the server is opened by the first click; it is there until the object is finished
    or discarded, also after QGIS was closed, for the annotator's page to go on with.

    Args:
        image_id: the image, as the server counts.
        show: is given the session as the server describes it, whenever that changes; None when
            nothing is being drawn.
    """

    def __init__(
        self,
        talk: Conversation,
        server: Server,
        image_id: int,
        show: Callable[[dict[str, Any] | None], None],
    ) -> None:
        self._talk = talk
        self._server = server
        self._image_id = image_id
        self._show = show
        self._begun = False  # or asked for
        self.session: dict[str, Any] | None = None

    def click(self, x: float, y: float, positive: bool = True) -> None:
        """Adds a click, in pixels of the image from the outer edge of the first one."""
        if not self._begun:
            self._begun = True
            start = {"image_id": self._image_id, "key": new_key()}
            self._ask(lambda: self._server.request("POST", "/sessions", start), self._shown)
        if self._begun:  # and not refused already
            click = {"x": x, "y": y, "positive": positive, "key": new_key()}
            self._ask(lambda: self._step("/clicks", click), self._shown)

    def undo(self) -> None:
        """Takes the last click back."""
        self._back_or_forth("/undo")

    def redo(self) -> None:
        """Does again what was taken back last."""
        self._back_or_forth("/redo")

    def accept(self, class_id: int | None, made: Callable[[dict[str, Any]], None]) -> None:
        """Makes an object of it.

        Args:
            class_id: one of the project's classes, or None.
            made: is given the object as the server describes it.
        """
        if not self._begun:
            return

        def finished(object: dict[str, Any]) -> None:
            self._ended()
            made(object)

        self._begun = False  # a click that comes now is another object's
        self._ask(lambda: self._step("/finish", {"class_id": class_id}), finished)

    def discard(self) -> None:
        """Drops it; undo in the annotator's page brings it back."""
        if self._begun:
            self._begun = False
            self._ask(
                lambda: self._server.request("DELETE", f"/sessions/{self._open['id']}"),
                lambda _: self._ended(),
            )

    @property
    def _open(self) -> dict[str, Any]:
        if self.session is None:  # its start waits in front of whatever needs it
            raise RuntimeError("no session has been opened")
        return self.session

    def _step(self, what: str, content: dict[str, Any]) -> Request:
        return self._server.request("POST", f"/sessions/{self._open['id']}{what}", content)

    def _back_or_forth(self, what: str) -> None:
        if self._begun:
            key = {"key": new_key()}
            self._ask(lambda: self._step(what, key), self._shown)

    def _ask(self, make: Callable[[], Request], done: Callable[[Any], None]) -> None:
        self._talk.ask(make, done, self._refused)

    def _refused(self, sentence: str) -> None:
        """Tells it, and looks at the server for what the object is now."""
        self._begun = self.session is not None
        self._talk.failed(sentence)
        if self.session is not None:
            path = f"/sessions/{self.session['id']}"
            self._talk.ask(lambda: self._server.request("GET", path), self._shown, lambda _: None)

    def _shown(self, session: dict[str, Any]) -> None:
        self.session = session
        self._show(session)

    def _ended(self) -> None:
        self.session = None
        self._show(None)
