"""The networks that may answer clicks in a project, and the change from one to another."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.refusals import Conflict, Missing
from rsisrefiner_jax.annotate.segmenter import Segmenter
from rsisrefiner_jax.annotate.worker import Worker
from rsisrefiner_jax.data.project import network_paths
from rsisrefiner_jax.networks import PACKAGED

ABOUT = "about.json"  # beside the weights


class Network(NamedTuple):
    """path: as `network_paths` tells it. name: how clients call it. own: the project's."""

    path: str
    name: str
    note: str
    own: bool
    in_use: bool


class Networks:
    """Those of the project's folder, those of the package, and the one that the server began with.

    Args:
        path: of the one in use, as `network_paths` tells it.
        load: makes the model of a checkpoint; None: there is no other.
    """

    def __init__(
        self,
        project: Project,
        worker: Worker,
        path: str,
        load: Callable[[Path], Segmenter] | None = None,
    ) -> None:
        self._project, self._worker, self._load = project, worker, load
        self._first = self._path = path

    @property
    def in_use(self) -> Network:
        """The one that answers clicks, or is being loaded at the start."""
        return next(one for one in self.all() if one.in_use)

    def all(self) -> list[Network]:
        """The project's own first, the newest before the others."""
        folder = self._project.folder
        own = [network_paths.name_of(path, folder) for path in network_paths.own_networks(folder)]
        paths = dict.fromkeys([*own, *PACKAGED, self._first, self._path])
        named: dict[str, Network] = {}
        for path in paths:
            name = base = path if path in (*own, *PACKAGED) else Path(path).name
            number = 2
            while name in named:
                name, number = f"{base} ({number})", number + 1
            note = _note(network_paths.folder_of(path, folder))
            named[name] = Network(path, name, note, path in own, path == self._path)
        return list(named.values())

    def use(self, name: str) -> None:
        """Loads a network and answers clicks with it from then on.

        Raises:
            Missing: there is none of this name.
            Conflict: another one is being loaded.
            UserError: it cannot be loaded; the one before goes on.
        """
        chosen = next((one for one in self.all() if one.name == name), None)
        if chosen is None:
            raise Missing(f"there is no network {name!r} for this project")
        if chosen.in_use and self._worker.ready:
            return
        if self._load is None:
            raise Conflict("this server has one network alone")
        load, folder = self._load, network_paths.folder_of(chosen.path, self._project.folder)

        def note_down() -> None:
            self._project.use_network(chosen.path)
            self._path = chosen.path

        self._worker.change(lambda: load(folder), note_down)


def _note(checkpoint: Path) -> str:
    """What a checkpoint says of itself, in a line."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return str(json.loads((checkpoint / ABOUT).read_text()).get("note", ""))[:300]
    return ""
