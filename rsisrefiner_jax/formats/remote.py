"""Rasters at an address: read only where the command line names the address itself.

Nothing else leads to a request: no data set, project or file may name one. GDAL gets an address of
each read alone, and looks for no files beside it.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from rsisrefiner_jax.errors import UserError, require

_SYSTEMS = {"http://": "/vsicurl/http://", "https://": "/vsicurl/https://", "s3://": "/vsis3/"}
_allowed: set[str] = set()


def is_address(name: str) -> bool:
    """Whether a name on a command line is an address and no file."""
    return name.startswith(tuple(_SYSTEMS))


def allow(address: str) -> str:
    """The path by which a raster at an address is opened from now on, in this process.

    Only for what a person names. http and https; s3 with the credentials of the environment, as
    GDAL reads them (AWS_ACCESS_KEY_ID ..., or AWS_NO_SIGN_REQUEST=YES).
    """
    scheme = next((scheme for scheme in _SYSTEMS if address.startswith(scheme)), None)
    require(scheme is not None, f"{address}: not an address that is read (http, https, s3)")
    assert scheme is not None
    path = _SYSTEMS[scheme] + address.removeprefix(scheme)
    _allowed.add(path)
    return path


def is_allowed(path: str) -> bool:
    """Whether a path is one that `allow` gave."""
    return path in _allowed


@contextlib.contextmanager
def online(path: str) -> Iterator[None]:
    """GDAL with this one address, in this thread, for rasterio."""
    import rasterio
    from rasterio.session import DummySession

    options = {
        "CPL_VSIL_CURL_ALLOWED_FILENAME": path,
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no requests for files beside it
        "GDAL_HTTP_MAX_RETRY": "4",
        "GDAL_HTTP_RETRY_DELAY": "1",
    }
    with rasterio.Env(DummySession(), **options):
        yield


def opened(path: str) -> Any:
    """The GeoTIFF at an address, by rasterio. Raises UserError: there is none."""
    import rasterio
    from rasterio.errors import RasterioError

    with online(path):
        try:
            file = rasterio.open(path, driver="GTiff")
        except RasterioError as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise UserError(
                f"{path}: cannot be read as a GeoTIFF at an address ({reason})"
            ) from error
        if file.tags(ns="OVERVIEWS"):  # they would be looked for where it says
            file.close()
            raise UserError(f"{path}: its overviews are in another file; make it a COG")
        return file
