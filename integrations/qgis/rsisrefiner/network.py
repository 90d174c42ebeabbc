"""How requests travel: by QGIS's own network manager, so that its proxies and certificates hold.

Nothing waits: Qt calls back in the main thread when a reply is there.
"""

from __future__ import annotations

from collections.abc import Callable

from qgis.core import QgsNetworkAccessManager
from qgis.PyQt.QtCore import QUrl
from qgis.PyQt.QtNetwork import QNetworkReply, QNetworkRequest

from .server import Reply, Request


class Network:
    """Sends requests, as a `Conversation` wants them sent."""

    def __init__(self) -> None:
        self._replies: set = set()

    def send(self, request: Request, done: Callable[[Reply], None]) -> None:
        """Sends a request; `done` is called with what came of it, later."""
        asked = QNetworkRequest(QUrl(request.url))
        for name, value in request.headers.items():
            asked.setRawHeader(name.encode(), value.encode())
        manager = QgsNetworkAccessManager.instance()
        if request.method == "POST":
            reply = manager.post(asked, request.body)
        elif request.method == "DELETE":
            reply = manager.deleteResource(asked)
        else:
            reply = manager.get(asked)
        self._replies.add(reply)  # else it is collected before it is there
        reply.finished.connect(lambda: self._finished(reply, done))

    def close(self) -> None:
        """Gives up what is under way; nobody is called back any more."""
        replies, self._replies = self._replies, set()
        for reply in replies:
            reply.abort()

    def _finished(self, reply: QNetworkReply, done: Callable[[Reply], None]) -> None:
        wanted = reply in self._replies
        self._replies.discard(reply)
        status = reply.attribute(QNetworkRequest.Attribute.HttpStatusCodeAttribute)
        body = bytes(reply.readAll()) if status is not None else reply.errorString().encode()
        reply.deleteLater()
        if wanted:
            done(Reply(status, body))
