"""Objects clicked by one of our own networks: in slots that are compiled, on every device."""

import dataclasses
import itertools
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax

from rsisrefiner_jax.data.scene import Source
from rsisrefiner_jax.evaluation.plan import Entry, read_items
from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.interaction.loop import Loop
from rsisrefiner_jax.interaction.simulate import Trace
from rsisrefiner_jax.interaction.slots import Item, Slots
from rsisrefiner_jax.protocol import Protocol


@dataclasses.dataclass
class DeviceWork:
    """By one of our own networks, on the device."""

    model: ClickModel
    protocol: Protocol
    variables: Any
    batch_size: int
    rows: int
    devices: Sequence[jax.Device]
    seconds: float = 0.0
    made: int = 0
    needed: int = 0

    def click(
        self, source: Source, entries: Sequence[Entry], seed: int
    ) -> Iterator[tuple[Item, Trace]]:
        """Every object with its trace as it finishes, one padded shape after the other."""
        for shape in sorted({entry.shape for entry in entries}):
            chosen = [entry for entry in entries if entry.shape == shape]
            batch = min(self.batch_size, -(-len(chosen) // len(self.devices)))
            slots = self._slots(batch, shape, self.devices[: len(chosen)])
            start = time.perf_counter()
            yield from _run(slots, read_items(source, chosen, seed))
            self.seconds += time.perf_counter() - start
            self.made += sum(one.made for one in slots)
            self.needed += sum(one.needed for one in slots)

    def _slots(
        self, batch: int, shape: tuple[int, int], devices: Sequence[jax.Device]
    ) -> list[Slots]:
        """Slots on each device, compiled side by side."""
        loop = Loop(self.model, self.protocol, min(self.rows, batch))
        with ThreadPoolExecutor(len(devices)) as pool:
            make = lambda device: Slots(loop, self.variables, batch, shape, device)  # noqa: E731
            return list(pool.map(make, devices))


def device_work(
    model: ClickModel,
    protocol: Protocol,
    variables: Any,
    batch_size: int,
    rows: int | None,
    devices: Sequence[jax.Device] | None,
) -> DeviceWork:
    """See `evaluate`. Raises UserError."""
    protocol.check(model.image_size)
    devices = devices or jax.local_devices()
    rows = rows or (1 if devices[0].platform == "cpu" else batch_size)
    return DeviceWork(model, protocol, variables, batch_size, rows, devices)


def _run(slots: Sequence[Slots], items: Iterator[Item]) -> Iterator[tuple[Item, Trace]]:
    """Every item with its trace as it finishes; the slots take items as they have room."""
    if len(slots) == 1:
        yield from slots[0].run(items)
        return
    shared = _Shared(items)
    done: queue.Queue[tuple[Item, Trace] | BaseException | None] = queue.Queue()

    def work(one: Slots) -> None:
        try:
            for pair in one.run(shared):
                done.put(pair)
            done.put(None)
        except BaseException as error:
            done.put(error)

    threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in slots]
    for thread in threads:
        thread.start()
    waiting = len(threads)
    try:
        while waiting:
            pair = done.get()
            if isinstance(pair, BaseException):
                raise pair
            if pair is None:
                waiting -= 1
            else:
                yield pair
    finally:
        shared.close()


class _Shared:
    """An iterator that threads may share."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._lock = threading.Lock()

    def __iter__(self) -> "_Shared":
        return self

    def __next__(self) -> Item:
        with self._lock:
            return next(self._items)

    def close(self) -> None:
        """No more items."""
        with self._lock:
            self._items = itertools.chain()
