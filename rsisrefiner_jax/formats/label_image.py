"""Label pictures read whole, as they are stored: class codes, object ids, or colours for either."""

from typing import Literal

import cv2
import numpy as np

from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.label_file import colour_number, is_palette, open_labels
from rsisrefiner_jax.formats.pixels import decode

__all__ = ["components", "instance_ids", "is_palette", "read_label_colours", "read_labels"]

_COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def read_labels(path: str) -> np.ndarray:
    """The stored values of a label picture of one layer; see `label_file`.

    Returns:
        uint8, uint16 or int64 [h, w] of a grey picture; uint8 [h, w] palette indices of a palette
        picture; uint8 [h, w, 3] RGB of a colour picture, whose alpha is dropped. A grey picture
        of fewer than 8 bits is scaled to 8, as PNG prescribes: white is 255.

    Raises:
        UserError: the file is missing, is not a picture, or has values that are no whole numbers.
    """
    with open_labels(path) as file:
        bands, _ = file.bands(0, file.size[0])
    if file.is_colour:
        return np.ascontiguousarray(np.moveaxis(bands, 0, -1))
    require(
        len(bands) == 1, f"{path}: labels must be grey or RGB of 8 bits, not {len(bands)} bands"
    )
    return bands[0]


def read_label_colours(path: str) -> np.ndarray:
    """uint8 [h, w, 3] RGB: the colours that a label picture shows, a palette resolved.

    Raises:
        UserError: the file is missing or is not a picture.
    """
    return np.ascontiguousarray(decode(path, _COLOUR, "label picture")[..., ::-1])


def instance_ids(values: np.ndarray, decode: Literal["exact", "wrapped"] = "exact") -> np.ndarray:
    """int32 [h, w]: the object ids in stored label values, 0 = background.

    Args:
        values: as `read_labels` returns them. Grey values are ids as they are.
        decode: of colours. exact: `colour_number`, the rule of iSAID's development kit.
            wrapped: what the authors' released code makes of it in 8-bit arithmetic,
            ((B + 255 G) mod 256 + 65025 R) mod 65536; some colours collide, some become 0.
    """
    if values.ndim == 2:
        return values.astype(np.int32)
    red, green, blue = np.moveaxis(values.astype(np.int32), -1, 0)
    if decode == "wrapped":
        return ((blue + 255 * green) % 256 + 65025 * red) % 65536
    return np.asarray(colour_number(red, green, blue))


def components(mask: np.ndarray) -> np.ndarray:
    """int32 [h, w]: each region of `mask` (bool [h, w]) numbered from 1 in row order.

    The one rule for what makes a region: pixels that touch at a side or at a corner.
    """
    _, regions = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return regions
