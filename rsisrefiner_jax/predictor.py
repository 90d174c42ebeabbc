"""An interactive session on one picture after the other."""

from pathlib import Path

import numpy as np

from rsisrefiner_jax.errors import require
from rsisrefiner_jax.evaluation.simulate import ClickSession
from rsisrefiner_jax.inference import LoadedModel, load_model
from rsisrefiner_jax.protocol import PRESETS, Protocol


class Predictor:
    """Segments objects by clicks, as the evaluation does.

        predictor = Predictor.from_checkpoint("runs/base")
        predictor.set_image(rgb)
        probabilities = predictor.click(120, 310, positive=True)

    Coordinates are (y, x) pixels of the picture.
    """

    def __init__(self, model: LoadedModel, protocol: Protocol = PRESETS["paper"]):
        self._model = model
        self._protocol = protocol
        self._session: ClickSession | None = None

    @classmethod
    def from_checkpoint(cls, directory: str | Path, protocol: str = "paper") -> "Predictor":
        """Raises UserError: no checkpoint there, or no such protocol."""
        require(protocol in PRESETS, f"no protocol {protocol!r}; there are {', '.join(PRESETS)}")
        return cls(load_model(directory), PRESETS[protocol])

    def set_image(self, rgb: np.ndarray) -> None:
        """Starts on a picture, uint8 [h, w, 3]. Raises UserError for anything else."""
        require(
            rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3,
            f"the picture must be uint8 [h, w, 3] in RGB order, not {rgb.dtype} {rgb.shape}",
        )
        size = self._model.config.model.image_size
        self._session = ClickSession(self._model.predict, rgb, self._protocol, size)

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

    def _open(self) -> ClickSession:
        require(self._session is not None, "no picture yet; call set_image first")
        assert self._session is not None
        return self._session
