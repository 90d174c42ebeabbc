"""The pictures of a split, and the scenes that each becomes."""

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from rsisrefiner_jax.data.builders.files import Files
from rsisrefiner_jax.data.builders.on_disk import OnDisk
from rsisrefiner_jax.data.builders.patches import windows
from rsisrefiner_jax.data.builders.plain_rgb import encoded_rgb, read_rows
from rsisrefiner_jax.data.builders.regions import Annotation
from rsisrefiner_jax.data.coco import read_rgb
from rsisrefiner_jax.data.scene import Scene, Source
from rsisrefiner_jax.errors import UserError, require


class Pictures(Protocol):
    """The source pictures of a split, in order; workers receive a pickled copy.

    left_out: what the source goes without from the start, in a sentence; "" where it is whole.
    """

    @property
    def left_out(self) -> str: ...

    def __len__(self) -> int: ...

    def scenes(self, index: int) -> Iterator[tuple[Scene, bytes | None]]:
        """The scenes of one picture, each with its encoded picture where there is one.

        Raises:
            UserError: a broken file; before the first scene.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Pair:
    """A picture and its masks, as names of a `Files`; None and () where they are missing."""

    name: str
    image: str | None
    masks: tuple[str, ...]


class PairedPictures:
    """Pictures with masks beside them, cut into patches.

    Args:
        pairs: in order.
        readers: how each of a pair's masks is read: path -> array [h, w, ...]; all give the
            colours of an 8-bit RGB PNG as they are.
        annotate: patches of the masks -> the objects in them.
        size, overlap: of patches, in pixels; without size nothing is cut.
    """

    left_out = ""

    def __init__(
        self,
        files: Files,
        pairs: Sequence[Pair],
        readers: Sequence[Callable[[str], np.ndarray]],
        annotate: Callable[..., Annotation],
        size: int | None = None,
        overlap: int = 0,
    ) -> None:
        self._files = files
        self._pairs = tuple(pairs)
        self._readers = tuple(readers)
        self._annotate = annotate
        self._size = size
        self._overlap = overlap

    def __len__(self) -> int:
        return len(self._pairs)

    def scenes(self, index: int) -> Iterator[tuple[Scene, bytes | None]]:
        pair = self._pairs[index]
        if pair.image is None:
            raise UserError(f"{self._files.shown(pair.masks[0])}: there is no picture to this mask")
        if not pair.masks:
            raise UserError(f"{self._files.shown(pair.image)}: there is no mask to this picture")
        with contextlib.ExitStack() as stack:
            with self._files.local(pair.image, *pair.masks) as paths:
                layers: list[OnDisk] = []
                for path, read in zip(paths, (read_rgb, *self._readers), strict=False):
                    rows = OnDisk(read_rows(path, read), self._files.scratch())
                    layers.append(stack.enter_context(rows))
                    require(
                        layers[-1].size == layers[0].size,
                        f"{path}: the mask is {layers[-1]} pixels (height x width) but "
                        f"{paths[0]} is {layers[0]}",
                    )
                height, width = layers[0].size
                size = self._size or max(height, width)
                cut = max(height, width) > size
                picture = None if cut else encoded_rgb(paths[0])
            cuts = windows(height, width, size, self._overlap)
            for (y0, y1), strip in itertools.groupby(cuts, lambda window: (window.y0, window.y1)):
                parts = [layer.rows(y0, y1) for layer in layers]
                for window in strip:
                    name = f"{pair.name}_{window}" if cut else pair.name
                    image, *masks = (part[:, window.x0 : window.x1] for part in parts)
                    labels, objects, ignore = self._annotate(*masks)
                    image = np.ascontiguousarray(image)
                    yield Scene(name, image, labels, objects, ignore), picture


class SourcePictures:
    """The scenes of any data set; an encoded picture is its file, where there is one.

    Args:
        images_dir: folder of the pictures, if a scene's name is the name of its file.
    """

    def __init__(self, source: Source, images_dir: str | None = None) -> None:
        left_out = getattr(source, "left_out", None)
        self.left_out = left_out.sentence() if left_out else ""
        self._source = source
        self._images_dir = images_dir

    def __len__(self) -> int:
        return len(self._source)

    def scenes(self, index: int) -> Iterator[tuple[Scene, bytes | None]]:
        scene = self._source[index]
        path = os.path.join(self._images_dir or "", scene.name)
        if self._images_dir is None:
            yield scene, None
        else:
            yield scene, encoded_rgb(path)


@dataclasses.dataclass(frozen=True)
class First:
    """The first `count` of some pictures."""

    pictures: Pictures
    count: int

    @property
    def left_out(self) -> str:
        return self.pictures.left_out

    def __len__(self) -> int:
        return min(len(self.pictures), self.count)

    def scenes(self, index: int) -> Iterator[tuple[Scene, bytes | None]]:
        return self.pictures.scenes(index)
