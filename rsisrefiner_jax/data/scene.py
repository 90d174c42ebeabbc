"""What every data source yields: a picture and the objects in it."""

import dataclasses
from typing import Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class SceneObject:
    """One object of a scene: `labels[..., layer] == id` is its mask."""

    id: int  # positive, unique within the scene
    layer: int
    category: str = ""


@dataclasses.dataclass(frozen=True)
class Scene:
    """A picture with its objects.

    Attributes:
        image: uint8 [h, w, 3], RGB.
        labels: int32 [h, w, layers], object ids, 0 = background; objects that overlap lie in
            different layers.
        ignore: bool [h, w], pixels that count neither as object nor as background.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray
    objects: tuple[SceneObject, ...]
    ignore: np.ndarray

    def mask(self, item: SceneObject) -> np.ndarray:
        """bool [h, w]: the pixels of one object."""
        return self.labels[..., item.layer] == item.id


class Source(Protocol):
    """A data set: any random-access sequence of scenes."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Scene: ...
