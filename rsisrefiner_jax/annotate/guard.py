"""Who may ask, from where, and how much: checked before any route sees a request."""

import base64
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote, urlsplit

from rsisrefiner_jax.annotate.safety import BODY_LIMIT, IMPORT_LIMIT, MEBIBYTE, UPLOAD_LIMIT

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BEHIND_PROXY = "behind a proxy, start it with --base-url and the address that browsers show"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# The first part of paths that need the token: all but the page, which holds nothing of anybody's.
SAMGEO = ("segment", "models", "health")  # routes/samgeo.py; asked by pages of other sites, too
GUARDED = ("api", *SAMGEO)
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
        token: what every request for a guarded path must bring, if anything: as "Authorization:
            Bearer", as the password of "Authorization: Basic" or, where a proxy uses that header
            itself, as "X-Annotator-Token". In an address it would stand in histories and logs, so
            it does not count there.
        origins: of pages that may ask although the Host header has another name: a proxy may
            write its own there. As browsers write them ("https://hub.example"). Pages of other
            sites among them may ask for what is made for them (SAMGEO), and for nothing else.
        prefix: the path under which a proxy shows this server, whether it removes it or not.
    """

    def __init__(
        self,
        app: App,
        hosts: tuple[str, ...],
        token: str | None,
        origins: tuple[str, ...] = (),
        prefix: str = "/",
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._token = token
        self._origins = origins
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        if scope["path"] + "/" == self._prefix:  # the page's addresses are relative to the slash
            await _say(send, 307, "it is here, with a slash", location=quote(self._prefix))
            return
        if scope["path"].startswith(self._prefix):
            scope = {**scope, "path": "/" + scope["path"].removeprefix(self._prefix)}
        readable = self._readable(scope["path"], headers)
        refused = self._refused(scope["path"], headers, bool(readable))
        limit = body_limit(scope["path"], headers)
        length = headers.get("content-length", "0")
        if refused is None and length.isdigit() and int(length) > limit:
            refused = 413, _too_large(limit)
        if refused:
            status, sentence = refused
            await _say(send, status, sentence, **readable)
            return
        await self._counted(limit, scope, receive, send, readable)

    async def _counted(
        self, limit: int, scope: Scope, receive: Receive, send: Send, readable: dict[str, str]
    ) -> None:
        """Hands on a request of at most `limit` bytes. readable: further headers of the reply."""
        dress = _encoded({**HEADERS, **readable})
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
                message["headers"] = [*message.get("headers", []), *dress]
            await send(message)

        with contextlib.suppress(_TooLarge):
            await self._app(scope, counted, dressed)
        if seen > limit and not started:
            await _say(send, 413, _too_large(limit), **readable)

    def _readable(self, path: str, headers: dict[str, str]) -> dict[str, str]:
        """What lets a page of another site read the reply, where it may (CORS); else nothing."""
        origin = headers.get("origin", "")
        if _room(path) not in SAMGEO or origin.lower() not in self._origins:
            return {}
        return {"access-control-allow-origin": origin, "vary": "Origin"}

    def _refused(
        self, path: str, headers: dict[str, str], from_other_site: bool
    ) -> tuple[int, str] | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._hosts and _name(host) not in self._hosts:
            return 421, f"this server is asked for under a name that is not its own; {BEHIND_PROXY}"
        if origin is not None and not self._own(origin.lower(), host.lower()):
            return 403, f"pages of other sites may not use this server; {BEHIND_PROXY}"
        if _room(path) not in GUARDED:
            return None
        # Browsers say so of every request, also of those without an Origin (links, images).
        here = headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        if not here and not from_other_site:
            return 403, "pages of other sites may not use this server"
        given = headers.get("x-annotator-token") or _token(headers.get("authorization", ""))
        if self._token is not None and not secrets.compare_digest(
            given.encode("utf-8", "replace"), self._token.encode()
        ):
            return 401, "a token is needed; open the address that the server printed at start"
        return None

    def _own(self, origin: str, host: str) -> bool:
        return origin in self._origins or origin.partition("://")[2] == host


def body_limit(path: str, headers: dict[str, str]) -> int:
    """How many bytes a request may have."""
    if headers.get("content-type", "").startswith("multipart/form-data"):
        if path.endswith(("/import", "/import/preview")):
            return IMPORT_LIMIT + MEBIBYTE
        if path in ("/api/images", "/segment/predict"):
            return UPLOAD_LIMIT + MEBIBYTE
    return BODY_LIMIT


def _room(path: str) -> str:
    """The first part of a path."""
    return path.split("/")[1] if path.startswith("/") else ""


def _token(authorization: str) -> str:
    """What a client brings in its Authorization header; "" where that is none."""
    kind, _, value = authorization.partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":  # as clients make it of http://user:TOKEN@host
        with contextlib.suppress(ValueError):
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
    return ""


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


async def _say(send: Send, status: int, sentence: str, **further: str) -> None:
    body = json.dumps({"detail": sentence}).encode()
    about = {"content-type": "application/json", "connection": "close", "cache-control": "no-store"}
    headers = _encoded({**about, **further, **HEADERS})
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
