"""One object clicked interactively, on the functions that the batched loop is made of."""

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rsisrefiner_jax.errors import require
from rsisrefiner_jax.interaction import loop as click_loop
from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.interaction.clicks import Click, Clicks
from rsisrefiner_jax.interaction.loop import ClickState, Loop
from rsisrefiner_jax.interaction.padding import pad, padded_shape
from rsisrefiner_jax.protocol import Protocol

SLOTS = 24  # for clicks, at first; doubled when they are filled, so that shapes rarely change


class Programs:
    """A model and a protocol as compiled functions, shared by any number of sessions.

    The two that hold the model are compiled at once and serve every image; the small ones around
    it are compiled for each padded image shape. `compilations` counts them all. Threads may share
    it, also with one that compiles what the others will need.
    """

    def __init__(self, model: ClickModel, variables: Any, protocol: Protocol) -> None:
        protocol.check(model.image_size)
        self.protocol = protocol
        self.model = model
        self.compilations = 0
        self._variables = variables
        self._process = os.getpid()
        self._compiled: dict[Any, Any] = {}
        self._compiling: dict[Any, threading.Lock] = defaultdict(threading.Lock)
        self._loop = loop = Loop(model, protocol, rows=1)
        self._functions: dict[str, Callable[..., Any]] = {
            "add_click": partial(click_loop.add_click, protocol=protocol),
            "crop_image": partial(click_loop.crop_image, loop=loop),
            "encode": partial(click_loop.encode, model),
            "model_input": partial(click_loop.model_input, loop=loop),
            "predict": partial(click_loop.predict, model),
            "paste_answer": partial(click_loop.paste_answer, loop=loop),
        }
        # Ahead of time, so that the first click does not wait.
        self._features = self._program("encode", (variables, self._crops())).out_info
        self.prepare(SLOTS)

    def _crops(self) -> jax.ShapeDtypeStruct:
        f, s = self._loop.copies, self.model.image_size
        return jax.ShapeDtypeStruct((1, f, s, s, 3), jnp.float32)

    def prepare(self, slots: int) -> None:
        """Compiles the model's answer to up to this many clicks."""
        f, s = self._loop.copies, self.model.image_size
        shape: Any = jax.ShapeDtypeStruct
        clicks = Clicks(shape((1, f, slots, 2), jnp.float32), shape((1, f, slots), jnp.int32))
        given = click_loop.ModelInput(shape((1, f, s, s), jnp.float32), clicks)
        self._program("predict", (self._variables, self._features, given))

    def add_click(self, now: ClickState, click: Click, size: jax.Array) -> ClickState:
        """One more click, the crop moved where that is due."""
        yx = np.array([[click.y, click.x]], np.float32)
        return self._call("add_click", now, yx, np.array([click.positive], np.int32), size)[0]

    def encode(self, image: jax.Array, now: ClickState) -> Any:
        """The features of the crop in force of uint8 [1, h, w, 3]."""
        return self._call("encode", self._variables, self._call("crop_image", image, now.roi))

    def predict(self, now: ClickState, features: Any) -> jax.Array:
        """The model's answer to the last click: logits of the crop [1, f, s, s]."""
        given = self._call("model_input", now)
        return self._call("predict", self._variables, features, given)

    def paste(self, now: ClickState, logits: jax.Array) -> ClickState:
        """The state with an answer in it."""
        return now._replace(probs=self._call("paste_answer", now, logits))

    def _call(self, name: str, *args: Any) -> Any:
        require(
            self._process == os.getpid(),
            "this predictor was made before the process forked, which JAX does not survive; make "
            'it in the child, or start processes with multiprocessing.get_context("spawn")',
        )
        return self._program(name, args)(*args)

    def _program(self, name: str, args: Sequence[Any]) -> Any:
        """The function compiled for arguments of these shapes."""
        # The weights have hundreds of arrays, whose shapes are always the same.
        shaped = [x for x in args if x is not self._variables]
        key = name, tuple(x.shape for x in jax.tree.leaves(shaped))
        with self._compiling[key]:  # nothing twice, and nobody waits for another one's program
            if key not in self._compiled:
                self._compiled[key] = jax.jit(self._functions[name]).lower(*args).compile()
                self.compilations += 1
        return self._compiled[key]


class _Answer(NamedTuple):
    """An answered click: the crop that was in force, and the logits [1, f, s, s] of that crop.

    logits: None where the network was not asked, and nothing stays nothing.
    """

    roi: jax.Array  # int32 [1, 4]
    cropped: jax.Array  # bool [1]
    logits: jax.Array | None


class ClickSession:
    """Segments one object by clicks. Coordinates are (y, x) pixels of the image.

    image: uint8 [h, w, 3], RGB.
    keep_history: keep the answer to every click for `undo`: a map as large as the model's input.
    square: pad to a square of this side or more, so that fewer shapes are compiled; no answer
        depends on it.

    No array is ever written to: `copy.copy` of a session without history is a state to come back
    to, at no cost but its references.
    """

    def __init__(
        self,
        programs: Programs,
        image: np.ndarray,
        keep_history: bool = True,
        square: int | None = None,
    ) -> None:
        self._programs = programs
        self._shape = image.shape[0], image.shape[1]
        self._padded = padded_shape(*self._shape)
        if square is not None:
            self._padded = padded_shape(*(max(square, *self._shape),) * 2)
        self._image = jnp.asarray(pad(image, self._padded)[None])
        self._size = jnp.array([self._shape], jnp.int32)
        self._features: Any = None
        self._features_roi: tuple[int, ...] | None = None  # the crop that they belong to
        self._keep_history = keep_history
        self._answers: tuple[_Answer, ...]
        self._clicks: tuple[Click, ...]
        self.reset()

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the image, pixels."""
        return self._shape

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks so far."""
        return self._clicks

    @property
    def probs(self) -> np.ndarray:
        """float32 [h, w]: probability of object at image size; not to be written to."""
        h, w = self._shape
        return np.asarray(self._now.probs)[0, :h, :w]  # sliced there it would be copied

    @property
    def mask(self) -> np.ndarray:
        """bool [h, w]: the predicted object."""
        return self.probs > self._programs.protocol.pred_thr

    @property
    def roi(self) -> tuple[int, ...] | None:
        """The crop in force; None before the first click or without zoom-in."""
        now = self._now
        return tuple(now.roi[0].tolist()) if bool(now.cropped[0]) else None

    def click(self, y: float, x: float, positive: bool) -> np.ndarray:
        """Adds a click and returns the new probabilities, float32 [h, w].

        Where no click is positive and there is no mask to refine, there is no object, and the
        network is not asked; no evaluation comes to that.
        """
        clicks = (*self._clicks, Click(y, x, positive))
        now = self._programs.add_click(self._with_room(), clicks[-1], self._size)
        asked = any(click.positive for click in clicks) or bool(self.probs.any())
        answer = _Answer(now.roi, now.cropped, self._predicted(now) if asked else None)
        if self._keep_history:
            self._answers = (*self._answers, answer)
        self._now = self._with_answer(now, answer)
        self._clicks = clicks
        return self.probs

    def look_ahead(self) -> None:
        """Encodes the crop that a click near the last one will have in force.

        No answer changes by it; the next click is answered sooner.
        """
        if self._clicks and self.probs.any():
            again = self._clicks[-1]
            self._encode(self._programs.add_click(self._with_room(), again, self._size))

    def _predicted(self, now: ClickState) -> jax.Array:
        """The network's answer to the last click."""
        self._encode(now)
        return self._programs.predict(now, self._features)

    def _encode(self, now: ClickState) -> None:
        """Has the features of the crop in force."""
        roi = tuple(np.asarray(now.roi)[0].tolist())
        if roi != self._features_roi:
            self._features = self._programs.encode(self._image, now)
            self._features_roi = roi

    def _with_answer(self, now: ClickState, answer: _Answer) -> ClickState:
        """The state with an answer in it."""
        now = now._replace(roi=answer.roi, cropped=answer.cropped)
        return now if answer.logits is None else self._programs.paste(now, answer.logits)

    def undo(self) -> np.ndarray:
        """Takes the last click back, if there is one, and returns the probabilities before it.

        The answers before it are pasted again, so that no click keeps a map of the whole image.
        """
        if self._answers:
            self._answers = self._answers[:-1]
            self._clicks = self._clicks[:-1]
            self._now = self._pasted_again()
        return self.probs

    def reset(self) -> None:
        """Starts again from an empty map, without clicks."""
        self._begin(None, ())

    def set_mask(self, mask: np.ndarray, clicks: Sequence[Click] = ()) -> None:
        """Starts again from a mask (0/1 or bool) or probabilities, [h, w].

        clicks: those that have led to it. They are not answered again, but the model is told of
            them at the next one.
        """
        self._begin(np.array(mask), tuple(clicks))

    def _begin(self, mask: np.ndarray | None, clicks: tuple[Click, ...]) -> None:
        self._answers = ()
        self._clicks = clicks
        self._now = self._started(mask)
        self._start = mask if self._keep_history else None

    def _started(self, mask: np.ndarray | None) -> ClickState:
        """The state before the next click, with a map to start from."""
        now = click_loop.no_clicks(1, self._padded, SLOTS)._replace(clicks=in_slots(self._clicks))
        if mask is None:
            return now
        return now._replace(probs=jnp.asarray(pad(mask.astype(np.float32), self._padded)[None]))

    def _pasted_again(self) -> ClickState:
        """The state after the answers that are left."""
        now = self._started(self._start)
        hidden = self._programs.protocol.zoom_outside == "zero"
        for i, answer in enumerate(self._answers):
            last = i == len(self._answers) - 1
            later = self._answers[i + 1 :]
            if last or not (hidden or any(_holds(other.roi, answer.roi) for other in later)):
                now = self._with_answer(now, answer)
        return now

    def _with_room(self) -> ClickState:
        """The state with room for one more click."""
        slots = self._now.clicks.label.shape[1]
        used = len(self._clicks)
        if used == slots // 2:  # what comes after these slots is compiled before it is needed
            threading.Thread(target=self._programs.prepare, args=(2 * slots,)).start()
        if used < slots:
            return self._now
        return self._now._replace(clicks=in_slots(self._clicks, 2 * slots))


def _holds(outer: jax.Array, inner: jax.Array) -> bool:
    """Whether a crop [1, 4] lies in another one."""
    (top, bottom, left, right), (t, b, l, r) = outer[0].tolist(), inner[0].tolist()
    return top <= t and b <= bottom and left <= l and r <= right


def in_slots(clicks: Sequence[Click], slots: int = SLOTS) -> Clicks:
    """Clicks of one object, in `slots` doubled as often as they need."""
    while slots < len(clicks):
        slots *= 2
    yx, label = np.full((1, slots, 2), -1, np.float32), np.full((1, slots), -1, np.int32)
    for slot, click in enumerate(clicks):
        yx[0, slot] = click.y, click.x
        label[0, slot] = click.positive
    return Clicks(jnp.asarray(yx), jnp.asarray(label))
