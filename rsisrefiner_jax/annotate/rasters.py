"""Opening rasters that a client names."""

import contextlib
import functools
import threading
from pathlib import Path

import numpy as np

from rsisrefiner_jax.annotate import safety
from rsisrefiner_jax.annotate.damage import Damage
from rsisrefiner_jax.annotate.file_identity import fingerprint_of, size_and_time_of
from rsisrefiner_jax.annotate.source import Source, preview_if_room, say_slow
from rsisrefiner_jax.annotate.tiled_copies import SEQUENTIAL, tiled_copy
from rsisrefiner_jax.data import raster as files
from rsisrefiner_jax.data.project.records import SizeAndTime
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.kinds import BROKEN
from rsisrefiner_jax.formats.raster_info import Raster, open_raster

_opening = threading.Lock()


@functools.lru_cache(maxsize=256)
def _checked(path: str, _stamp: SizeAndTime | None) -> Raster:
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
        reason = str(error.__cause__).splitlines()[0] if error.__cause__ else ""
        if "codec" in reason:
            raise UserError(
                f"{name}: packed in a way that is not read here ({reason}); rewrite it with "
                "gdal_translate -co COMPRESS=DEFLATE"
            ) from error
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
    info = open_raster(path)
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
    return _checked(str(path), size_and_time_of(path))


def open_source(path: Path, cache: Path) -> Source:
    """A raster, checked, with whatever must be made in `cache` before it is read.

    Where there is no room for that, the raster is read without, which is slower.

    Raises:
        UserError: as `open_checked`.
    """
    info = open_checked(path)
    fingerprint = fingerprint_of(path)
    damage = damage_of(path, fingerprint, cache)
    return _source(path, fingerprint, info.height, info.width, cache, damage, damage.coarse)


@functools.lru_cache(maxsize=256)
def _source(
    path: Path, fingerprint: str, height: int, width: int, cache: Path, damage: Damage, _: bool
) -> Source:
    stored = path
    if path.suffix.lower() in SEQUENTIAL:
        if copy := tiled_copy(path, cache, fingerprint, damage):
            stored = copy
        else:
            say_slow(path)
    preview = preview_if_room(stored, cache, fingerprint, damage)
    return Source(stored, fingerprint, height, width, cache, damage, preview)


def damage_of(path: Path, fingerprint: str, cache: Path) -> Damage:
    """What is known to be broken in a raster: the same for everyone who asks.

    Raises:
        UserError: it cannot be opened.
    """
    with _opening:
        return _damage(path, fingerprint, cache)


@functools.lru_cache(maxsize=4096)
def _damage(path: Path, fingerprint: str, cache: Path) -> Damage:
    with files.opened(str(path)) as file:
        shape, block = file.shape, file.block_shapes[0]
    return Damage(path, fingerprint, shape, block, cache / f"{fingerprint}.broken.json")


def bands_shown(info: Raster, recipe: Recipe) -> list[int]:
    """The numbers of the bands that a recipe comes to: those it names, or the file's choice.

    None of them where the file cannot be opened.
    """
    if recipe.bands:
        return list(recipe.bands)
    with contextlib.suppress(UserError):
        return list(_own_bands(info.path, fingerprint_of(info.path)))
    return []


@functools.lru_cache(maxsize=256)
def _own_bands(path: str, _fingerprint: str) -> tuple[int, ...]:
    with files.opened(path) as file:
        return tuple(files.colour_bands(file))
