"""What a raster file says about itself; opening one takes rasterio, which may be missing."""

import dataclasses
import functools
import warnings
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image  # comes with matplotlib

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats import rasters
from rsisrefiner_jax.formats.control_points import fitted

INSTALL = "install rasterio with pip install -e .[geo]"


@dataclasses.dataclass(frozen=True)
class Raster:
    """What a raster file says about itself.

    bands: of each band its name, "" where it has none.
    dtype: numpy's name of the values' type.
    nodata: the value of pixels without data, if there is one.
    crs: coordinate reference system, "EPSG:32632" or WKT; None when the file states none, or no
        transform.
    transform: (a, b, c, d, e, f): pixel corner (x, y) lies at (a x + b y + c, d x + e y + f) in
        the units of `crs`; None without georeference.
    hint: why there is none although the file says something of where it lies, and the way out; or
        that it was found from ground control points, and how well they fit.
    """

    path: str
    height: int
    width: int
    bands: tuple[str, ...]
    dtype: str
    nodata: float | None
    crs: str | None
    transform: tuple[float, float, float, float, float, float] | None
    hint: str = ""

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """`transform` as matrix [2, 2] and offset [2]: coordinates are matrix @ (x, y) + offset.

        Raises:
            UserError: there is none.
        """
        if self.transform is None:
            why = f"; {self.hint}" if self.hint else ""
            raise UserError(f"{self.path}: not georeferenced: its pixels have no coordinates{why}")
        a, b, c, d, e, f = self.transform
        return np.array([[a, b], [d, e]]), np.array([c, f])


def open_raster(path: str) -> Raster:
    """What a raster file says about itself; needs rasterio.

    Raises:
        UserError: rasterio is missing, or the file is missing or no raster.
    """
    with opened(path) as file:
        # A system without a transform says nothing of where the pixels lie.
        placed = not file.transform.is_identity
        crs, transform, hint = file.crs, tuple(file.transform)[:6] if placed else None, ""
        if not placed:
            crs, transform, hint = _without_transform(file)
        return Raster(
            path=path,
            height=file.height,
            width=file.width,
            bands=tuple(name or "" for name in file.descriptions),
            dtype=file.dtypes[0],
            nodata=file.nodata,
            crs=crs.to_string() if crs and transform else None,
            transform=transform,
            hint=hint,
        )


def _without_transform(file: Any) -> tuple[Any, Any, str]:
    """System, transform and hint of a file without a transform, from its control points."""
    points, crs = file.gcps
    return (crs, *fitted(points)) if points else (None, None, _hint(file))


def _hint(file: Any) -> str:
    """A hint how to use what a file without a transform says of where it lies."""
    if file.rpcs:
        return (
            "it has RPCs, which are not used here: make a georeferenced copy with "
            "gdalwarp -rpc FILE placed.tif"
        )
    if file.crs:
        return (
            "it states a coordinate reference system but no transform: give it one with "
            "gdal_translate -a_ullr LEFT TOP RIGHT BOTTOM FILE placed.tif"
        )
    return ""


def stored_size(path: str) -> tuple[int, int] | None:
    """(height, width) of a picture by its header; None when that cannot be told. Never raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                return picture.height, picture.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        pass  # of a kind or size that Pillow refuses
    try:
        info = open_raster(path)
    except UserError:
        return None
    return info.height, info.width


def opened(path: str) -> Any:
    """The file, opened by rasterio; as `formats.rasters.opened`, and rasterio may be missing."""
    if installed() is None:
        raise UserError(f"{path}: reading this file needs rasterio; {INSTALL}")
    return rasters.opened(path)


@functools.cache
def installed() -> ModuleType | None:
    """rasterio, where it is installed."""
    try:
        import rasterio
    except ImportError:
        return None
    # A plain TIFF is no reason for a warning.
    warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)
    return rasterio
