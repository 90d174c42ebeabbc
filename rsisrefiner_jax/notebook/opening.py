"""Pictures and networks for widgets."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import numpy as np

from rsisrefiner_jax.annotate import rasters
from rsisrefiner_jax.annotate.loading import load
from rsisrefiner_jax.annotate.pictures import ArrayPicture, RasterPicture
from rsisrefiner_jax.annotate.project import AT_FIRST
from rsisrefiner_jax.annotate.segmenter import Segmenter
from rsisrefiner_jax.predictor import rgb_of


def opened_picture(picture: str | Path | np.ndarray) -> RasterPicture | ArrayPicture:
    """A raster file, shown as the annotator shows a new one, or pixels as the Predictor takes them.

    Raises:
        UserError: it cannot be opened.
    """
    if isinstance(picture, str | Path):
        file = Path(picture).expanduser().absolute()
        return RasterPicture(rasters.open_source(file, _cache()), AT_FIRST)
    return ArrayPicture(rgb_of(picture))


@functools.lru_cache(maxsize=2)
def shared_segmenter(checkpoint: str) -> Segmenter:
    """The network of a checkpoint, loaded once and ready for a click.

    Raises:
        UserError: there is none.
    """
    segmenter = load(checkpoint)
    next(segmenter.warm_up())
    return segmenter


@functools.cache
def _cache() -> Path:
    """A folder for what makes large files quick to look at, until this process ends."""
    folder = tempfile.mkdtemp(prefix="rsisrefiner-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
