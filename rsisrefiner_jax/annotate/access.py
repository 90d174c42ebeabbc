"""Host names, origins and token of the server, from the options of the command line."""

import dataclasses
import os
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from rsisrefiner_jax.annotate.guard import LOOPBACK
from rsisrefiner_jax.annotate.token_file import project_token, read_private
from rsisrefiner_jax.errors import require

VARIABLE = "RSISREFINER_TOKEN"
SHORTEST = 16  # characters of a token that somebody chose
# Pages of desktop programs have a scheme of their own.
DEFAULT_PORTS = {"http": 80, "https": 443, "tauri": None}


@dataclasses.dataclass(frozen=True)
class Access:
    """Where the server listens, how browsers reach it, and what they must know.

    base_url: the address that browsers use where a proxy stands in between; "{{port}}" in it
    stands for the port. allowed: further origins, as "https://host". token: one that somebody
    chose; else the project has its own.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    base_url: str | None = None
    allowed: tuple[str, ...] = ()
    token: str | None = None
    no_token: bool = False

    def __post_init__(self) -> None:
        """Raises UserError: something cannot be meant."""
        require(0 <= self.port <= 65535, f"--port {self.port}: must lie in 0..65535")
        self.origins(1)

    @property
    def local(self) -> bool:
        return self.host in LOOPBACK

    def token_for(self, project: Path) -> str | None:
        """The token that clients must send; None if none is needed. Raises UserError: it cannot be
        stored."""
        return None if self.no_token else self.token or project_token(project)

    def address(self, port: int, token: str | None) -> str:
        """The address of the page. The token is behind a "#", which browsers send to no server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        own = f"http://{'localhost' if self.local else host}:{port}/"
        return self._base(port, own) + (f"#token={quote(token, safe='')}" if token else "")

    def origins(self, port: int) -> tuple[str, ...]:
        """Origins of pages that may call the server besides its own. Raises UserError: one is no
        origin."""
        given = [("--allow-origin", text) for text in self.allowed]
        if self.base_url:
            given.append(("--base-url", self._base(port)))
        return tuple(_origin(text, option) for option, text in given)

    def hosts(self, port: int) -> tuple[str, ...]:
        """Names under which the server may be asked; () for any."""
        if not self.local:
            return ()
        names = [urlsplit(origin).hostname or "" for origin in self.origins(port)]
        return (*LOOPBACK, *names)

    def prefix(self, port: int) -> str:
        """The prefix that a proxy leaves in front of every path; begins and ends with a slash."""
        return unquote(urlsplit(self._base(port)).path) or "/"

    def _base(self, port: int, default: str = "") -> str:
        if not self.base_url:
            return default
        return self.base_url.replace("{{port}}", str(port)).rstrip("/") + "/"


def _origin(address: str, option: str) -> str:
    """Scheme, host and port as browsers write them into an Origin header."""
    try:
        parts = urlsplit(address.lower())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    beside = parts.query or parts.fragment or parts.username
    require(
        bool(parts.hostname) and parts.scheme in DEFAULT_PORTS and not beside,
        f"{option} {address}: write it as https://host or https://host/path/",
    )
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    shown = "" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{shown}"


def given_token(file: Path | None) -> str | None:
    """The token that somebody chose, from a file, else from the environment.

    Raises:
        UserError: it cannot be used, or others can read the file.
    """
    if file is None and VARIABLE not in os.environ:
        return None
    source = VARIABLE if file is None else f"--token-file {file}"
    token = (os.environ[VARIABLE] if file is None else read_private(file)).strip()
    require(
        len(token) >= SHORTEST and all("!" <= c <= "~" for c in token),
        f"{source}: a token has at least {SHORTEST} letters, digits or signs, and no blanks",
    )
    return token
