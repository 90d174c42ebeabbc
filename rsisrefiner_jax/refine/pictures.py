"""What the network looks at: a part of a raster read once for several objects, and its mirror."""

import numpy as np

from rsisrefiner_jax.annotate.segmenter import Picture
from rsisrefiner_jax.data.raster import Window, read_window
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.formats.raster_info import Raster


class RegionPicture:
    """A raster, of which a region was read in one go; what lies beyond it is read when it is asked.

    Raises:
        UserError: the raster cannot be read there.
    """

    def __init__(self, info: Raster, recipe: Recipe, region: Window) -> None:
        self.height, self.width = info.height, info.width
        self.key = f"{info.path}|{recipe}"
        self._path, self._recipe, self._region = info.path, recipe, region
        self._rgb, self._valid = read_window(info.path, region, recipe)

    def read(self, window: Window) -> np.ndarray:
        """RGB, uint8 [h, w, 3]."""
        return self._read(window)[0]

    def valid(self, window: Window) -> np.ndarray:
        """bool [h, w]: where the raster shows something."""
        return self._read(window)[1]

    def _read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        y, x = window.y - self._region.y, window.x - self._region.x
        if min(y, x) < 0 or not (
            y + window.height <= self._region.height and x + window.width <= self._region.width
        ):
            return read_window(self._path, window, self._recipe)
        part = np.s_[y : y + window.height, x : x + window.width]
        return np.ascontiguousarray(self._rgb[part]), self._valid[part]


class UpsideDown:
    """A picture mirrored: seen from above, the ground looks as likely that way."""

    def __init__(self, picture: Picture) -> None:
        self.key = f"upside down|{picture.key}"
        self.height, self.width = picture.height, picture.width
        self._picture = picture

    def read(self, window: Window) -> np.ndarray:
        """RGB, uint8 [h, w, 3]."""
        y = self.height - window.y - window.height
        return np.ascontiguousarray(self._picture.read(window._replace(y=y))[::-1])

    def mask(self, mask: Mask) -> Mask:
        """The pixels of one picture in the other."""
        y = self.height - mask.y - mask.height
        return Mask(mask.x, y, np.ascontiguousarray(mask.pixels[::-1]))
