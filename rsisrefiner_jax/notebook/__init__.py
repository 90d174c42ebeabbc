"""Clicks in a notebook: one call shows a picture, takes clicks and holds the mask.

    from rsisrefiner_jax.notebook import segment

    widget = segment("scene.tif")
    widget        # the notebook shows it; click on an object
    widget.mask   # bool [h, w]

It runs in the notebook's own process and needs the extra `[notebook]`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.networks import DEFAULT

if TYPE_CHECKING:
    from rsisrefiner_jax.notebook.widget import ClickWidget

NEEDED = ("anywidget", "ipywidgets", "traitlets", "rasterio", "shapely")


def segment(picture: str | Path | np.ndarray, checkpoint: str | Path = DEFAULT) -> "ClickWidget":
    """A widget to click an object on a picture.

    Args:
        picture: a raster file of any size, or pixels: uint8 [h, w, 3] in RGB order, or grey
            [h, w], or RGBA.
        checkpoint: a trained network, or one of those included: small, box. It stays in memory
            for the next picture.

    Raises:
        UserError: a package of the extra is missing, or the picture or the network cannot be
            opened.
    """
    try:
        from rsisrefiner_jax.notebook.opening import opened_picture, shared_segmenter
        from rsisrefiner_jax.notebook.widget import ClickWidget
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in NEEDED:
            raise
        raise UserError(
            f"clicks in a notebook need {error.name}; install it with "
            'pip install "rsisrefiner-jax[notebook]"'
        ) from error
    shown = opened_picture(picture)
    return ClickWidget(shown, shared_segmenter(str(checkpoint)))
