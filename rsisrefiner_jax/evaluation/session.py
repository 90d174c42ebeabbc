"""One object clicked interactively, on the functions that the batched loop is made of."""

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from rsisrefiner_jax.clicks import Clicks, empty
from rsisrefiner_jax.evaluation import click_loop
from rsisrefiner_jax.evaluation.click_loop import Loop, Network, View
from rsisrefiner_jax.evaluation.clicker import Click
from rsisrefiner_jax.evaluation.padding import pad, padded_shape
from rsisrefiner_jax.protocol import Protocol

# Click slots come in multiples of this, so that shapes rarely change.
SLOTS = 24


class Programs:
    """A network and a protocol as compiled functions, shared by any number of sessions.

    The two that hold the network are compiled at once and serve every image; the small ones
    around it are compiled for each padded image shape. `compilations` counts them all. Threads
    may share it, also with one that compiles what the others will need.
    """

    def __init__(self, network: Network, variables: Any, protocol: Protocol) -> None:
        protocol.check(network.image_size)
        self.protocol = protocol
        self.network = network
        self.compilations = 0
        self._loop = loop = Loop(network, protocol, rows=1)
        self._variables = variables
        self._compiled: dict[Any, Any] = {}
        self._compiling: dict[Any, threading.Lock] = defaultdict(threading.Lock)
        self._functions: dict[str, Callable[..., Any]] = {
            "aim": partial(click_loop.aim, protocol=protocol),
            "pixels": partial(click_loop.pixels, loop=loop),
            "features": partial(click_loop.features_of, network),
            "prepare": self._prepare,
            "logits": partial(click_loop.logits_of, network),
            "finish": partial(click_loop.finish, loop=loop),
        }
        # Ahead of time, so that the first click does not wait.
        f, s = loop.copies, network.image_size
        shape: Any = jax.ShapeDtypeStruct
        image = shape((1, f, s, s, 3), jnp.float32)
        features = self._program("features", (variables, image)).out_info
        clicks = Clicks(shape((1, f, SLOTS, 2), jnp.float32), shape((1, f, SLOTS), jnp.int32))
        given = click_loop.Input(shape((1, f, s, s), jnp.float32), clicks)
        self._program("logits", (variables, features, given, shape((1,), jnp.bool)))

    def _prepare(self, view: View) -> tuple[click_loop.Input, jax.Array]:
        given = click_loop.prepare(view, self._loop)
        return given, click_loop.is_empty(given.prev_mask)

    def aim(self, view: View, click: Click, size: jax.Array) -> View:
        """The view with one more click, its crop moved where that is due."""
        yx = jnp.array([[click.y, click.x]], jnp.float32)
        return self._call("aim", view, yx, jnp.array([click.positive], jnp.int32), size)[0]

    def features(self, image: jax.Array, view: View) -> Any:
        """The picture's share of the network on the view's crop of uint8 [1, h, w, 3]."""
        return self._call("features", self._variables, self._call("pixels", image, view.roi))

    def answer(self, view: View, features: Any) -> View:
        """The view with the network's answer to its last click."""
        given, is_empty = self._call("prepare", view)
        if self.network.drafts and bool(is_empty[0]):
            draft = self._call("logits", self._variables, features, given, jnp.array([True]))
            given = given._replace(prev_mask=nn.sigmoid(draft))
        logits = self._call("logits", self._variables, features, given, jnp.array([False]))
        return view._replace(probs=self._call("finish", view, logits))

    def _call(self, name: str, *args: Any) -> Any:
        return self._program(name, args)(*args)

    def _program(self, name: str, args: Sequence[Any]) -> Any:
        """The function compiled for arguments of these shapes."""
        key = name, tuple(x.shape for x in jax.tree.leaves(args))
        with self._compiling[key]:  # nothing twice, and nobody waits for another one's program
            if key not in self._compiled:
                self._compiled[key] = jax.jit(self._functions[name]).lower(*args).compile()
                self.compilations += 1
        return self._compiled[key]


class _Moment(NamedTuple):
    """What `undo` goes back to."""

    clicks: tuple[Click, ...]
    view: View


class ClickSession:
    """Segments one object by clicks. Coordinates are (y, x) pixels of the image.

    image: uint8 [h, w, 3], RGB.
    keep_history: keep every state for `undo`; one float32 map of the padded image a click.
    square: pad to a square, so that fewer shapes are compiled; no answer depends on it.

    No array is ever written to: without history, `copy.copy` of a session is a state to come back
    to, at no cost but its references.
    """

    def __init__(
        self,
        programs: Programs,
        image: np.ndarray,
        keep_history: bool = True,
        square: bool = False,
    ) -> None:
        self._programs = programs
        self._shape = image.shape[:2]
        height, width = padded_shape(*self._shape)
        self._padded = (max(height, width),) * 2 if square else (height, width)
        if programs.protocol.channel_order == "bgr":
            image = image[..., ::-1]
        self._image = jnp.asarray(pad(image, self._padded)[None])
        self._size = jnp.array([self._shape], jnp.int32)
        self._features: Any = None
        self._features_of: tuple[int, ...] | None = None  # the crop that they belong to
        self._keep_history = keep_history
        self._history: list[_Moment] = []
        self._now = _Moment((), click_loop.new_view(1, self._padded, SLOTS))

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks so far."""
        return self._now.clicks

    @property
    def probs(self) -> np.ndarray:
        """float32 [h, w]: probability of object at image size; not to be written to."""
        h, w = self._shape
        return np.asarray(self._now.view.probs)[0, :h, :w]  # sliced there it would be copied

    @property
    def mask(self) -> np.ndarray:
        """bool [h, w]: the predicted object."""
        return self.probs > self._programs.protocol.pred_thr

    @property
    def roi(self) -> tuple[int, ...] | None:
        """The crop in force; None before the first click or without zoom-in."""
        view = self._now.view
        return tuple(view.roi[0].tolist()) if bool(view.cropped[0]) else None

    def click(self, y: float, x: float, positive: bool) -> np.ndarray:
        """Adds a click and returns the new probabilities, float32 [h, w]."""
        click = Click(y, x, positive)
        view = self._programs.aim(self._with_slots(), click, self._size)
        crop = tuple(view.roi[0].tolist())
        if crop != self._features_of:
            self._features = self._programs.features(self._image, view)
            self._features_of = crop
        view = self._programs.answer(view, self._features)
        if self._keep_history:
            self._history.append(self._now)
        self._now = _Moment((*self.clicks, click), view)
        return self.probs

    def undo(self) -> np.ndarray:
        """Takes the last click back, if there is one, and returns the probabilities before it."""
        if self._history:
            self._now = self._history.pop()
        return self.probs

    def reset(self) -> None:
        """Starts again from an empty map, without clicks."""
        self._history = []
        self._now = _Moment((), click_loop.new_view(1, self._padded, SLOTS))

    def set_mask(self, mask: np.ndarray, clicks: Sequence[Click] = ()) -> None:
        """Starts again from a mask (0/1 or bool) or probabilities, [h, w].

        clicks: those that have led to it. They are not answered again, but the network is told of
            them at the next one.
        """
        self._history = []
        probs = pad(np.asarray(mask, np.float32), self._padded)
        no_crop = jnp.zeros((1, 4), jnp.int32), jnp.zeros(1, bool)
        view = View(jnp.asarray(probs[None]), _in_slots(clicks), *no_crop)
        self._now = _Moment(tuple(clicks), view)

    def _with_slots(self) -> View:
        """The view with room for one more click."""
        view = self._now.view
        if len(self.clicks) < view.clicks.label.shape[1]:
            return view
        more = empty(1, SLOTS)
        clicks = jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), view.clicks, more)
        return view._replace(clicks=clicks)


def _in_slots(clicks: Sequence[Click]) -> Clicks:
    """Clicks of one object, in as many times SLOTS as they need."""
    count = max(-(-len(clicks) // SLOTS), 1) * SLOTS
    yx, label = np.full((1, count, 2), -1, np.float32), np.full((1, count), -1, np.int32)
    for slot, click in enumerate(clicks):
        yx[0, slot] = click.y, click.x
        label[0, slot] = click.positive
    return Clicks(jnp.asarray(yx), jnp.asarray(label))
