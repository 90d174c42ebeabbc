"""The blocks of a raster that cannot be read: found by reading, marked, and remembered.

A download that was cut or a byte that flipped costs the blocks it lies in, not the raster.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from rsisrefiner_jax.annotate.disk import written_aside
from rsisrefiner_jax.annotate.file_identity import require_same
from rsisrefiner_jax.data.raster import Window
from rsisrefiner_jax.errors import UserError

Pixels = tuple[np.ndarray, np.ndarray]
"""[h, w, bands] and valid, bool [h, w]."""


class Damage:
    """Which blocks of a raster cannot be read. Any thread may use it.

    path: of the raster. coarse: what GDAL reads thinned out, from overviews or without, cannot be
    read either.
    """

    def __init__(
        self,
        path: Path,
        fingerprint: str,
        shape: tuple[int, int],
        block: tuple[int, int],
        kept: Path,
    ) -> None:
        """
        Args:
            path, fingerprint: of the raster.
            shape, block: (height, width) of the raster and of its blocks, in pixels.
            kept: the file that remembers what was found.
        """
        self.path, self._fingerprint, self._kept = path, fingerprint, kept
        self._block = block
        blocks = -(-shape[0] // block[0]), -(-shape[1] // block[1])
        self._broken = np.zeros(blocks, bool)
        self._lock = threading.Lock()
        self._unsaved = False
        self.coarse = False
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
            found = json.loads(kept.read_text())
            self._broken.flat[found["blocks"]] = True
            self.coarse = found["coarse"]

    @property
    def count(self) -> int:
        """How many blocks are known to be broken."""
        return int(np.count_nonzero(self._broken))

    def sentence(self) -> str | None:
        """A sentence that says what is broken; None where nothing is known to be."""
        name, count = self.path.name, self.count
        if not count:
            return f"{name}: its overviews are broken; it is shown without" if self.coarse else None
        row, column = np.unravel_index(self._broken.argmax(), self._broken.shape)
        y, x = int(row) * self._block[0], int(column) * self._block[1]
        what = "rows" if self._block[0] == 1 else "blocks"
        return (
            f"{name}: {count} of {self._broken.size} {what} cannot be read, the first at x={x}, "
            f"y={y}; they are shown hatched and the model sees nothing there; get the file anew"
        )

    def at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Which pixels of these rows and columns are broken; bool [rows, columns]."""
        height, width = self._block
        return self._broken[np.ix_(rows // height, columns // width)]

    def read(self, file: Any, window: Window, read: Callable[[Window], Pixels]) -> Pixels | None:
        """What `read` has of a window of an opened file: zero, not valid where that is broken.

        Returns:
            None where nothing of it can be read.

        Raises:
            UserError: what `read` refuses for another reason than broken content.
        """
        whole: Pixels | None = None
        for part, (pixels, valid) in self._readable(file, window, read):
            if part == window:
                return pixels, valid
            if whole is None:
                shape = window.height, window.width
                whole = np.zeros((*shape, pixels.shape[2]), pixels.dtype), np.zeros(shape, bool)
            y, x = part.y - window.y, part.x - window.x
            where = np.s_[y : y + part.height, x : x + part.width]
            whole[0][where], whole[1][where] = pixels, valid
        return whole

    def _readable(
        self, file: Any, window: Window, read: Callable[[Window], Pixels]
    ) -> Iterator[tuple[Window, Pixels]]:
        """The parts of a window that can be read, by halving it where that fails."""
        first_row, first_column = window.y // self._block[0], window.x // self._block[1]
        last_row = (window.y + window.height - 1) // self._block[0]
        last_column = (window.x + window.width - 1) // self._block[1]
        blocks = np.s_[first_row : last_row + 1, first_column : last_column + 1]
        known = bool(self._broken[blocks].any())
        if not known:
            try:
                found = read(window)
            except UserError as error:
                if not unreadable(error):
                    raise
                with contextlib.suppress(CPLE_BaseError):
                    _ = file.colorinterp  # rasterio raises there what GDAL still remembers
            else:
                yield window, found
                return
        if last_row == first_row and last_column == first_column:
            if not known:
                self.mark(blocks)
            return
        y, x, height, width = window
        if last_row - first_row >= last_column - first_column:
            upper = (first_row + last_row + 1) // 2 * self._block[0] - y
            parts = Window(y, x, upper, width), Window(y + upper, x, height - upper, width)
        else:
            left = (first_column + last_column + 1) // 2 * self._block[1] - x
            parts = Window(y, x, height, left), Window(y, x + left, height, width - left)
        for part in parts:
            yield from self._readable(file, part, read)

    def mark(self, blocks: tuple[slice, slice]) -> None:
        """Notes rows and columns of blocks as broken.

        Raises:
            Conflict: the file has been written to meanwhile: it may be whole by now.
        """
        self.check_file()
        with self._lock:
            self._broken[blocks] = True
            self._unsaved = True

    def mark_coarse(self) -> None:
        """Notes that it is to be read at full resolution only. Raises Conflict as `mark`."""
        self.check_file()
        with self._lock:
            self.coarse = self._unsaved = True

    def check_file(self) -> None:
        """Raises Conflict: the file has been written to since it was opened."""
        require_same(self.path, self._fingerprint)

    def save(self) -> None:
        """Remembers what was found beyond this process. Raises NoSpace."""
        with self._lock:
            if not self._unsaved:
                return
            content = {"blocks": np.flatnonzero(self._broken).tolist(), "coarse": self.coarse}
            with written_aside(self._kept) as part:
                part.write_text(json.dumps(content))
            self._unsaved = False


def unreadable(error: UserError) -> bool:
    """Whether a refusal is GDAL's, because of what the file holds."""
    return isinstance(error.__cause__, (RasterioError, CPLE_BaseError))
