"""An interactive session on one picture after the other."""

from pathlib import Path

import numpy as np

from rsisrefiner_jax import parallel
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.evaluation.session import ClickSession, Programs
from rsisrefiner_jax.inference import LoadedModel, load_model
from rsisrefiner_jax.protocol import PRESETS, Protocol, preset


class Predictor:
    """Segments objects by clicks, as the evaluation does.

        predictor = Predictor.from_checkpoint("runs/base")
        predictor.set_image(rgb)
        probabilities = predictor.click(120, 310, positive=True)

    Coordinates are (y, x) pixels of the picture. The network is compiled on creation (from a
    second start on it is read from disk); what depends on a picture's size is compiled when the
    first one of about this size comes, in a second or two (from a second start on in half of one).
    """

    def __init__(self, model: LoadedModel, protocol: Protocol = PRESETS["paper"]):
        self._programs = Programs(model.network, model.variables, protocol)
        self._session: ClickSession | None = None

    @classmethod
    def from_checkpoint(cls, directory: str | Path, protocol: str = "paper") -> "Predictor":
        """Raises UserError: no checkpoint there, or no such protocol."""
        chosen = preset(protocol)
        parallel.keep_compiled_programs(shortest=0)
        return cls(load_model(directory), chosen)

    def set_image(self, rgb: np.ndarray) -> None:
        """Starts on a picture, uint8 [h, w, 3], [h, w] (grey) or [h, w, 4] (alpha is dropped).

        Raises UserError for anything else.
        """
        known = rgb.ndim == 2 or (rgb.ndim == 3 and rgb.shape[2] in (3, 4))
        require(
            rgb.dtype == np.uint8 and known and rgb.size > 0,
            "the picture must be uint8 [h, w, 3] in RGB order (or grey [h, w], or RGBA), "
            f"not {rgb.dtype} {rgb.shape}",
        )
        rgb = np.stack([rgb] * 3, -1) if rgb.ndim == 2 else rgb[..., :3]
        self._session = None  # its memory goes before the new one's comes
        self._session = ClickSession(self._programs, rgb)

    def click(self, y: float, x: float, positive: bool = True) -> np.ndarray:
        """Adds a click; the new probabilities float32 [h, w]."""
        return self._open().click(y, x, positive)

    def undo(self) -> np.ndarray:
        """Takes the last click back; the probabilities before it, float32 [h, w]."""
        return self._open().undo()

    def reset(self) -> None:
        """Forgets clicks and mask; the picture stays."""
        self._open().reset()

    def set_mask(self, mask: np.ndarray) -> None:
        """Starts again from a mask or probabilities [h, w] that clicks will refine.

        Raises UserError when it is not as large as the picture.
        """
        expected = self._open().probs.shape
        require(mask.shape == expected, f"the mask must be {expected}, not {mask.shape}")
        self._open().set_mask(mask)

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
