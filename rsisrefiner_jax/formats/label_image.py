"""Label pictures as they are stored: class codes, object ids, and colours that stand for either."""

import os
from typing import Literal

import cv2
import numpy as np
from PIL import Image  # comes with matplotlib; OpenCV only gives the colours of a palette

from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.pixels import decode

_COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def read_labels(path: str) -> np.ndarray:
    """The stored values of a label picture.

    Returns:
        uint8 or uint16 [h, w] of a grey picture; uint8 [h, w] palette indices of a palette
        picture; uint8 [h, w, 3] RGB of a colour picture, whose alpha is dropped. A grey picture
        of fewer than 8 bits is scaled to 8, as PNG prescribes: white is 255.

    Raises:
        UserError: the file is missing, is not a picture, or has values of another type.
    """
    if is_palette(path):
        try:
            with Image.open(path) as picture:
                return np.array(picture)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: not a label picture that can be read ({error})") from error
    values = decode(path, cv2.IMREAD_UNCHANGED, "label picture")
    if values.ndim == 3 and values.dtype == np.uint8 and values.shape[2] in (3, 4):
        return np.ascontiguousarray(values[..., 2::-1])
    require(
        values.ndim == 2 and values.dtype in (np.uint8, np.uint16),
        f"{path}: labels must be grey of 8 or 16 bits or RGB of 8, not {values.dtype} "
        f"of shape {values.shape}; save them again as PNG",
    )
    return values


def read_label_colours(path: str) -> np.ndarray:
    """uint8 [h, w, 3] RGB: the colours that a label picture shows, a palette resolved.

    Raises:
        UserError: the file is missing or is not a picture.
    """
    return np.ascontiguousarray(decode(path, _COLOUR, "label picture")[..., ::-1])


def is_palette(path: str) -> bool:
    """Whether the pixels of a picture are indices into a table of colours.

    Raises:
        UserError: the file is missing.
    """
    require(os.path.isfile(path), f"{path}: no such label picture")
    try:
        with Image.open(path) as picture:  # reads the header only
            return picture.mode == "P"
    except (OSError, ValueError, Image.DecompressionBombError):
        return False  # of a kind or size that Pillow refuses; OpenCV may take it


def instance_ids(values: np.ndarray, decode: Literal["exact", "wrapped"] = "exact") -> np.ndarray:
    """int32 [h, w]: the object ids in stored label values, 0 = background.

    Args:
        values: as `read_labels` returns them. Grey values are ids as they are.
        decode: of colours. exact: R + 256 G + 65536 B, the iSAID development kit's rule.
            wrapped: what the authors' released code makes of it in 8-bit arithmetic,
            ((B + 255 G) mod 256 + 65025 R) mod 65536; some colours collide, some become 0.
    """
    if values.ndim == 2:
        return values.astype(np.int32)
    red, green, blue = np.moveaxis(values.astype(np.int32), -1, 0)
    if decode == "wrapped":
        return ((blue + 255 * green) % 256 + 65025 * red) % 65536
    return red + 256 * green + 65536 * blue


def components(mask: np.ndarray, connectivity: Literal[4, 8] = 8) -> np.ndarray:
    """int32 [h, w]: each connected region of `mask` (bool [h, w]) numbered from 1 in row order."""
    _, regions = cv2.connectedComponents(
        mask.astype(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S
    )
    return regions
