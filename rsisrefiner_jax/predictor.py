"""An interactive session on one picture after the other."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from rsisrefiner_jax import parallel
from rsisrefiner_jax.checkpoint.loading import LoadedModel, load_model
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.interaction.mask_values import in_unit_range
from rsisrefiner_jax.interaction.session import ClickSession, Programs
from rsisrefiner_jax.protocol import Protocol, preset


class Predictor:
    """Segments objects by clicks, as the evaluation does.

        predictor = Predictor.from_checkpoint("runs/base")
        predictor.set_image(rgb)
        probabilities = predictor.click(120, 310, positive=True)

    Coordinates are (y, x) pixels of the picture: row 0, column 0 is its first pixel. What is
    returned is the caller's own: it may be written to and does not change later. Whatever is
    refused leaves everything as it was.

    The network is compiled on creation (from a second start on it is read from disk); what depends
    on a picture's size is compiled when the first one of about this size comes, in a second or two
    (from a second start on in half of one).

    A predictor does not survive a fork and says so. It can be pickled, clicks left out, where it
    was made by `from_checkpoint`: the copy loads the checkpoint again.
    """

    def __init__(self, model: LoadedModel, protocol: Protocol | None = None):
        """protocol: None = that of the model's configuration."""
        self.protocol = protocol or model.config.protocol
        self._programs = Programs(model.model, model.variables, self.protocol)
        self._session: ClickSession | None = None
        self._origin: tuple[str, str | None] | None = None

    @classmethod
    def from_checkpoint(cls, directory: str | Path, protocol: str | None = None) -> "Predictor":
        """A predictor with a checkpoint's weights.

        Args:
            protocol: a preset's name; None = the checkpoint's own, as in `eval.py`.

        Raises:
            UserError: no checkpoint there, or no such protocol.
        """
        chosen = None if protocol is None else preset(protocol)
        parallel.keep_compiled_programs(shortest=0)
        predictor = cls(load_model(directory), chosen)
        predictor._origin = str(Path(directory).absolute()), protocol
        return predictor

    def __reduce__(self) -> tuple[Any, ...]:
        if self._origin is None:
            raise UserError(
                "a Predictor made of a model in memory cannot be pickled; make it by "
                "Predictor.from_checkpoint, or again where it is needed"
            )
        return Predictor.from_checkpoint, self._origin

    def set_image(self, rgb: np.ndarray) -> None:
        """Starts on a picture, uint8 [h, w, 3], [h, w] (grey) or [h, w, 4] (alpha is dropped).

        Raises:
            UserError: anything else.
        """
        rgb = rgb_of(rgb)
        self._session = None  # its memory goes before the new one's comes
        self._session = ClickSession(self._programs, rgb)

    def click(self, y: float, x: float, positive: bool = True) -> np.ndarray:
        """Adds a click; the new probabilities float32 [h, w], all 0 as long as no click is
        positive and there is no mask.

        Raises:
            UserError: it lies outside the picture, or is no number.
        """
        session = self._open()
        height, width = session.shape
        place = _number(y, "y"), _number(x, "x")
        require(
            0 <= place[0] < height and 0 <= place[1] < width,
            f"the click at y={y}, x={x} lies outside the picture of {height} x {width} "
            "(height x width)",
        )
        require(
            isinstance(positive, bool | np.bool) or positive in (0, 1),
            f"positive must be True or False, not {positive!r}",
        )
        return session.click(*place, bool(positive)).copy()

    def undo(self) -> np.ndarray:
        """Takes the last click back; the probabilities before it, float32 [h, w]."""
        return self._open().undo().copy()

    def reset(self) -> None:
        """Forgets clicks and mask; the picture stays."""
        self._open().reset()

    def set_mask(self, mask: np.ndarray) -> None:
        """Starts again from a mask or probabilities [h, w] that clicks will refine.

        Args:
            mask: bool; whole numbers of which 0 is background and 1, or in uint8 255, is object;
                or probabilities in 0..1.

        Raises:
            UserError: another size, or values that mean something else (logits, ids, NaN).
        """
        session = self._open()
        session.set_mask(in_unit_range(mask, session.shape).astype(np.float32))

    @property
    def clicks(self) -> tuple[tuple[float, float, bool], ...]:
        """(y, x, positive) of every click so far."""
        return tuple((c.y, c.x, c.positive) for c in self._open().clicks)

    @property
    def compilations(self) -> int:
        """How many programs were compiled so far."""
        return self._programs.compilations

    def _open(self) -> ClickSession:
        require(self._session is not None, "no picture yet; call set_image first")
        assert self._session is not None
        return self._session


def rgb_of(picture: np.ndarray) -> np.ndarray:
    """A picture uint8 [h, w, 3], [h, w] (grey) or [h, w, 4] (alpha is dropped) as RGB [h, w, 3].

    Raises:
        UserError: anything else.
    """
    picture = np.asarray(picture)
    known = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] in (3, 4))
    require(
        picture.dtype == np.uint8 and known and picture.size > 0,
        "the picture must be uint8 [h, w, 3] in RGB order (or grey [h, w], or RGBA), "
        f"not {picture.dtype} {picture.shape}",
    )
    return np.stack([picture] * 3, -1) if picture.ndim == 2 else picture[..., :3]


def _number(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    known = not isinstance(value, str | bytes | bool) and math.isfinite(number)
    require(known, f"{name} must be a number of pixels, not {value!r}")
    return number
