"""One device's slots of the batched click loop, kept full from a stream of objects."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rsisrefiner_jax.interaction import loop as click_loop
from rsisrefiner_jax.interaction.clicks import Click
from rsisrefiner_jax.interaction.loop import Loop, Objects
from rsisrefiner_jax.interaction.padding import pad
from rsisrefiner_jax.interaction.simulate import Trace
from rsisrefiner_jax.parallel import keep_last

KEPT = 8  # programs that stay compiled for a device: one for each shape of most data sets

# Steps between two looks of the host: few enough that Ctrl-C is heard.
STEPS = 8


@dataclasses.dataclass(frozen=True)
class Item:
    """An object to click. tag: for whoever takes it back."""

    tag: Any
    image: np.ndarray  # uint8 [h, w, 3], RGB
    target: np.ndarray  # int8 [h, w], 1 = object, 0 = background, -1 = ignore
    seed: int  # of its random draws, uint32


class Slots:
    """Clicks objects on one device, `batch` at a time, images padded to `shape`.

    Compiles on creation, once for all weights of a network. `made` counts the answers that the
    model computed so far, `needed` those to the clicks of the finished objects.
    """

    def __init__(
        self,
        loop: Loop,
        variables: Any,
        batch: int,
        shape: tuple[int, int],
        device: jax.Device | None = None,
    ) -> None:
        self._loop = loop
        self._shape = shape
        self._device = device or jax.devices()[0]
        self._variables = jax.device_put(variables, self._device)
        self._items: list[Item | None] = [None] * batch
        # Never a single slot: XLA sees that loops over it run once at most, makes them conditions
        # and runs those on one CPU core, with results that differ in the last digit.
        slots = max(batch, 2)
        idle = jax.jit(lambda v: click_loop.empty_slots(loop, v, slots, shape))(self._variables)
        self._objects, self._state = jax.device_put(idle, self._device)
        arguments = (self._variables, self._objects, self._state, *self._limits(0))
        shapes, tree = jax.tree.flatten(jax.tree.map(_shape, arguments))
        self._run = _compiled(self._device, loop, tuple(shapes), tree)
        self.made = self.needed = 0

    def _limits(self, leave: int) -> tuple[jax.Array, jax.Array]:
        steps = STEPS if self._loop.search is None else 1  # a search answers many clicks a step
        limits = jnp.int32(steps), jnp.int32(leave)
        return jax.device_put(limits, self._device)

    def run(self, items: Iterator[Item]) -> Iterator[tuple[Item, Trace]]:
        """Yields every item with its trace, in the order in which they finish."""
        more = True
        while True:
            while more and None in self._items:
                item = next(items, None)
                more = item is not None
                if item is not None:
                    self._place(self._items.index(None), item)
            busy = sum(item is not None for item in self._items)
            if busy == 0:
                return
            # While there is more to do, the first that ends makes room.
            leave = busy - 1 if more else 0
            self._state, made = self._run(
                self._variables, self._objects, self._state, *self._limits(leave)
            )
            self.made += int(made)
            yield from self._finished()

    def _place(self, slot: int, item: Item) -> None:
        fields: Any = (
            pad(item.image, self._shape),
            pad(item.target, self._shape, -1),
            np.array(item.target.shape, np.int32),
            np.uint32(item.seed),
        )
        new, where = jax.device_put((Objects(*fields), np.int32(slot)), self._device)
        self._objects, self._state = click_loop.fill_slot(self._objects, self._state, where, new)
        self._items[slot] = item

    def _finished(self) -> Iterator[tuple[Item, Trace]]:
        state = self._state
        active = np.asarray(state.active)
        done = [i for i, item in enumerate(self._items) if item is not None and not active[i]]
        if not done:
            return
        yx, label, ious, rois = map(np.asarray, (*state.now.clicks, state.ious, state.rois))
        for slot in done:
            item = self._items[slot]
            assert item is not None
            self._items[slot] = None
            n = int((label[slot] >= 0).sum())
            self.needed += n
            h, w = item.target.shape
            yield (
                item,
                Trace(
                    clicks=tuple(
                        Click(int(y), int(x), bool(sign))
                        for (y, x), sign in zip(yx[slot, :n], label[slot, :n], strict=True)
                    ),
                    ious=ious[slot, :n],
                    rois=tuple(None if r[0] < 0 else tuple(r.tolist()) for r in rois[slot, :n]),
                    probs=np.asarray(state.now.probs[slot])[:h, :w],
                ),
            )


@keep_last(KEPT)
def _compiled(
    device: jax.Device, loop: Loop, shapes: tuple[jax.ShapeDtypeStruct, ...], tree: Any
) -> Any:
    """`click_loop.run` for arguments of these shapes, which name the device, too."""
    return jitted(loop).lower(*jax.tree.unflatten(tree, shapes)).compile()


def jitted(loop: Loop) -> Any:
    """`click_loop.run` of a loop, to compile. Donates the state."""
    return jax.jit(functools.partial(click_loop.run, loop), donate_argnums=2)


def _shape(x: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)
