"""What the server opens: only files under the given roots, of known kinds and sane sizes."""

import os
import re
from pathlib import Path

from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.kinds import DRIVERS, kind_of
from rsisrefiner_jax.formats.safe_names import printable, safe_name

__all__ = ["DRIVERS", "Roots", "kind_of", "printable", "safe_name"]

MEBIBYTE = 1 << 20
UPLOAD_LIMIT = 2048 * MEBIBYTE  # a raster
IMPORT_LIMIT = 256 * MEBIBYTE  # vectors or masks
UPLOAD_QUOTA = 32  # GiB that all rasters uploaded into a project may take
DISK_RESERVE = 1024 * MEBIBYTE  # what files that are received leave free (small disks: 5 %)
RECEIVED_AT_ONCE = 2
RECEIVE_PATIENCE = 60  # seconds without a byte after which a file that is received is given up
BODY_LIMIT = 96 * MEBIBYTE  # any other request; pictures inside JSON are a third larger
SIDE_LIMIT = 1_000_000  # pixels
PIXEL_LIMIT = 200_000_000_000
BLOCK_LIMIT = 256 * MEBIBYTE  # what GDAL has to unpack for a single pixel
WHOLE_LIMIT = 500_000_000  # pixels of a file that can only be unpacked as a whole (PNG, JPEG)


class Roots:
    """The folders whose rasters may be opened. A path begins with the name of one of them."""

    def __init__(self, folders: list[Path]) -> None:
        self._folders: dict[str, Path] = {}
        for folder in dict.fromkeys(path.resolve() for path in folders):
            name = base = folder.name or "root"
            number = 2
            while name in self._folders:
                name, number = f"{base}-{number}", number + 1
            self._folders[name] = folder

    def resolve(self, path: str) -> Path:
        """The real file or folder that a client's path means.

        Raises:
            UserError: the path is absolute, climbs, or leads out of its root by a link.
        """
        shown = printable(path)
        inside = f"{shown}: only paths inside the folders given at start can be opened"
        require(not re.search(r"[\\:\x00]", path) and not path.startswith(("/", "~")), inside)
        first, *rest = path.strip("/").split("/")
        require(not any(part in ("", ".", "..") for part in (first, *rest)), inside)
        require(first in self._folders, f"{shown}: {first[:80]!r} is none of the folders given")
        root = self._folders[first]
        try:
            real = root.joinpath(*rest).resolve()
            found = real.exists()
        except (OSError, ValueError):
            found, real = False, root
        require(real.is_relative_to(root), inside)
        require(found, f"{shown}: no such file")
        return real

    def holds(self, file: Path) -> bool:
        """Whether a file of this machine lies under a root, all links followed."""
        real = file.resolve()
        return any(real.is_relative_to(root) for root in self._folders.values())

    def path_of(self, file: Path) -> str:
        """The client's path of a file that lies under a root."""
        real = file.resolve()
        for name, root in self._folders.items():
            if real.is_relative_to(root):
                return "/".join((name, *real.relative_to(root).parts))
        return real.name

    def listing(self, under: str) -> tuple[list[str], list[str]]:
        """Folders and rasters directly under a path ("" for the roots), as paths."""
        if not under.strip("/"):
            return list(self._folders), []
        folder = self.resolve(under)
        require(folder.is_dir(), f"{printable(under)}: not a folder")
        folders, files = [], []
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.name.startswith(".") or not self.holds(Path(entry.path)):
                continue
            if entry.is_dir():
                folders.append(f"{under.strip('/')}/{entry.name}")
            elif Path(entry.name).suffix.lower() in DRIVERS:
                files.append(f"{under.strip('/')}/{entry.name}")
        return folders, files
