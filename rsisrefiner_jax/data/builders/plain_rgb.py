"""8-bit RGB files, PNG and JPEG: they may be kept as they are, and a PNG can be read by rows."""

import importlib.util
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from PIL import Image

from rsisrefiner_jax.data.raster import opened
from rsisrefiner_jax.errors import UserError

_PNG_BIT_DEPTH = 24  # its place in a PNG file
_STRIP = 256  # rows
_GDAL_CACHE = 16 << 20  # bytes; by default a twentieth of the machine's memory


def encoded_rgb(path: str) -> bytes | None:
    """The bytes of a picture file that is an 8-bit RGB PNG or JPEG, else None."""
    if not _plain_rgb(path):
        return None
    with open(path, "rb") as file:
        return file.read()


def read_rows(path: str, read: Callable[[str], np.ndarray]) -> Iterable[np.ndarray]:
    """The rows of a picture as `read` has them, [w, ...] each.

    Where rasterio is installed, those of an 8-bit RGB PNG come one after the other: OpenCV takes
    twice the memory of the whole picture.

    Raises:
        UserError: a broken file; perhaps not before the row where it is broken.
    """
    if _plain_rgb(path) == "PNG" and importlib.util.find_spec("rasterio"):
        return _streamed(path)
    return read(path)


def _plain_rgb(path: str) -> str:
    """The format of an 8-bit RGB PNG or JPEG; "" of any other file."""
    try:
        with Image.open(path) as header, open(path, "rb") as file:
            plain = header.mode == "RGB" and "transparency" not in header.info
            # Pillow says "RGB" of 16 bits a channel, too.
            deep = header.format == "PNG" and file.read(_PNG_BIT_DEPTH + 1)[-1] != 8
            kept = plain and not deep and header.format in ("JPEG", "PNG")
            return str(header.format) if kept else ""
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""


def _streamed(path: str) -> Iterator[np.ndarray]:
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with opened(path) as file, rasterio.Env(GDAL_CACHEMAX=_GDAL_CACHE):
            for y in range(0, file.height, _STRIP):
                window = (y, min(y + _STRIP, file.height)), (0, file.width)
                yield from np.moveaxis(file.read((1, 2, 3), window=window), 0, -1)
    except RasterioError as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise UserError(f"{path}: cannot be read ({reason}); fetch this picture again") from error
