"""Reading windows of a raster at any scale, around what is broken in it."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rsisrefiner_jax.annotate.damage import Damage, Pixels, unreadable
from rsisrefiner_jax.annotate.preview import Preview, preview_of, sampled, steps
from rsisrefiner_jax.annotate.refusals import NoSpace
from rsisrefiner_jax.data import raster as files
from rsisrefiner_jax.data.raster import Window
from rsisrefiner_jax.data.stretch import (
    Limits,
    Recipe,
    Stretch,
    apply,
    find_stretch,
    sample_shape,
)
from rsisrefiner_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Source:
    """A raster ready to be read in windows, as it was when its fingerprint was taken.

    path: a file with random access, the raster itself or a copy of it. cache: the folder for what
    is made of it. damage: its blocks that cannot be read.
    """

    path: Path
    fingerprint: str
    height: int
    width: int
    cache: Path
    damage: Damage
    preview: Preview | None

    def read(self, window: Window, recipe: Recipe, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """RGB uint8 [h, w, 3] and valid bool [h, w] of a window; broken parts are black, invalid.

        Args:
            step: every so many-th row and column only, a power of two; the window begins at a
                multiple of it.

        Raises:
            Conflict: the file has been written to since this source was opened.
        """
        found = self._bands(window, recipe, step)
        rgb = None if found is None else apply(found[0], self.limits(recipe))
        broken = self.broken(window, step)
        self._end()
        if found is None or rgb is None:
            return np.zeros((*broken.shape, 3), np.uint8), np.zeros(broken.shape, bool)
        rgb[broken] = 0
        return rgb, found[1] & ~broken

    def broken(self, window: Window, step: int = 1) -> np.ndarray:
        """Which of the pixels that `read` gives are known to be broken, bool [h, w]."""
        rows = window.y + steps(window.height, step)
        return self.damage.at(rows, window.x + steps(window.width, step))

    def values(self, x: int, y: int) -> list[float | int | None] | None:
        """The values of every band at a pixel, None where they are not finite; None: broken."""

        def all_bands(_: Window) -> Pixels:
            with files.reading(str(self.path)):
                pixels = file.read(window=((y, y + 1), (x, x + 1)))
            return np.moveaxis(pixels, 0, -1), np.ones((1, 1), bool)

        with files.opened(str(self.path)) as file:
            found = self.damage.read(file, Window(y, x, 1, 1), all_bands)
        self._end()
        if found is None:
            return None
        return [value if np.isfinite(value) else None for value in found[0][0, 0].tolist()]

    def stretch(self, recipe: Recipe) -> Stretch:
        """The values that become black and white, and those left out. Broken parts do not count."""
        copied = self.preview or self.path != self.damage.path  # broken parts are zero there
        if self.damage.coarse or (self.damage.count and copied):
            return _stretch_around(self, recipe)
        path = self.preview.sample if self.preview else str(self.path)
        try:
            return files.stretch_of_file(path, recipe)
        except UserError as error:
            if not unreadable(error):
                raise
            return self._without_overviews().stretch(recipe)

    def limits(self, recipe: Recipe) -> Limits | None:
        """The values that become black and white, of each band."""
        return self.stretch(recipe).limits

    def _end(self) -> None:
        """Ends every reading: what was read is the file's that was opened."""
        with contextlib.suppress(NoSpace):
            self.damage.save()
        self.damage.check_file()

    def _bands(self, window: Window, recipe: Recipe, step: int) -> Pixels | None:
        """Bands [h, w, 1 or 3] and valid [h, w]; None where all is broken."""
        if level := self.preview and self.preview.level(step):
            return _thinned(level.path, recipe, _shrunk(window, level.step), step // level.step)
        if step == 1 or self.preview:  # quicker than GDAL's decimated reading
            with files.opened(str(self.path)) as file:
                found = self.damage.read(file, window, _bands_of(file, recipe))
            picked = np.ix_(steps(window.height, step), steps(window.width, step))
            return found and (found[0][picked], found[1][picked])
        if self.damage.coarse:
            rows = window.y + steps(window.height, step)
            return _picked(self, recipe, rows, window.x + steps(window.width, step))
        try:
            return _thinned(str(self.path), recipe, window, step)
        except UserError as error:
            if not unreadable(error):
                raise
            return self._without_overviews()._bands(window, recipe, step)

    def _without_overviews(self) -> "Source":
        """The same when GDAL cannot read it thinned out."""
        self.damage.mark_coarse()
        preview = preview_if_room(self.path, self.cache, self.fingerprint, self.damage)
        return dataclasses.replace(self, preview=preview)


def _bands_of(file: Any, recipe: Recipe) -> Callable[[Window], Pixels]:
    """Reads windows of a file at full resolution."""
    return lambda window: files.read_bands(file, recipe, window, None)


def _shrunk(window: Window, step: int) -> Window:
    y, x, height, width = window
    return Window(y // step, x // step, -(-height // step), -(-width // step))


def _thinned(path: str, recipe: Recipe, window: Window, step: int) -> Pixels:
    """A window as GDAL thins it out."""
    shape = -(-window.height // step), -(-window.width // step)
    with files.opened(path) as file:
        return files.read_bands(file, recipe, window, None if step == 1 else shape)


def _picked(source: Source, recipe: Recipe, rows: np.ndarray, columns: np.ndarray) -> Pixels | None:
    """Pixels of rising rows and columns, read row by row, however far apart they lie."""
    left, width = int(columns[0]), int(columns[-1] - columns[0]) + 1
    lines: list[tuple[int, Pixels]] = []
    with files.opened(str(source.path)) as file:
        bands = _bands_of(file, recipe)
        for i, row in enumerate(rows.tolist()):
            line = source.damage.read(file, Window(row, left, 1, width), bands)
            if line is not None:
                lines.append((i, (line[0][0, columns - left], line[1][0, columns - left])))
    if not lines:
        return None
    first = lines[0][1][0]
    pixels = np.zeros((len(rows), *first.shape), first.dtype)
    valid = np.zeros((len(rows), len(columns)), bool)
    for i, (line_pixels, line_valid) in lines:
        pixels[i], valid[i] = line_pixels, line_valid
    return pixels, valid


@functools.lru_cache(maxsize=4096)
def _stretch_around(source: Source, recipe: Recipe) -> Stretch:
    """The stretch of a raster with broken parts, from what can be read of it."""
    height, width = source.height, source.width
    counts = sample_shape(height, width)
    rows, columns = sampled(height, counts[0]), sampled(width, counts[1])
    path = source.preview.sample if source.preview else str(source.path)
    with files.opened(path) as file:
        if not recipe.stretches(np.dtype(file.dtypes[0])):
            return Stretch(None)
        if source.preview:
            found: Pixels | None = files.read_bands(file, recipe, None, None)
        else:
            found = _picked(source, recipe, rows, columns)
    if found is None:
        return Stretch(None)
    return find_stretch(found[0], found[1] & ~source.damage.at(rows, columns), recipe)


def preview_if_room(path: Path, cache: Path, fingerprint: str, damage: Damage) -> Preview | None:
    """As `preview_of`; also None where there is no room for it."""
    try:
        return preview_of(path, cache, fingerprint, damage)
    except NoSpace:
        say_slow(damage.path)
        return None


def say_slow(path: Path) -> None:
    """Tells whoever runs the server that a raster is read without a copy."""
    print(
        f"note: {path.name}: no room for the copy that makes looking at it quick; it is shown "
        "without, slowly, until the next start",
        flush=True,
    )
