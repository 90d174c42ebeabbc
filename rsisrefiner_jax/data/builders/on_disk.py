"""Large pictures, of which only a strip is in memory at a time."""

import math
import tempfile
from collections.abc import Iterable
from typing import Self

import numpy as np


class OnDisk:
    """Pixels in a temporary file that is gone when the context is left.

    size: height and width.

    Args:
        rows: [w, ...] each, at least one; an array [h, w, ...] will do.
        folder: where there is room for the file.
    """

    def __init__(self, rows: Iterable[np.ndarray], folder: str) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - __exit__ closes it
        height = 0
        for row in rows:
            self._file.write(row.tobytes())
            height += 1
        self._row, self._dtype = row.shape, row.dtype
        self.size = height, row.shape[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __str__(self) -> str:
        return f"{self.size[0]} x {self.size[1]}"

    def rows(self, start: int, stop: int) -> np.ndarray:
        """[stop - start, w, ...], not to be written to."""
        length = self._dtype.itemsize * math.prod(self._row)
        self._file.seek(start * length)
        data = self._file.read((stop - start) * length)
        return np.frombuffer(data, self._dtype).reshape(-1, *self._row)
