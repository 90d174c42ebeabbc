"""Which image of the server is the raster that QGIS shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .conversation import Conversation
from .grid import Grid
from .server import Request, Server

Bounds = tuple[float, float, float, float]  # left, bottom, right, top


class ImageSearch:
    """Finds a raster file among the images of a server, or has it opened there.

    The server may run elsewhere: it knows its files by the names of the folders that it was
    started with and what follows. The candidates are tried one after the other; the first that
    covers the same ground is the one.
    """

    def __init__(self, talk: Conversation, server: Server) -> None:
        self._talk = talk
        self._server = server

    def find(
        self,
        path: str,
        bounds: Bounds,
        found: Callable[[dict[str, Any]], None],
        missing: Callable[[str], None],
    ) -> None:
        """Looks for the file at a path of this machine that covers `bounds`.

        Args:
            found: is given the image as the server describes it.
            missing: is told in a sentence that there is none.
        """
        name = _parts(path)[-1] if _parts(path) else path
        ask, request = self._talk.ask, self._server.request

        def listed(roots: dict[str, Any]) -> None:
            opening = [
                request("POST", "/images", {"path": there})
                for there in candidates(path, roots["folders"])
            ]
            ask(
                lambda: request("GET", "/project"),
                lambda project: self._try(
                    opening + _of_that_name(request, project["images"], name),
                    name,
                    bounds,
                    found,
                    missing,
                ),
            )

        ask(lambda: request("GET", "/roots"), listed)

    def _try(
        self,
        requests: list[Request],
        name: str,
        bounds: Bounds,
        found: Callable[[dict[str, Any]], None],
        missing: Callable[[str], None],
    ) -> None:
        if not requests:
            missing(
                f"the server has no {name} that covers this ground; start it with the folder of "
                "the file: rsisrefiner annotate FOLDER"
            )
            return
        first, *others = requests

        def go_on(_: str = "") -> None:
            self._try(others, name, bounds, found, missing)

        def answered(image: dict[str, Any]) -> None:
            if covers(image, bounds):
                found(image)
            else:
                go_on()

        self._talk.ask(lambda: first, answered, go_on)


def candidates(path: str, roots: list[str]) -> list[str]:
    """What a file may be called on a server that was started with folders of these names."""
    parts = _parts(path)
    under = ["/".join(parts[i:]) for i, part in enumerate(parts[:-1]) if part in roots]
    beside = [f"{root}/{parts[-1]}" for root in roots] if parts else []
    return list(dict.fromkeys(under + beside))


def covers(image: dict[str, Any], bounds: Bounds) -> bool:
    """Whether an image lies where a raster of QGIS does.

    QGIS shows turned rasters in an upright frame whose pixels are of another size, so a pixel or
    two more or less say nothing.
    """
    own = Grid(image["transform"]).bounds(image["width"], image["height"])
    width, height = own[2] - own[0], own[3] - own[1]
    room = 0.01 * max(width, height) + 2 * max(width / image["width"], height / image["height"])
    return all(abs(a - b) <= room for a, b in zip(own, bounds))


def _of_that_name(
    request: Callable[..., Request], images: list[dict[str, Any]], name: str
) -> list[Request]:
    return [request("GET", f"/images/{one['id']}") for one in images if one["name"] == name]


def _parts(path: str) -> list[str]:
    return [part for part in re.split(r"[\\/]+", path) if part]
