"""Paths of rasters, relative to the project's folder, so that both may be moved together.

".." leads out of the folder that a link points to, not out of the one that holds the link. Either
may be what is moved together with the raster, so a raster is told of from both.
"""

import os
from collections.abc import Sequence
from pathlib import Path


def relative_paths(file: Path, folder: Path) -> dict[str, str]:
    """What an event says of a file: "path", from the real folder, and where that is another one,
    "beside", from the folder as it is called."""
    # The raster itself may be a link to one elsewhere, and is then what is moved along.
    parent, name = os.path.split(os.path.abspath(file))
    path = os.path.relpath(os.path.join(os.path.realpath(parent), name), os.path.realpath(folder))
    beside = os.path.relpath(os.path.abspath(file), os.path.abspath(folder))
    return {"path": path} | ({"beside": beside} if beside != path else {})


def resolved(payload: dict[str, str], folder: Path) -> Path:
    """The inverse of `relative_paths`: whichever is there; the real folder's when none is.

    Events of earlier versions have a "path" from the folder as it was called.
    """
    real = _joined(os.path.realpath(folder), payload["path"])
    beside = _joined(os.path.abspath(folder), payload.get("beside", payload["path"]))
    return next((path for path in (real, beside) if path.exists()), real)


def in_common_folder(files: Sequence[Path]) -> tuple[Path, list[str]]:
    """The innermost folder that holds all of the files, and the path of each in it.

    A file that is a link goes by its own name.
    """
    placed = [file.parent.resolve() / file.name for file in files]
    folder = Path(os.path.commonpath([path.parent for path in placed]))
    return folder, [path.relative_to(folder).as_posix() for path in placed]


def _joined(folder: str, path: str) -> Path:
    return Path(os.path.normpath(os.path.join(folder, path)))
