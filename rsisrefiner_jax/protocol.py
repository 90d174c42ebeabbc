"""Evaluation protocols: every setting of the click simulation, and the presets of the field.

The values are those in force in each code base's own evaluation (not their command-line defaults):
the RITM family differs in more than the network, and a NoC is only comparable under one protocol.
"""

import dataclasses
import difflib
from typing import Any, Literal

from rsisrefiner_jax.errors import UserError, require


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How clicks are simulated and counted."""

    name: str = "paper"  # of the preset that it began as
    # Clicks.
    max_clicks: int = 20  # also the clicks of an object that never reaches a target
    min_clicks: int = 1  # before an early stop
    pred_thr: float = 0.5  # a pixel is object when its probability is strictly greater
    early_stop: float | None = 0.9  # stop an object once its IoU reaches this; None = never
    # Where the clicks go (`interaction/annotator.py`); all of the field's tables: centre.
    click_strategy: Literal["centre", "random", "jitter", "human", "best", "worst"] = "centre"
    click_jitter: float = 3.0  # pixels, standard deviation of `jitter` on each axis
    click_candidates: int = 12  # positions that `best` and `worst` try for a click
    # How deep in the error these lie: part of its largest depth (0: anywhere, 0.5: where `random`
    # clicks).
    click_margin: float = 0.0
    # Zoom-in.
    # The first this many clicks see the whole image. From then on the crop follows the prediction;
    # where that is empty, -1 keeps the crop logic going and 0 or more falls back on the image.
    zoom_skip_clicks: int = -1
    zoom_size: int | None = None  # side the crop is resized to; None = the network's input side
    # True: the longest side becomes zoom_size, zeros below and to the right fill the input square.
    zoom_keep_aspect: bool = False
    zoom_prob_thr: float = 0.5  # what is greater belongs to the object that a crop is made for
    zoom_expansion: float = 1.4  # side of the crop, in sides of the object's box
    zoom_min_crop: int = 200  # pixels of the image
    zoom_recompute_iou: float = 0.5  # the crop changes where the next one overlaps it less
    # When the crop follows: a positive click or the object has left it (the field's rule); or
    # also where the object touches an edge of the crop that is none of the image; at every click.
    zoom_refresh: Literal["on_demand", "cut_off", "always"] = "on_demand"
    zoom_outside: Literal["keep", "zero"] = "keep"  # probabilities outside the crop
    # Network calls.
    flip: bool = True  # average the logits of the image and its mirror image
    # Counting.
    noc_targets: tuple[float, ...] = (0.8, 0.85, 0.9)  # IoUs to which clicks are counted
    # The NoF that tables show. strict: never reached; at_max: NoC == max_clicks (RITM's count).
    nof: Literal["strict", "at_max"] = "strict"
    # Objects.
    id_decode: Literal["exact", "wrapped"] = "exact"  # wrapped: uint8/uint16 overflow as released
    min_area: int = 0  # objects with fewer pixels are left out

    @property
    def title(self) -> str:
        """The name; where a setting is not the preset's of that name, followed by what differs."""
        preset = dataclasses.asdict(PRESETS.get(self.name, Protocol(name=self.name)))
        changed = {k: v for k, v in dataclasses.asdict(self).items() if v != preset[k]}
        if not changed:
            return self.name
        return f"{self.name} with " + ", ".join(f"{key}={value}" for key, value in changed.items())

    def to_json(self) -> dict[str, Any]:
        """Every setting as results.json holds it; `name` is the title."""
        return dataclasses.asdict(self) | {"name": self.title}

    def check(self, image_size: int) -> None:
        """Raises UserError when settings contradict each other or the network's input side."""
        require(
            1 <= self.min_clicks <= self.max_clicks,
            f"protocol.min_clicks={self.min_clicks} must lie in 1..{self.max_clicks} "
            "(protocol.max_clicks)",
        )
        require(
            bool(self.noc_targets) and all(0 < target <= 1 for target in self.noc_targets),
            f"protocol.noc_targets={self.noc_targets} must be IoUs in (0, 1]",
        )
        require(
            self.click_candidates >= 1 and 0 <= self.click_margin < 1,
            f"protocol.click_candidates={self.click_candidates} must be at least 1 and "
            f"protocol.click_margin={self.click_margin} lie in 0..1, 1 excluded",
        )
        highest = max(self.noc_targets)
        require(
            self.early_stop is None or self.early_stop >= highest,
            f"protocol.early_stop={self.early_stop} would hide NoC at {highest}; "
            f"set it to {highest} or to none",
        )
        require(
            self.zoom_size is None or 2 <= self.zoom_size <= image_size,
            f"protocol.zoom_size={self.zoom_size} must lie in 2..{image_size} (model.image_size)",
        )


PRESETS: dict[str, Protocol] = {
    "paper": Protocol(),
    "refiner-as-released": Protocol(
        name="refiner-as-released",
        early_stop=None,
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
    "simpleclick": Protocol(name="simpleclick", pred_thr=0.49, zoom_outside="zero", nof="at_max"),
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


def preset(name: str) -> Protocol:
    """The preset called `name`. Raises UserError, offering the nearest name."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"--protocol {name}: {hint}the presets are {', '.join(PRESETS)}")
    return PRESETS[name]
