"""What a mask that somebody gives means: one rule for the Predictor and the annotator."""

from typing import Any

import numpy as np

from rsisrefiner_jax.errors import UserError, require

FORM = "the mask must hold True and False, 0 and 1 (or 0 and 255 in uint8), or probabilities"


def in_unit_range(mask: Any, shape: tuple[int, int]) -> np.ndarray:
    """A mask [h, w] of its own type in 0..1, 255 of uint8 being 1.

    Raises:
        UserError: another size, or values that mean something else (logits, ids, NaN).
    """
    try:
        mask = np.asarray(mask)
    except ValueError as error:  # lists of different lengths
        raise UserError(f"{FORM}, one for each pixel") from error
    require(mask.shape == shape, f"the mask must be {shape}, not {mask.shape}")
    kind = mask.dtype.kind
    require(kind in "buif", f"{FORM}, not {mask.dtype}")
    low, high = (float(mask.min()), float(mask.max())) if kind != "b" else (0.0, 1.0)
    if mask.dtype == np.uint8 and high == 255:
        require(
            bool(np.isin(mask, (0, 255)).all()), f"{FORM}; it holds other values than 0 and 255"
        )
        return mask > 0
    # NaN fails both.
    require(low >= 0 and high <= 1, f"{FORM}; it holds values from {low:g} to {high:g}")
    return mask
