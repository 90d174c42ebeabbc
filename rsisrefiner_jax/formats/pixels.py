"""Decoding a picture file with OpenCV, where OpenCV can be relied on."""

import os
import struct

import cv2
import numpy as np
from PIL import TiffImagePlugin  # comes with matplotlib

from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.picture_file import file_problem

SILENT, ERRORS = 0, 2  # levels of OpenCV's messages

_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_BITS, _PHOTOMETRIC, _BANDS, _PLANAR = 258, 262, 277, 284  # tags of the TIFF 6.0 specification
_RGB, _YCBCR = 2, 6


def print_only(level: int) -> None:
    """Lets OpenCV print messages of a level and graver ones. In version 5 it lies elsewhere."""
    if hasattr(cv2, "setLogLevel"):
        cv2.setLogLevel(level)
    else:
        cv2.utils.logging.setLogLevel(level)


print_only(ERRORS)  # else a line for every GeoTIFF tag that OpenCV does not know


def decode(path: str, flags: int, what: str = "picture") -> np.ndarray:
    """The pixels [h, w] or [h, w, channels] as `cv2.imread` gives them: BGR, BGRA or grey.

    Of TIFF files OpenCV gives wrong pixels, and no error, when they have several bands that are
    not plain RGB: it drops bands, mixes 16-bit ones, and multiplies colours by a fourth band.

    Args:
        flags: of `cv2.imread`; with cv2.IMREAD_UNCHANGED an orientation tag is not applied.
        what: the file should be, for messages.

    Raises:
        UserError: the file is missing, or nothing that OpenCV reads right.
    """
    require(os.path.isfile(path), f"{path}: no such {what}")
    require(
        not _misread(path),
        f"{path}: OpenCV cannot read TIFF files of several bands other than plain RGB",
    )
    # OpenCV fills what is missing of a JPEG with grey, and libpng prints what it finds damaged.
    problem = file_problem(path, whole=True)
    if problem:
        raise UserError(f"{path} {problem.message}; fetch this {what} again")
    try:
        pixels = cv2.imread(path, flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise UserError(f"{path}: not a {what} that can be read (PNG, JPEG, TIFF ...)")
    return pixels


def _misread(path: str) -> bool:
    with open(path, "rb") as file:
        header = file.read(8)
        if header[:4] not in _TIFF:
            return False
        if b"+" in header[:4]:  # BigTIFF
            header += file.read(8)
        try:
            tags = TiffImagePlugin.ImageFileDirectory_v2(header)
            file.seek(tags.next)
            tags.load(file)
            bands, colours = tags.get(_BANDS, 1), tags.get(_PHOTOMETRIC)
            apart = tags.get(_PLANAR, 1) == 2 and max(tags.get(_BITS, (1,))) > 8
        except (OSError, SyntaxError, TypeError, ValueError, struct.error):
            return False  # broken: OpenCV will say so
    return bands > 1 and (bands != 3 or colours not in (_RGB, _YCBCR) or apart)
