"""What an external predictor is shown of an object's picture, and what its answer becomes."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from rsisrefiner_jax.interaction import loop as click_loop
from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.interaction.clicks import Click
from rsisrefiner_jax.interaction.external import Question
from rsisrefiner_jax.interaction.loop import Loop
from rsisrefiner_jax.interaction.padding import pad, padded_shape

LARGEST_LOGIT = 20.0  # of an answer, whose probabilities may be exactly 0 or 1


class WholePicture:
    """The picture as it is (uint8 [h, w, 3]), at its own size.

    clicks: those so far, in pixels of the picture. probs: float32 [h, w], the last answer. roi:
    the crop in force; None without zoom-in.
    """

    def __init__(self, image: np.ndarray) -> None:
        self.clicks: tuple[Click, ...] = ()
        self.probs = np.zeros(image.shape[:2], np.float32)
        self.roi: tuple[int, ...] | None = None
        self._image = image

    def ask(self, click: Click) -> list[Question]:
        """Adds a click; what is to be answered now."""
        self.clicks = (*self.clicks, click)
        return [Question(self._image, self.clicks, self.probs)]

    def take(self, answers: Sequence[np.ndarray]) -> None:
        """The answers to those questions, in their order: float [h, w] in 0..1."""
        self.probs = answers[0].astype(np.float32)


class ZoomIn:
    """The protocol's crop, by the functions that our own networks are fed by (`Loop`).

    image: uint8 [h, w, 3].
    """

    def __init__(self, image: np.ndarray, loop: Loop) -> None:
        self.clicks: tuple[Click, ...] = ()
        self.roi: tuple[int, ...] | None = None
        self._loop = loop
        self._shape = image.shape[:2]
        padded = padded_shape(*self._shape)
        self._image = jnp.asarray(pad(image, padded)[None])
        self._size = jnp.array([self._shape], jnp.int32)
        self._now = click_loop.no_clicks(1, padded, loop.protocol.max_clicks)
        self._crops: list[np.ndarray] = []

    @property
    def probs(self) -> np.ndarray:
        """float32 [h, w]: probabilities of the whole picture."""
        h, w = self._shape
        return np.asarray(self._now.probs)[0, :h, :w]

    def ask(self, click: Click) -> list[Question]:
        """As in `WholePicture`; with flip averaging a second question is about the mirror image."""
        self.clicks = (*self.clicks, click)
        yx = np.array([[click.y, click.x]], np.float32)
        label = np.array([click.positive], np.int32)
        self._now, moved = _add_click(self._now, yx, label, self._size, self._loop.protocol)
        self.roi = tuple(self._now.roi[0].tolist()) if bool(self._now.cropped[0]) else None
        if bool(moved[0]) or not self._crops:
            crops = np.asarray(_crop_image(self._image, self._now.roi, self._loop))[0]
            self._crops = list(crops * np.float32(255))
        given = jax.tree.map(np.asarray, _model_input(self._now, self._loop))
        return [
            Question(crop, self._moved(given.clicks.yx[0, i]), given.prev_mask[0, i])
            for i, crop in enumerate(self._crops)
        ]

    def _moved(self, yx: np.ndarray) -> tuple[Click, ...]:
        """The clicks at other places, float32 [k, 2]."""
        pairs = zip(yx.tolist(), self.clicks, strict=False)
        return tuple(Click(y, x, click.positive) for (y, x), click in pairs)

    def take(self, answers: Sequence[np.ndarray]) -> None:
        """As in `WholePicture`."""
        logits = np.stack([_logit(answer) for answer in answers])[None]
        probs = _paste_answer(self._now, logits, self._loop)
        self._now = self._now._replace(probs=probs)


View = WholePicture | ZoomIn


class Square(ClickModel):
    """Stands in a `Loop` for a network that runs elsewhere."""

    image_size: int = 0


# Compiled for each padded shape of pictures.
_add_click = jax.jit(click_loop.add_click, static_argnames="protocol")
_crop_image = jax.jit(click_loop.crop_image, static_argnames="loop")
_model_input = jax.jit(click_loop.model_input, static_argnames="loop")
_paste_answer = jax.jit(click_loop.paste_answer, static_argnames="loop")


def _logit(probability: np.ndarray) -> np.ndarray:
    """float32; within +-LARGEST_LOGIT, so that those of a picture and its mirror image add up."""
    probability = probability.astype(np.float64)
    with np.errstate(divide="ignore"):
        logit = np.log(probability) - np.log1p(-probability)
    return logit.clip(-LARGEST_LOGIT, LARGEST_LOGIT).astype(np.float32)
