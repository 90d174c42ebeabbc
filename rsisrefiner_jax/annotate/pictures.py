"""What the model looks at: a raster file by its recipe, or a picture that a client sent."""

import base64
import binascii
import hashlib
import io
from pathlib import Path

import cv2
import numpy as np

from rsisrefiner_jax.annotate import rasters
from rsisrefiner_jax.annotate.file_identity import digest_of, size_and_time_of
from rsisrefiner_jax.annotate.source import Source
from rsisrefiner_jax.data.raster import Window
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.formats.raster_info import Raster
from rsisrefiner_jax.interaction.mask_values import in_unit_range

SENT_LIMIT = 64_000_000  # pixels of a picture inside a request


class RasterPicture:
    """A raster file. `read` takes every so many-th pixel only, as `Source.read` does."""

    def __init__(self, source: Source, recipe: Recipe) -> None:
        self._source = source
        self._recipe = recipe
        self.height, self.width = source.height, source.width
        self.key = f"{source.fingerprint}|{recipe}"

    def read(self, window: Window, step: int = 1) -> np.ndarray:
        return self._source.read(window, self._recipe, step)[0]


class ArrayPicture:
    """RGB, uint8 [h, w, 3]. `read` as that of a raster file."""

    def __init__(self, rgb: np.ndarray) -> None:
        self._rgb = rgb
        self.height, self.width = rgb.shape[:2]
        self.key = hashlib.sha256(repr(rgb.shape).encode() + rgb.tobytes()).hexdigest()

    def read(self, window: Window, step: int = 1) -> np.ndarray:
        y, x, height, width = window
        return np.ascontiguousarray(self._rgb[y : y + height : step, x : x + width : step])


class SentRaster:
    """A raster file that came with a request, opened when it is first read.

    It has the key of its content: sent again, it is the same picture, whatever it is called.
    cache: a folder for what is made of it.
    """

    def __init__(self, path: Path, info: Raster, recipe: Recipe, cache: Path) -> None:
        self._path, self._recipe, self._cache = path, recipe, cache
        self.height, self.width = info.height, info.width
        written = size_and_time_of(path)
        assert written is not None  # it was just received
        self.key = f"{digest_of(path, written)}|{recipe}"

    def read(self, window: Window) -> np.ndarray:
        return rasters.open_source(self._path, self._cache).read(window, self._recipe)[0]


def picture_sent(text: str) -> ArrayPicture:
    """A PNG, JPEG, WebP, BMP or TIFF in base64. Raises UserError for anything else."""
    return picture_in(_bytes(text, "image"), "image")


def picture_in(data: bytes, field: str) -> ArrayPicture:
    """A PNG, JPEG, WebP, BMP or TIFF, turned as its EXIF says. Raises UserError otherwise.

    field: what the client calls it.
    """
    pixels = _decoded(data, cv2.IMREAD_COLOR, field)
    return ArrayPicture(np.ascontiguousarray(pixels[..., ::-1]))


def mask_sent(text: str, field: str, x: int = 0, y: int = 0) -> Mask:
    """A mask as PNG in base64, of the values that a mask may have anywhere (`mask_values`).

    Three equal channels count as one, and transparency is dropped.

    Args:
        field: what the client calls it.

    Raises:
        UserError: no picture, or one that is no mask.
    """
    pixels = _decoded(_bytes(text, field), cv2.IMREAD_UNCHANGED, field)
    channels = np.atleast_3d(pixels)[..., :3]
    pixels = channels[..., 0]
    require(
        bool((channels == channels[..., :1]).all()),
        f"{field}: a picture in colours is no mask; send a grey PNG of 0 and 255",
    )
    try:
        return Mask(x, y, in_unit_range(pixels, pixels.shape) > 0.5)
    except UserError as error:
        raise UserError(f"{field}: {error}; send a PNG of 0 and 255") from error


def _bytes(text: str, field: str) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UserError(f"{field}: not in base64") from error


def _decoded(data: bytes, flags: int, field: str) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["PNG", "JPEG", "WEBP", "BMP", "TIFF"]) as head:
            width, height = head.size
    except (ValueError, OSError, Image.DecompressionBombError) as error:
        raise UserError(f"{field}: no picture (PNG, JPEG, WebP, BMP or TIFF)") from error
    require(
        width * height <= SENT_LIMIT,
        f"{field}: {width} x {height} pixels are too many for a request; add the file instead",
    )
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise UserError(f"{field}: the picture is broken")
    return pixels


def png(pixels: np.ndarray) -> bytes:
    """uint8 [h, w], or in BGR or BGRA order [h, w, c], as PNG; nothing where there is no pixel."""
    if not pixels.size:
        return b""
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
