"""Models that are not of this package: what is asked of one, and how its answers are read.

It may be written in anything that Python can call. It sees a picture, clicks and its own earlier
answer; never the object that is looked for.
"""

import time
import typing
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.interaction.clicks import Click
from rsisrefiner_jax.interaction.mask_values import in_unit_range


@typing.runtime_checkable
class ExternalPredictor(typing.Protocol):
    """What a model needs to be evaluated. Everything given to it is its own and may be changed.

    These attributes are optional:

    zoom_in_size: int, None = absent. A number asks for the protocol's zoom-in: the pictures are
        squares of so many pixels a side, cut out and resized by the protocol, and so float32 (what
        it does not fill, with `zoom_keep_aspect`, is black); where the protocol has flip, the
        mirror image of each is asked for as well. Without it every picture comes as it is.
    predict_batch(images, clicks, prev_masks): several questions at once, as `set_image` and
        `predict` would answer them one by one: [b, h, w, 3], a list of b lists of clicks, float32
        [b, h, w]; returns [b, h, w]. Where it is there, the other two are not called.
    about: a dict of JSON values (weights, versions, ...) that results.json shows; results of
        another `about` do not mix with them.
    """

    def set_image(self, rgb: np.ndarray) -> Any:
        """The picture that the next answers are about: uint8 (or float32) [h, w, 3] in 0..255."""

    def predict(self, clicks: list[Click], prev_mask: np.ndarray) -> Any:
        """The answer to the last click: probabilities of the object, 0..1, [h, w].

        Args:
            clicks: all so far, (y, x, positive) in pixels of the picture, pixel centres at
                integers. With zoom-in they are no whole numbers, and may lie outside.
            prev_mask: float32 [h, w], the answer to the clicks before; zeros at first.
        """


class Question(NamedTuple):
    """One call of `predict`. Two questions with the same array are about the same picture."""

    image: np.ndarray  # uint8 or float32 [h, w, 3]
    clicks: tuple[Click, ...]
    prev_mask: np.ndarray  # float32 [h, w]


class Asked:
    """Puts questions to a predictor and checks what it says.

    name: of the predictor, for messages. seconds: spent in its code so far.
    """

    def __init__(self, predictor: ExternalPredictor, name: str) -> None:
        self.name = name
        self.seconds = 0.0
        self._predictor = predictor
        self._batch = getattr(predictor, "predict_batch", None)
        self._image: np.ndarray | None = None  # the one that it was given last

    @property
    def takes_batches(self) -> bool:
        """Whether it answers several questions in one call."""
        return self._batch is not None

    def answers(self, questions: Sequence[Question]) -> list[np.ndarray]:
        """float [h, w] in 0..1 for each question. Raises UserError: it said something else."""
        if self._batch is None:
            return [self._one(question) for question in questions]
        answers: dict[int, np.ndarray] = {}
        for shape in sorted({question.image.shape for question in questions}):
            chosen = [i for i, each in enumerate(questions) if each.image.shape == shape]
            found = self._together([questions[i] for i in chosen])
            answers.update(zip(chosen, found, strict=True))
        return [answers[i] for i in range(len(questions))]

    def _one(self, question: Question) -> np.ndarray:
        start = time.perf_counter()
        if question.image is not self._image:
            self._predictor.set_image(question.image.copy())
            self._image = question.image
        answer = self._predictor.predict(list(question.clicks), question.prev_mask.copy())
        answer = self._array("predict", answer)
        self.seconds += time.perf_counter() - start
        return self._checked("predict", answer, question)

    def _together(self, questions: Sequence[Question]) -> list[np.ndarray]:
        images = np.stack([question.image for question in questions])
        clicks = [list(question.clicks) for question in questions]
        prev_masks = np.stack([question.prev_mask for question in questions])
        start = time.perf_counter()
        assert self._batch is not None
        found = self._array("predict_batch", self._batch(images, clicks, prev_masks))
        self.seconds += time.perf_counter() - start
        if found.shape[:1] != (len(questions),):
            raise UserError(
                f"--predictor {self.name}: predict_batch must answer [b, h, w] with b = "
                f"{len(questions)}, not {found.shape}"
            )
        return [
            self._checked("predict_batch", answer, question)
            for answer, question in zip(found, questions, strict=True)
        ]

    def _array(self, method: str, answer: Any) -> np.ndarray:
        """An answer as numpy has it; a tensor that computes elsewhere is waited for here."""
        try:
            return np.asarray(answer)
        except (TypeError, ValueError, RuntimeError) as error:  # ragged, on a GPU, with a gradient
            first = str(error).partition("\n")[0]
            raise UserError(
                f"--predictor {self.name}: what {method} answers must be an array ({first})"
            ) from error

    def _checked(self, method: str, answer: np.ndarray, question: Question) -> np.ndarray:
        try:
            return in_unit_range(answer, question.prev_mask.shape)
        except UserError as error:
            raise UserError(
                f"--predictor {self.name}: {method} must answer probabilities of the picture it "
                f"was given: {error}"
            ) from error
