"""From the values of any raster to the 8-bit RGB that the network sees.

8-bit values are taken as they are unless the recipe says otherwise. All others are mapped
linearly, band by band as QGIS does it, from a low and a high percentile of the whole file to 0 and
255. The percentiles come from one thinned-out look at the file (`sample_shape`), never from a part
of it: the same pixel gets the same colour in training, evaluation and clicking, in whatever window
it is read.

Values that fill a border without being declared as no data (-9999, 65535 ...) would take most of
the range: what looks like that is left out of the percentiles (`guessed_fill`), which changes
nothing where it is no fill, as the darkest or brightest value stays black or white.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from rsisrefiner_jax.config import Data
from rsisrefiner_jax.errors import require

DARK = 64  # 8-bit values below this are hard to see
SAMPLE_SIDE = 1024  # pixels; the longer side of the look that percentiles are taken from

FILL_SHARE = 1e-3  # of the pixels: rarer values are no fill
FILL_APART = 1 / 8  # of the range of all others: closer values take little of it
FILL_TONES = 16  # different values that others have at least; masks have fewer
CLOSE = 1e-6  # relative difference of values that were rounded when they were written

Limits = tuple[tuple[float, float], ...]
"""The values, (low, high) of every band, that become 0 and 255."""


class Stretch(NamedTuple):
    """limits: None where values are taken as they are. fill: values that are left out of the
    percentiles although the file does not declare them as no data."""

    limits: Limits | None
    fill: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a raster file becomes RGB.

    bands: those shown as red, green and blue, counted from 1, or a single one for grey. () is
        the file's own choice, `data.raster.colour_bands`.
    percentiles: what becomes 0 and what becomes 255, for values of other types than 8-bit.
    stretch_8bit: whether 8-bit values are stretched as well; None: in files that are dark, whose
        limits all lie below DARK, as those of masks do.
    fill: values without data that no file declares, left out of the percentiles; None: what looks
        like it (`guessed_fill`).
    """

    bands: tuple[int, ...] = ()
    percentiles: tuple[float, float] = (2.0, 98.0)
    stretch_8bit: bool | None = False
    fill: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        require(
            len(self.bands) in (0, 1, 3) and all(band >= 1 for band in self.bands),
            f"data.bands={list(self.bands)}: name three bands or one, the first being 1; [] lets "
            "every file choose",
        )
        low, high = self.percentiles
        require(
            0 <= low < high <= 100,
            f"data.stretch={list(self.percentiles)}: two rising percentiles between 0 and 100",
        )

    @classmethod
    def of(cls, data: Data) -> "Recipe":
        """The recipe of a configuration. Raises UserError."""
        return cls(data.bands, data.stretch, data.stretch_8bit, data.fill)

    def stretches(self, dtype: np.dtype) -> bool:
        """Whether values of this type may need `Limits`."""
        return dtype != np.uint8 or self.stretch_8bit is not False


def sample_shape(height: int, width: int) -> tuple[int, int]:
    """(height, width) of the thinned-out look, its longer side at most SAMPLE_SIDE."""
    scale = min(SAMPLE_SIDE / max(height, width), 1)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def thin_out(pixels: np.ndarray) -> np.ndarray:
    """Every so many-th pixel of [h, w, ...], so that `sample_shape` remains."""
    height, width = pixels.shape[:2]
    rows, columns = sample_shape(height, width)
    y = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    x = ((np.arange(columns) + 0.5) * width / columns).astype(int)
    return pixels[y[:, None], x]


def find_stretch(sample: np.ndarray, valid: np.ndarray, recipe: Recipe) -> Stretch:
    """The limits of each band in a sample; None where only dark ones are stretched and it is not.

    Args:
        sample: [h, w, bands], any real type.
        valid: bool [h, w]; other pixels do not count. Without any, the limits are 0 and 1.
    """
    if_dark = sample.dtype == np.uint8 and recipe.stretch_8bit is None
    values = sample[valid]
    if not len(values):
        return Stretch(None if if_dark else ((0.0, 1.0),) * sample.shape[2])
    fill = guessed_fill(values) if recipe.fill is None else recipe.fill
    others = values[~_is_any(values, fill)]
    values = others if len(others) else values
    low, high = np.percentile(values.astype(np.float64), recipe.percentiles, axis=0)
    if if_dark and high.max() >= DARK:
        return Stretch(None)
    return Stretch(tuple(zip(low.tolist(), high.tolist(), strict=True)), fill)


def guessed_fill(values: np.ndarray) -> tuple[float, ...]:
    """Values that most likely stand for no data: the lowest or the highest, where many pixels have
    it in all bands and it lies far from what the others have.

    values: [n, bands], n > 0, finite.
    """
    found: list[float] = []
    for extreme, percentile, sign in ((np.min, 2, 1), (np.max, 98, -1)):
        value = float(extreme(values))
        filled = (values == value).all(axis=1)
        others = values[~filled]
        if filled.mean() < FILL_SHARE or not len(others):
            continue
        low, near, high = np.percentile(others.astype(np.float64), (2, percentile, 98))
        if sign * (near - value) <= FILL_APART * (high - low):
            continue
        if len(np.unique(others)) >= FILL_TONES:
            found.append(value)
            values = others
    return tuple(found)


def _is_any(values: np.ndarray, fill: tuple[float, ...]) -> np.ndarray:
    """bool [n]: where all bands of [n, bands] have one of some values."""
    found = np.zeros(len(values), bool)
    for value in fill:
        found |= (abs(values.astype(np.float64) - value) <= CLOSE * abs(value)).all(axis=1)
    return found


def apply(pixels: np.ndarray, limits: Limits | None) -> np.ndarray:
    """RGB, uint8 [h, w, 3].

    Args:
        pixels: [h, w, 1 or 3]; a single band becomes three equal ones.
        limits: of each band; None leaves 8-bit values as they are.

    Values beyond the limits become 0 or 255, those that are not numbers 0.
    """
    if limits is not None:
        pixels = np.stack(
            [_stretched(pixels[..., i], *pair) for i, pair in enumerate(limits)], axis=-1
        )
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels)


def _stretched(band: np.ndarray, low: float, high: float) -> np.ndarray:
    kind = np.result_type(band.dtype, np.float32)  # double only for values that need it
    scaled = band.astype(kind)
    with np.errstate(over="ignore"):  # of fill values, which become 0 or 255 all the same
        scaled -= kind.type(low)
        scaled *= kind.type(255 / (high - low) if high > low else 255)
    return np.nan_to_num(np.clip(scaled, 0, 255, out=scaled), copy=False, nan=0).astype(np.uint8)
