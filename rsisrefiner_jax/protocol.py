"""Evaluation protocols: every setting of the click simulation, and the presets of the field.

The values are those in force in each code base's own evaluation (not their command-line defaults):
the RITM family differs in more than the network, and a NoC is only comparable under one protocol.
"""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How clicks are simulated and counted."""

    name: str = "paper"
    # Clicks.
    max_clicks: int = 20
    min_clicks: int = 1
    pred_thr: float = 0.5  # a pixel is object when its probability is strictly greater
    early_stop: float | None = 0.9  # stop an object once its IoU reaches this; None = never
    # Zoom-in: where the network looks.
    zoom_skip_clicks: int = -1  # zoom from click skip_clicks + 2 on; -1 = crop logic from the start
    zoom_size: int | None = None  # side of the square network input; None = the model's own
    zoom_keep_aspect: bool = False  # resize the longest side to zoom_size instead of squashing
    zoom_prob_thr: float = 0.5
    zoom_expansion: float = 1.4
    zoom_min_crop: int = 200  # pixels of the image
    zoom_recompute_iou: float = 0.5
    zoom_refresh: Literal["on_demand", "always"] = "on_demand"
    zoom_outside: Literal["keep", "zero"] = "keep"  # probabilities outside the crop
    # Network calls.
    flip: bool = True  # average the logits of the image and its mirror image
    channel_order: Literal["rgb", "bgr"] = "rgb"
    # Counting.
    noc_targets: tuple[float, ...] = (0.8, 0.85, 0.9)
    nof: Literal["strict", "at_max"] = "strict"  # strict: never reached; at_max: NoC == max_clicks
    # Objects.
    id_decode: Literal["exact", "wrapped"] = "exact"  # wrapped: uint8/uint16 overflow as released
    min_area: int = 0


PRESETS: dict[str, Protocol] = {
    "paper": Protocol(),
    "refiner-as-released": Protocol(
        name="refiner-as-released",
        early_stop=None,
        channel_order="bgr",
        noc_targets=(0.8, 0.85, 0.9, 0.95, 0.99),
        nof="at_max",
        id_decode="wrapped",
    ),
    "mfp": Protocol(
        name="mfp",
        early_stop=None,
        noc_targets=(0.85, 0.9, 0.95, 0.99, 1.0),
        nof="at_max",
    ),
    "simpleclick": Protocol(
        name="simpleclick", pred_thr=0.49, zoom_outside="zero", nof="at_max"
    ),
    "ritm": Protocol(
        name="ritm",
        pred_thr=0.49,
        zoom_outside="zero",
        zoom_skip_clicks=1,
        zoom_size=400,
        zoom_keep_aspect=True,
        nof="at_max",
    ),
}
