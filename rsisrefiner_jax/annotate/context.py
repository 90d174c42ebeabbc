"""What all request handlers share: the project, the model's worker, exports and caches."""

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from rsisrefiner_jax.annotate import safety
from rsisrefiner_jax.annotate.exports import Exports
from rsisrefiner_jax.annotate.imports import Imports
from rsisrefiner_jax.annotate.networks import Networks
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.receiving import Receiver
from rsisrefiner_jax.annotate.refusals import Conflict
from rsisrefiner_jax.annotate.segmenter import Segmenter
from rsisrefiner_jax.annotate.session_results import SessionResults
from rsisrefiner_jax.annotate.tiles import TileCache
from rsisrefiner_jax.annotate.worker import Worker

READERS = 4  # rasters read at the same time, each needing memory


@dataclasses.dataclass
class Context:
    """network: the one in use, as `network_paths` tells it. load: makes the model of a checkpoint.
    upload_quota: GiB of uploaded rasters."""

    project: Project
    worker: Worker
    network: str
    upload_quota: float = safety.UPLOAD_QUOTA
    load: Callable[[Path], Segmenter] | None = None
    tiles: TileCache = dataclasses.field(default_factory=TileCache)
    readers: threading.BoundedSemaphore = dataclasses.field(
        default_factory=lambda: threading.BoundedSemaphore(READERS)
    )

    def __post_init__(self) -> None:
        self.results = SessionResults(self.project, self.worker)
        self.networks = Networks(self.project, self.worker, self.network, self.load)
        quota = int(self.upload_quota * 1024 * safety.MEBIBYTE)
        self.receiver = Receiver(self.project.cache, self.project.uploads, quota)
        self.exports = Exports(self.project)
        self.imports = Imports()


def _context(request: Request) -> Context:
    return request.app.state.context


Here = Annotated[Context, Depends(_context)]


def require_same_project(request: Request, here: Here) -> None:
    """Refuses to change another project than the one that a client names in X-Project.

    Ids coincide between projects, and after a restart another one may be served here.

    Raises:
        Conflict: the header names another project.
    """
    meant = request.headers.get("x-project")
    if request.method not in ("GET", "HEAD") and meant not in (None, here.project.id):
        raise Conflict(
            "this was meant for another project than the one that is served here now; nothing "
            "was done"
        )
