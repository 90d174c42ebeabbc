"""Masks as files: ids of objects or codes of classes as pixels, whoever wrote them.

Values are whole numbers of any type, floats among them; what no object can have (a declared
no-data value other than 0, alpha 0, NaN, a negative number) is no data and never an object. Three
bands of 8 bits are one picture whose colours stand for numbers. Other bands are layers of one
picture each: objects that overlap lie in different ones. Layers can also be files: `x_ids.png`,
`x_ids_2.png`, ...
"""

import contextlib
import dataclasses
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from PIL import Image

from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats import raster_info
from rsisrefiner_jax.formats.pixels import decode
from rsisrefiner_jax.formats.rasters import reading

NOTE = "RSISREFINER"  # tag of files of this program: "ids" or "classes"
BY_OPENCV = (".bmp", ".jpe", ".jpeg", ".jpg", ".png", ".webp")  # others by rasterio, if it is there
LAYER = re.compile(r"_ids_([2-9]|[1-9][0-9]+)$")  # ends the stem of a further layer
_GREY_AND_ALPHA, _COLOUR_TYPE = 4, 25  # in the header of a PNG, and where that says so

Rows = tuple[np.ndarray, np.ndarray]  # bands [n, rows, w] and valid bool [rows, w]
Colour = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class LabelFile:
    """A mask that is open. Its numbers are read by rows.

    size: (height, width). is_colour: its three bands are red, green and blue.
    palette: uint8 [n, 3], the colours of its values, if it has a table of them.
    noted: what the file says that its numbers are, "ids" or "classes"; "" of other programs.
    names: of classes by number, where the file says them.
    """

    path: str
    size: tuple[int, int]
    bands: Callable[[int, int], Rows]
    is_colour: bool = False
    palette: np.ndarray | None = None
    noted: str = ""
    names: dict[int, str] = dataclasses.field(default_factory=dict)

    def codes(self, top: int = 0, bottom: int | None = None) -> Rows:
        """The numbers in rows `top` to `bottom`: int [layers, rows, w], 0 where there are no data;
        colours as `colour_number` has them. And valid, bool [rows, w].

        Raises:
            UserError: a broken file, or a value that is no whole number.
        """
        bands, valid = self.bands(top, self.size[0] if bottom is None else bottom)
        if self.is_colour:
            bands = colour_number(*bands.astype(np.int32))[None]
        return np.where(valid, bands, 0), valid

    def where(self, value: int | Colour) -> np.ndarray:
        """bool [h, w]: the pixels of a number (in colours: of that grey) or of a colour."""
        codes, valid = self.codes()
        grey = isinstance(value, int)
        red, green, blue = (value,) * 3 if isinstance(value, int) else value
        if self.is_colour:
            wanted = [colour_number(red, green, blue)]
        elif grey or self.palette is None:
            wanted = [red] if red == green == blue else []
        else:
            wanted = np.flatnonzero((self.palette == (red, green, blue)).all(1)).tolist()
        return np.isin(codes, wanted).any(0) & valid


def colour_number(red: Any, green: Any, blue: Any) -> Any:
    """The number that a colour stands for: R + 256 G + 65536 B, iSAID's rule."""
    return red + 256 * green + 65536 * blue


@contextlib.contextmanager
def open_labels(path: str) -> Iterator[LabelFile]:
    """A mask and the further layers beside it; open until the block ends.

    Raises:
        UserError: it is missing, or no picture.
    """
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(_open(file)) for file in (path, *further_layers(path))]
        sizes = {file.size for file in files}
        require(len(sizes) == 1, f"{path}: it and its further layers are of different sizes")
        yield files[0] if len(files) == 1 else _together(files)


def further_layers(path: str) -> list[str]:
    """`x_ids_2.png`, `x_ids_3.png`, ... beside `x_ids.png`."""
    stem, ending = os.path.splitext(path)
    found: list[str] = []
    while stem.endswith("_ids") and os.path.isfile(f"{stem}_{len(found) + 2}{ending}"):
        found.append(f"{stem}_{len(found) + 2}{ending}")
    return found


def whole_numbers(bands: np.ndarray, nodata: float | None, path: str) -> Rows:
    """Values of any type as integers, and where there are data in a band at least.

    Raises:
        UserError: values that are not whole numbers, or too large.
    """
    missing = np.zeros(bands.shape, bool)
    if nodata is not None and nodata != 0:  # 0 is the background, whatever else it is called
        missing = np.isnan(bands) if np.isnan(nodata) else bands == nodata
    if bands.dtype.kind == "f":
        missing |= ~np.isfinite(bands)
        bands = np.where(missing, 0, bands)
        require(
            bool((bands == np.round(bands)).all()) and bool((abs(bands) < 2**53).all()),
            f"{path}: values are {bands.dtype} and not whole numbers; ids and classes are",
        )
        bands = bands.astype(np.int64)
    require(bands.dtype.kind in "iu", f"{path}: values are {bands.dtype}, not whole numbers")
    missing |= bands < 0
    if bands.dtype not in (np.uint8, np.uint16):
        bands = bands.astype(np.int64)
    return np.where(missing, bands.dtype.type(0), bands), np.asarray(~missing.all(0))


def _open(path: str) -> Any:
    if path.lower().endswith(BY_OPENCV) or raster_info.installed() is None:
        return contextlib.nullcontext(_decoded(path))
    return _streamed(path)


@contextlib.contextmanager
def _streamed(path: str) -> Iterator[LabelFile]:
    """Opens a mask with rasterio, which reads some rows at a time."""
    from rasterio.enums import ColorInterp

    require(os.path.isfile(path), f"{path}: no such label picture")
    with raster_info.opened(path) as file:
        tags = file.tags()
        alpha = [i for i in file.indexes if file.colorinterp[i - 1] == ColorInterp.alpha]
        plain = [i for i in file.indexes if i not in alpha]
        noted = tags.get(NOTE, "")
        is_colour = len(plain) == 3 and set(file.dtypes) == {"uint8"} and noted != "ids"
        palette = None
        if file.colorinterp[plain[0] - 1] == ColorInterp.palette:
            table = file.colormap(plain[0])
            palette = np.array([table.get(i, (0, 0, 0, 0))[:3] for i in range(256)], np.uint8)

        def bands(top: int, bottom: int) -> Rows:
            place = (top, bottom), (0, file.width)
            with reading(path):
                values = file.read(plain, window=place)
                values, valid = whole_numbers(_eight_bits(file, values), file.nodata, path)
                if alpha:
                    valid &= file.read(alpha[0], window=place) > 0
                elif file.nodata is None:
                    valid &= file.dataset_mask(window=place) > 0
            return values, valid

        yield LabelFile(path, file.shape, bands, is_colour, palette, noted, _names(tags))


def _eight_bits(file: Any, values: np.ndarray) -> np.ndarray:
    """Grey of fewer bits as other readers give it: white is 255."""
    about = file.tags(1, ns="IMAGE_STRUCTURE")
    bits = int(about.get("NBITS", "8"))
    if values.dtype != np.uint8 or file.colorinterp[0].name == "palette":
        return values
    scaled = values * (255 // (2**bits - 1)) if bits in (1, 2, 4) else values
    return 255 - scaled if about.get("MINISWHITE") == "YES" else scaled


def _names(tags: dict[str, str]) -> dict[int, str]:
    found = {key.removeprefix("class_"): name for key, name in tags.items()}
    return {int(key): name for key, name in found.items() if key.isdigit()}


def _decoded(path: str) -> LabelFile:
    """Reads a mask whole, with Pillow or OpenCV."""
    palette, alpha = None, None
    if is_palette(path):
        values, palette = _palette_picture(path)
    else:
        values = decode(path, cv2.IMREAD_UNCHANGED, "label picture")
        values = values.reshape(*values.shape[:2], -1)
        if values.shape[2] == 4:
            alpha = values[..., 3] > 0
            values = values[..., :1] if _is_grey_and_alpha(path) else values[..., 2::-1]
        else:
            values = values[..., ::-1]  # OpenCV's order is BGR
    is_colour = values.shape[2] == 3 and values.dtype == np.uint8
    whole, valid = whole_numbers(np.moveaxis(values, -1, 0), None, path)
    if alpha is not None:
        valid &= alpha

    def bands(top: int, bottom: int) -> Rows:
        return whole[:, top:bottom], valid[top:bottom]

    return LabelFile(path, values.shape[:2], bands, is_colour, palette)


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


def _palette_picture(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices uint8 [h, w, 1] and their colours uint8 [256, 3]."""
    try:
        with Image.open(path) as picture:
            values = np.array(picture)[..., None]
            colours = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a label picture that can be read ({error})") from error
    return values, np.pad(colours, ((0, 256 - len(colours)), (0, 0)))


def _is_grey_and_alpha(path: str) -> bool:
    with open(path, "rb") as file:
        head = file.read(_COLOUR_TYPE + 1)
    return head[:4] == b"\x89PNG" and head[_COLOUR_TYPE] == _GREY_AND_ALPHA


def _together(files: list[LabelFile]) -> LabelFile:
    """The layers of several files as those of one."""
    path = files[0].path
    require(not any(file.is_colour for file in files), f"{path}: further layers are of grey values")

    def bands(top: int, bottom: int) -> Rows:
        found = [file.bands(top, bottom) for file in files]
        values = np.concatenate([part.astype(np.int64) for part, _ in found])
        return values, np.any([valid for _, valid in found], axis=0)

    return dataclasses.replace(files[0], bands=bands, palette=None)
