"""What every request may use."""

import dataclasses
import threading
from typing import Annotated

from fastapi import Depends, Request

from rsisrefiner_jax.annotate.desk import Desk
from rsisrefiner_jax.annotate.exports import Exports
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.tiles import TileCache
from rsisrefiner_jax.annotate.worker import Worker

READERS = 4  # rasters read at the same time, each needing memory


@dataclasses.dataclass
class Context:
    """model_name: the checkpoint's."""

    project: Project
    worker: Worker
    model_name: str
    tiles: TileCache = dataclasses.field(default_factory=TileCache)
    readers: threading.BoundedSemaphore = dataclasses.field(
        default_factory=lambda: threading.BoundedSemaphore(READERS)
    )

    def __post_init__(self) -> None:
        self.desk = Desk(self.project, self.worker)
        self.exports = Exports(self.project)


def _context(request: Request) -> Context:
    return request.app.state.context


Here = Annotated[Context, Depends(_context)]
