"""Who may ask, from where, and how much: checked before any route sees a request."""

import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rsisrefiner_jax.annotate.safety import BODY_LIMIT, IMPORT_LIMIT, MEBIBYTE, UPLOAD_LIMIT

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class _TooLarge(Exception):
    pass


class Guard:
    """ASGI middleware.

    Args:
        hosts: names that the Host header may carry; () for any. A page of another site whose name
            was made to point here (DNS rebinding) carries its own.
        token: what every request under /api must bring, if anything.
    """

    def __init__(self, app: App, hosts: tuple[str, ...], token: str | None) -> None:
        self._app = app
        self._hosts = hosts
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        refused = self._refused(scope, headers)
        limit = body_limit(scope["path"], headers)
        length = headers.get("content-length", "0")
        if refused is None and length.isdigit() and int(length) > limit:
            refused = 413, _too_large(limit)
        if refused:
            await _say(send, *refused)
            return
        seen, started = 0, False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _TooLarge
            return message

        async def dressed(message: Message) -> None:
            nonlocal started
            if seen > limit and not started:
                return  # whatever it made of being cut off
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", []), *_encoded(HEADERS)]
            await send(message)

        with contextlib.suppress(_TooLarge):
            await self._app(scope, counted, dressed)
        if seen > limit and not started:
            await _say(send, 413, _too_large(limit))

    def _refused(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = _name(headers.get("host", ""))
        if self._hosts and host not in self._hosts:
            return 421, "this server is asked for under a name that is not its own"
        origin = headers.get("origin")
        if (
            origin is not None
            and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
        ):
            return 403, "pages of other sites may not use this server"
        if self._token is None or not scope["path"].startswith("/api"):
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"))
        given = query.get("token", [""])[0]
        kind, _, value = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            given = value
        if not secrets.compare_digest(given.encode("utf-8", "replace"), self._token.encode()):
            return 401, "a token is needed; open the address that the server printed at start"
        return None


def body_limit(path: str, headers: dict[str, str]) -> int:
    """How many bytes a request may have."""
    if headers.get("content-type", "").startswith("multipart/form-data"):
        return (IMPORT_LIMIT if path.endswith("/import") else UPLOAD_LIMIT) + MEBIBYTE
    return BODY_LIMIT


def _too_large(limit: int) -> str:
    return f"the request is larger than the {limit // MEBIBYTE} MiB that are taken"


def _name(host: str) -> str:
    """The host of a Host header, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(key.lower().encode(), value.encode()) for key, value in headers.items()]


async def _say(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence}).encode()
    headers = _encoded({"content-type": "application/json", "connection": "close", **HEADERS})
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
