"""GDAL without network, while a file is read."""

import contextlib
import threading
from collections.abc import Iterator

# An address must be allowed by name, and requests go to a proxy of a kind that there is not.
_OFFLINE = {
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
    "GDAL_HTTP_PROXY": "off://",
    "GDAL_HTTPS_PROXY": "off://",
}
_RASTERS = _OFFLINE | {
    # Side files are looked for by their exact names: those that `rasters` has checked.
    "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
}
_VECTORS = _OFFLINE | {"OGR_SQLITE_ALLOW_EXTERNAL_ACCESS": "NO"}

_vectors = threading.Lock()


@contextlib.contextmanager
def rasters_offline() -> Iterator[None]:
    """Takes the network from rasterio in this thread; other threads keep it."""
    import rasterio
    from rasterio.session import DummySession

    with rasterio.Env(DummySession(), **_RASTERS):
        yield


@contextlib.contextmanager
def vectors_offline(**more: str) -> Iterator[None]:
    """Takes the network from pyogrio, whose options hold in all threads: one file at a time.
    more: further options."""
    import pyogrio

    options = _VECTORS | more
    with _vectors:
        before = {name: pyogrio.get_gdal_config_option(name) for name in options}
        pyogrio.set_gdal_config_options(options)
        try:
            yield
        finally:
            pyogrio.set_gdal_config_options(before)
