"""Which raster an object of a layer lies on, where there, and what is answered together."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.annotate.windows import Click
from rsisrefiner_jax.formats.georeference import placed_in_pixels
from rsisrefiner_jax.formats.polygons import covered_by, extent_in
from rsisrefiner_jax.formats.raster_info import Raster
from rsisrefiner_jax.refine.layer import Kind, Layer, LayerObject

CELL = 1024  # pixels; objects whose middles lie in one such square of a raster are read together
TOGETHER = 16  # objects at most: what a kill may cost
DEEP = 512  # pixels from the border of a raster; further away does not count as better


@dataclasses.dataclass(frozen=True)
class Prompt:
    """An object that is asked for, in pixels of its raster.

    number: its place among the objects of the layer. shape: what a polygon covers, or a box; not
    cut to the raster, on which it has a part. clicks: those of points that lie on the raster.
    cut: whether some of it does not.
    """

    number: int
    raster: int
    kind: Kind
    shape: BaseGeometry | None
    clicks: tuple[Click, ...]
    cut: bool

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom)."""
        if self.shape is not None:
            return self.shape.bounds
        xs, ys = [click.x for click in self.clicks], [click.y for click in self.clicks]
        return min(xs), min(ys), max(xs), max(ys)


@dataclasses.dataclass(frozen=True)
class Block:
    """Objects that are answered together, by one reading of their raster."""

    number: int
    raster: int
    prompts: tuple[Prompt, ...]


def place(layer: Layer, rasters: Sequence[Raster], systems: Sequence[str | None]) -> list[Prompt]:
    """The objects that lie on a raster, in order; each on the one that shows most of it.

    Where several show as much, it is the one in which the object lies further from the border, up
    to `DEEP`, and then the first of them.

    Args:
        systems: of the layer, as each raster takes it (`polygons.stated_system`).
    """
    best: dict[int, tuple[tuple[float, float], Prompt]] = {}
    usable = [i for i, one in enumerate(layer.objects) if one.shape is not None]
    shapes = np.array([layer.objects[i].shape for i in usable], object)
    for number, (info, crs) in enumerate(zip(rasters, systems, strict=True)):
        extent = extent_in(info, crs)
        near = np.arange(len(usable))
        if extent is not None and len(usable):
            near = np.flatnonzero(shapely.intersects(shapes, shapely.box(*extent)))
        placed, whole = placed_in_pixels(info, crs, shapes[near])
        for i, shape, is_whole in zip(near.tolist(), placed, whole.tolist(), strict=True):
            at = usable[i]
            found = _on(info, layer.objects[at], shape) if is_whole else None
            if found is None:
                continue
            score, fields = found
            if at not in best or score > best[at][0]:
                best[at] = score, Prompt(at, number, layer.objects[at].kind, **fields)
    return [best[at][1] for at in sorted(best)]


def _on(
    info: Raster, wanted: LayerObject, shape: BaseGeometry
) -> tuple[tuple[float, float], dict[str, Any]] | None:
    """How well a raster shows an object, and the prompt's fields; None where it does not."""
    whole = shapely.box(0, 0, info.width, info.height)
    if wanted.kind == "points":
        xy = shapely.get_coordinates(shape)
        inside = ((xy >= 0) & (xy < (info.width, info.height))).all(1)
        pairs = zip(xy.tolist(), wanted.positive, inside.tolist(), strict=True)
        clicks = tuple(Click(x, y, positive) for (x, y), positive, here in pairs if here)
        if not clicks or not clicks[0].positive:
            return None
        share, bounds = float(inside.mean()), shapely.MultiPoint(xy[inside]).bounds
        fields: dict[str, Any] = {"shape": None, "clicks": clicks, "cut": share < 1}
    else:
        covered = shapely.box(*shape.bounds) if wanted.kind == "box" else _covered(shape)
        if covered is None:
            return None
        share = shapely.intersection(covered, whole).area / covered.area
        if not share > 0:
            return None
        bounds = covered.bounds
        fields = {"shape": covered, "clicks": (), "cut": share < 1 - 1e-9}
    left, top, right, bottom = bounds
    margin = min(left, top, info.width - right, info.height - bottom, DEEP)
    return (round(share, 9), margin), fields


def _covered(shape: BaseGeometry) -> BaseGeometry | None:
    found = covered_by(np.array([shape], object), np.array([True]))[0]
    return found if found is not None and found.area > 0 else None


def blocks(prompts: Sequence[Prompt]) -> Iterator[Block]:
    """The prompts by raster and by cell of it, in a fixed order, `TOGETHER` at most a block."""
    cells: dict[tuple[int, int, int], list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        left, top, right, bottom = prompt.box
        row, column = (math.floor((a + b) / 2 / CELL) for a, b in ((top, bottom), (left, right)))
        cells[prompt.raster, row, column].append(prompt)
    number = 0
    for (raster, _, _), together in sorted(cells.items(), key=lambda item: item[0]):
        for first in range(0, len(together), TOGETHER):
            yield Block(number, raster, tuple(together[first : first + TOGETHER]))
            number += 1
