"""Opening rasters that a client names, and reading windows of them at any scale."""

import dataclasses
import functools
import hashlib
import os
import threading
from pathlib import Path

import numpy as np

from rsisrefiner_jax.annotate import safety
from rsisrefiner_jax.annotate.preview import Preview, preview_of, steps
from rsisrefiner_jax.data import raster as files
from rsisrefiner_jax.data.raster import Raster, Window
from rsisrefiner_jax.data.stretch import Limits, Recipe, apply
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.kinds import BROKEN

_unpacking = threading.Lock()


@functools.lru_cache(maxsize=256)
def _checked(path: str, _modified: int, _size: int) -> Raster:
    from rasterio.enums import Interleaving
    from rasterio.errors import RasterioError

    suffix = Path(path).suffix.lower()
    name = safety.printable(Path(path).name)
    known = ", ".join(safety.DRIVERS)
    require(suffix in safety.DRIVERS, f"{name}: not a raster file; those known are {known}")
    driver = safety.DRIVERS[suffix]
    kind = safety.kind_of(Path(path))
    broken = f"{name}: {BROKEN}"
    require(kind is not None, broken)
    require(
        kind == driver,
        f"{name}: this is a {kind} file, not the {driver} that {suffix} says; rename it",
    )
    try:
        with files.opened(path) as file:
            dtype = file.dtypes[0]
            height, width = file.shape
            block = max(h * w for h, w in file.block_shapes) * np.dtype(_plain(dtype)).itemsize
            if file.interleaving == Interleaving.pixel:
                block *= file.count
    except (RasterioError, ValueError, TypeError) as error:
        raise UserError(broken) from error
    except UserError as error:
        if isinstance(error.__cause__, RasterioError):
            raise UserError(broken) from error
        raise
    require(
        max(height, width) <= safety.SIDE_LIMIT and height * width <= safety.PIXEL_LIMIT,
        f"{name}: {width} x {height} pixels are more than this server opens",
    )
    require(
        block <= safety.BLOCK_LIMIT,
        f"{name}: its blocks unpack to {block >> 20} MiB each; rewrite it in tiles, "
        "for example with gdal_translate -co TILED=YES",
    )
    require(
        driver in ("GTiff", "JP2OpenJPEG", "HFA") or height * width <= safety.WHOLE_LIMIT,
        f"{name}: {width} x {height} pixels are too many for a {driver} file; make it a GeoTIFF",
    )
    require(
        "complex" not in dtype,
        f"{name}: values are complex numbers; write their magnitude to a file of its own",
    )
    info = files.open_raster(path)
    grid = info.transform
    if grid is not None:
        a, b, _, d, e, _ = grid
        usable = np.isfinite(grid).all() and abs(a * e - b * d) > 0
        require(bool(usable), f"{name}: its georeference maps all pixels onto a line")
    return info


def _plain(dtype: str) -> str:
    return dtype if dtype != "complex_int16" else "complex64"


def open_checked(path: Path) -> Raster:
    """What a raster says about itself, once it is known to be harmless.

    Raises:
        UserError: the file is missing, broken, too large, or not of the kind that its name says.
    """
    require(path.is_file(), f"{safety.printable(path.name)}: no such raster file")
    stat = path.stat()
    return _checked(str(path), stat.st_mtime_ns, stat.st_size)


def fingerprint_of(path: str) -> str:
    """Changes when the file does."""
    stat = os.stat(path)
    text = f"{path}|{stat.st_mtime_ns}|{stat.st_size}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def readable(path: Path, cache: Path) -> str:
    """The file to read windows from: itself, or a tiled copy of one that has no random access."""
    if Path(path).suffix.lower() not in files.OPENCV:
        return str(path)
    copy = cache / f"{fingerprint_of(str(path))}.tif"
    if not copy.exists():
        import rasterio.shutil

        with _unpacking:
            if not copy.exists():
                part = copy.with_suffix(f".{os.getpid()}.part")
                with files.opened(str(path)) as file, files.reading(str(path)):
                    rasterio.shutil.copy(
                        file,
                        str(part),
                        driver="GTiff",
                        tiled="YES",
                        compress="LZW",
                        bigtiff="IF_SAFER",
                    )
                os.replace(part, copy)
    return str(copy)


@dataclasses.dataclass(frozen=True)
class Source:
    """A raster ready to be read in windows. path: a file with random access."""

    path: str
    height: int
    width: int
    preview: Preview | None

    def read(self, window: Window, recipe: Recipe, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """RGB uint8 [h, w, 3] and valid bool [h, w] of a window.

        Args:
            step: every so many-th row and column only, a power of two; the window begins at a
                multiple of it.
        """
        path = self.path
        if self.preview and step >= self.preview.step:
            path, ratio = self.preview.path, self.preview.step
            window = Window(
                window.y // ratio,
                window.x // ratio,
                -(-window.height // ratio),
                -(-window.width // ratio),
            )
            step //= ratio
        with files.opened(path) as file:
            if path == self.path and self.preview:  # quicker than GDAL's decimated reading
                pixels, valid = files.read_bands(file, recipe, window, None)
                if step > 1:
                    picked = np.ix_(steps(window.height, step), steps(window.width, step))
                    pixels, valid = pixels[picked], valid[picked]
            else:
                shape = -(-window.height // step), -(-window.width // step)
                pixels, valid = files.read_bands(file, recipe, window, None if step == 1 else shape)
        return apply(pixels, self.limits(recipe)), valid

    def limits(self, recipe: Recipe) -> Limits | None:
        """What becomes black and white."""
        path = self.preview.sample if self.preview else self.path
        stat = os.stat(path)
        return files.limits_of_file(path, recipe, stat.st_mtime_ns, stat.st_size)


def open_source(path: Path, cache: Path) -> Source:
    """A raster, checked, with whatever must be made in `cache` before it is read.

    Raises:
        UserError: as `open_checked`.
    """
    info = open_checked(path)
    return _source(str(path), fingerprint_of(str(path)), info.height, info.width, cache)


@functools.lru_cache(maxsize=256)
def _source(path: str, name: str, height: int, width: int, cache: Path) -> Source:
    random_access = readable(Path(path), cache)
    return Source(random_access, height, width, preview_of(random_access, cache, name))


def bands_shown(info: Raster, recipe: Recipe) -> list[int]:
    """The numbers of the bands that a recipe comes to: those it names, or the file's choice."""
    if recipe.bands:
        return list(recipe.bands)
    known = Path(info.path).suffix.lower() in safety.DRIVERS and os.path.exists(info.path)
    return list(_own_bands(info.path)) if known else []


@functools.lru_cache(maxsize=256)
def _own_bands(path: str) -> tuple[int, ...]:
    with files.opened(path) as file:
        return tuple(files.colour_bands(file))


def values(path: str, x: int, y: int) -> list[float | int | None]:
    """The values of every band at a pixel; None where they are not finite."""
    with files.opened(path) as file, files.reading(path):
        found = file.read(window=((y, y + 1), (x, x + 1)))[:, 0, 0].tolist()
    return [value if np.isfinite(value) else None for value in found]
