"""Requests to the annotator's server and what its replies mean."""

from __future__ import annotations

import json
import uuid
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit


class Request(NamedTuple):
    """What is sent. method: GET, POST or DELETE. body: b"" for none."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    """What came back. status: None where no server answered; body then says why not."""

    status: int | None
    body: bytes


class Refused(Exception):
    """The server did not do it, or was not there. The message is one sentence for the user."""


class Server(NamedTuple):
    """A server's address, "http://host:8000", and what its clients must know.

    token: "" where it asks for none. project: its id, once known; the server then refuses to
    change another project than this one.
    """

    base: str
    token: str = ""
    project: str = ""

    def request(self, method: str, path: str, content: Any = None) -> Request:
        """A request to a path under /api, content as JSON."""
        headers = {"Accept": "application/json"}
        if self.token:
            # Its own header: proxies use "Authorization" themselves.
            headers["X-Annotator-Token"] = self.token
        if self.project:
            headers["X-Project"] = self.project
        body = b""
        if content is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(content).encode()
        return Request(method, f"{self.base}/api{path}", headers, body)


def server_at(address: str) -> Server:
    """The server at an address as it prints it at start, with its token behind "#".

    Raises:
        Refused: it is no address of the web.
    """
    try:
        parts = urlsplit(address.strip())
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        known = False
    if not known:
        raise Refused(
            'paste the address that the server printed after "open", such as '
            "http://localhost:8000/#token=..."
        )
    name, _, token = parts.fragment.partition("=")
    base = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
    return Server(base, unquote(token) if name == "token" else "")


def understood(reply: Reply) -> Any:
    """The content of a reply.

    Raises:
        Refused: with the server's own sentence.
    """
    if reply.status is None:
        why = reply.body.decode("utf-8", "replace").strip()
        raise Refused(f"the annotator's server cannot be reached ({why}); is it running?")
    try:
        content = json.loads(reply.body)
    except ValueError:
        raise Refused(
            f"what answers at this address is not the annotator's server (status {reply.status})"
        ) from None
    if reply.status >= 400:
        detail = content.get("detail") if isinstance(content, dict) else None
        raise Refused(str(detail or f"the server refused without a reason ({reply.status})"))
    return content


def new_key() -> str:
    """A name for a request: sent again with the same one it happens once."""
    return uuid.uuid4().hex
