"""The one place where rasterio opens a file to read.

Besides its own pixels a raster may have others: overviews, masks, and the data files of an Erdas
Imagine file (.img). GDAL finds them by their names (scene.tif.ovr) or by what the raster or its
.aux.xml says, and there any file or address may be named. So before a pixel is read all of them
are looked at: they must be plain files of the raster's own folder.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats import remote
from rsisrefiner_jax.formats.kinds import drivers_for, kind_of
from rsisrefiner_jax.formats.offline import rasters_offline
from rsisrefiner_jax.formats.safe_names import printable

PIXELS = (".ovr", ".OVR", ".msk", ".MSK")  # added to the whole name: overviews and masks
NOTES = (".aux.xml", ".aux", ".AUX")  # added to the name with and without its own ending
OVERVIEWS = "OVERVIEW_FILE"  # item of the metadata domain "OVERVIEWS"
_BESIDE = ":::BASE:::"  # how GDAL says that the name that follows is relative to the raster


def opened(path: str) -> Any:
    """A raster, opened by rasterio with the driver of its content; see `kinds.drivers_for`.

    Raises:
        UserError: the file is missing, no raster, or refers to files outside its folder.
    """
    if remote.is_allowed(path):
        return remote.opened(path)
    return _opened(path, is_main=True)


def _opened(path: str, is_main: bool) -> Any:
    """is_main: no overview or mask of another raster; those have nothing more beside them."""
    require(os.path.isfile(path), f"{path}: no such raster file")
    whole = os.path.abspath(path)  # a name such as "zip:x" would be an address
    drivers = drivers_for(path)
    _check_beside(whole)
    with reading(path):
        file = _first(whole, drivers)
        try:
            require(
                file.count > 0,
                f"{_name(path)}: it holds several rasters and none of its own; write one of them "
                "to a GeoTIFF with gdal_translate (gdalinfo lists them)",
            )
            if drivers != ("VRT",):  # a list of files, that a person names on purpose
                _check_named(whole, file, is_main)
        except BaseException:
            file.close()
            raise
        return file


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """GDAL without network, and its errors as UserError; every access to a file stands in one.

    With network for a raster at an address that the command line names, see `remote`.
    """
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    try:
        with remote.online(path) if remote.is_allowed(path) else rasters_offline():
            yield
    except (RasterioError, CPLE_BaseError) as error:  # masks raise the latter
        reason = str(error.__cause__ or error).splitlines()[0]
        raise UserError(f"{path}: cannot be read as a raster ({reason})") from error


def _first(path: str, drivers: tuple[str, ...]) -> Any:
    import rasterio

    for driver in drivers[:-1]:
        with contextlib.suppress(rasterio.errors.RasterioIOError):
            return rasterio.open(path, driver=driver)
    return rasterio.open(path, driver=drivers[-1])


def _check_beside(raster: str) -> None:
    """The files that GDAL finds by their names."""
    for ending in PIXELS:
        if os.path.lexists(raster + ending):
            _check_pixels(raster, raster + ending, ("GTiff",))
    for name in (raster, os.path.splitext(raster)[0]):
        for ending in NOTES:
            if os.path.lexists(name + ending) and name + ending != raster:
                _require_here(raster, name + ending)


def _check_named(raster: str, file: Any, is_main: bool) -> None:
    """The files that a raster or its .aux.xml names, before GDAL opens one of them."""
    named = file.tags(ns="OVERVIEWS").get(OVERVIEWS)
    if named is not None:
        name = named.removeprefix(_BESIDE)
        _require_local(raster, named, is_main and name != named and not _has_folder(name))
        beside = os.path.join(os.path.dirname(raster), name)
        if os.path.lexists(beside):
            _check_pixels(raster, beside, ("GTiff", "HFA"))
    if file.driver == "HFA":  # opens what it depends on, so that it is listed
        for band in file.indexes:
            file.overviews(band)
    for used in file.files:  # the last word: what GDAL itself says that it reads
        _require_here(raster, used)


def _check_pixels(raster: str, beside: str, kinds: tuple[str, ...]) -> None:
    """Overviews or a mask: a raster of its own, checked likewise."""
    _require_here(raster, beside)
    require(
        kind_of(beside) in kinds,
        f"{_name(beside)}: {_name(raster)} has it beside it, but it is no TIFF; delete it or make "
        "it again with gdaladdo",
    )
    _opened(beside, is_main=False).close()


def _require_here(raster: str, used: str) -> None:
    """Raises UserError: a file lies elsewhere than the raster, or is a link to elsewhere."""
    folders = {os.path.dirname(raster), os.path.dirname(os.path.realpath(raster))}
    folders |= {os.path.realpath(folder) for folder in folders}
    there = os.path.realpath(used)
    _require_local(raster, used, os.path.dirname(there) in folders)
    require(
        not os.path.exists(there) or os.path.isfile(there),
        f"{_name(used)}: beside {_name(raster)}, but no plain file; delete it",
    )


def _require_local(raster: str, used: str, is_local: bool) -> None:
    require(
        is_local,
        f"{_name(raster)}: it or a file beside it refers to {_name(used)}, which lies outside its "
        "folder; copy the raster to a plain GeoTIFF with gdal_translate",
    )


def _has_folder(name: str) -> bool:
    return "/" in name or "\\" in name or name in ("", ".", "..")


def _name(path: str) -> str:
    return printable(os.path.basename(path))
