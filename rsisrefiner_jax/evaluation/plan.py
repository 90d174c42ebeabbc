"""Which objects of a data set are clicked, in which order, in which padded shape."""

import dataclasses
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from rsisrefiner_jax.data.scene import Scene, SceneObject, Source
from rsisrefiner_jax.interaction.padding import padded_shape
from rsisrefiner_jax.interaction.slots import Item
from rsisrefiner_jax.protocol import Protocol

READERS = 2  # threads
AHEAD = 4  # scenes that are read before they are needed

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One object of a data set; `index` is its place in data set order."""

    index: int
    scene: int
    item: SceneObject
    image: str  # the scene's name
    area_px: int  # without ignored pixels
    shape: tuple[int, int]  # padded

    def seed(self, seed: int) -> int:
        """Of the object's random draws (uint32): its own, wherever and whenever it is clicked."""
        return zlib.crc32(f"{seed}\t{self.image}\t{self.item.id}".encode())


def plan(
    source: Source, protocol: Protocol, limit: int | None, progress: bool
) -> tuple[list[Entry], int]:
    """Reads every scene once: the objects to click, and how many were left out.

    Left out are objects without a pixel to find or smaller than protocol.min_area. limit: only
    the first so many.
    """
    entries: list[Entry] = []
    left_out = 0
    bar = tqdm(total=len(source), unit="scene", desc="reading", disable=not progress, leave=False)
    with bar:
        for number, scene in enumerate(read_ahead(source, range(len(source)))):
            for item in scene.objects:
                if len(entries) == limit:
                    return entries, left_out
                area = int(np.count_nonzero(target_of(scene, item) == 1))
                if area < max(protocol.min_area, 1):
                    left_out += 1
                    continue
                shape = padded_shape(*scene.image.shape[:2])
                entries.append(Entry(len(entries), number, item, scene.name, area, shape))
            bar.update()
    return entries, left_out


def read_items(source: Source, entries: Sequence[Entry], seed: int) -> Iterator[Item]:
    """The objects with their pictures, in the order of `entries`; tags are (entry, scene)."""
    numbers = [number for number, _ in _runs(entries)]
    scenes = read_ahead(source, numbers)
    for (_, run), scene in zip(_runs(entries), scenes, strict=True):
        for entry in run:
            target = target_of(scene, entry.item)
            yield Item((entry, scene), scene.image, target, entry.seed(seed))


def _runs(entries: Iterable[Entry]) -> Iterator[tuple[int, list[Entry]]]:
    """Neighbours of the same scene, together."""
    run: list[Entry] = []
    for entry in entries:
        if run and entry.scene != run[0].scene:
            yield run[0].scene, run
            run = []
        run.append(entry)
    if run:
        yield run[0].scene, run


def read_ahead(source: Source, numbers: Sequence[int]) -> Iterator[Scene]:
    """The scenes of these numbers in order, read by threads a little before they are needed."""
    with ThreadPoolExecutor(READERS) as pool:
        waiting = [pool.submit(source.__getitem__, n) for n in numbers[:AHEAD]]
        for n in [*numbers[AHEAD:], *[None] * min(AHEAD, len(numbers))]:
            scene = waiting.pop(0).result()
            if n is not None:
                waiting.append(pool.submit(source.__getitem__, n))
            yield scene


def target_of(scene: Scene, item: SceneObject) -> np.ndarray:
    """int8 [h, w]: 1 = the object, 0 = background, -1 = ignore, also inside the object."""
    target = scene.mask(item).astype(np.int8)
    target[scene.ignore] = -1
    return target
