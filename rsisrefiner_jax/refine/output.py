"""The layer that is written: what was asked for, with new shapes and what is to be said of them."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.formats import geometry, georeference
from rsisrefiner_jax.formats.features import Features
from rsisrefiner_jax.formats.masks import Mask, encoded_box
from rsisrefiner_jax.formats.raster_info import Raster
from rsisrefiner_jax.formats.vector_writing import Column, free_name, write_layer
from rsisrefiner_jax.formats.vectors import written_alike
from rsisrefiner_jax.refine.answer import Answer
from rsisrefiner_jax.refine.layer import Layer
from rsisrefiner_jax.refine.placing import Prompt

KEPT = 4096  # masks that stay decoded meanwhile
DIGITS = 4


def answers_of(layer: Layer, found: dict[int, Answer]) -> list[Answer]:
    """One for every object of a layer, those among them that lie on no raster."""
    return [
        found.get(number, Answer(number, "unusable" if wanted.shape is None else "outside"))
        for number, wanted in enumerate(layer.objects)
    ]


def write(
    file: Path,
    layer: Layer,
    prompts: Sequence[Prompt],
    rasters: Sequence[Raster],
    answers: Sequence[Answer],
    overlaps: Sequence[float | None],
) -> None:
    """Writes a GeoPackage in the layer's own system; the same objects give the same bytes.

    Raises:
        UserError: it cannot hold an attribute.
    """
    features, places = layer.features, [wanted.feature for wanted in layer.objects]
    columns = {name: _attribute(features, name, places) for name in features.dtypes}
    on = {prompt.number: os.path.basename(rasters[prompt.raster].path) for prompt in prompts}
    ours = {
        "status": Column([answer.status for answer in answers], str),
        "agreement": Column([_rounded(answer.agreement) for answer in answers], float),
        "iou": Column([_rounded(answer.iou) for answer in answers], float),
        "overlap": Column([_rounded(overlap) for overlap in overlaps], float),
        "clicks": Column([answer.clicks for answer in answers], int),
        "raster": Column([on.get(answer.number) for answer in answers], str),
    }
    for name, column in ours.items():
        columns[free_name(name, columns)] = column
    options = {"GEOMETRY_NAME": free_name("geom", columns), "FID": free_name("fid", columns)}
    if features.ids is not None:
        columns[options["FID"]] = Column([features.ids[place] for place in places], int)
    with written_alike():
        write_layer(
            file,
            _shapes(layer, prompts, rasters, answers),
            columns,
            features.crs,
            driver="GPKG",
            layer="refined",
            layer_options=options,
        )


def _shapes(
    layer: Layer, prompts: Sequence[Prompt], rasters: Sequence[Raster], answers: Sequence[Answer]
) -> list[BaseGeometry | None]:
    """The new outlines; a polygon without one stays, points and boxes have none."""
    shapes: list[BaseGeometry | None] = [
        _several(wanted.shape) if wanted.kind == "polygon" and wanted.shape is not None else None
        for wanted in layer.objects
    ]
    for number, info in enumerate(rasters):
        here = [p for p in prompts if p.raster == number and answers[p.number].mask is not None]
        if not here:
            continue
        outlines = [_outline(prompt, answers[prompt.number], info) for prompt in here]
        placed = georeference.shapes_in_crs(info, outlines, layer.features.crs)
        for prompt, shape in zip(here, placed, strict=True):
            shapes[prompt.number] = _several(shape)
    return shapes


def _outline(prompt: Prompt, answer: Answer, info: Raster) -> BaseGeometry:
    """In pixels, with what of a polygon lies beyond its raster."""
    assert answer.mask is not None
    shape = geometry.polygons(Mask.decode(answer.mask))
    if prompt.kind == "polygon" and prompt.cut:
        beyond = shapely.difference(prompt.shape, shapely.box(0, 0, info.width, info.height))
        shape = shapely.union(shape, beyond)
    return shape


def _several(shape: BaseGeometry) -> BaseGeometry:
    return shapely.MultiPolygon(geometry.flat(shape))


def overlaps(prompts: Sequence[Prompt], answers: Sequence[Answer]) -> list[float | None]:
    """Of each object the largest part of its pixels that another one has as well."""

    @functools.lru_cache(KEPT)
    def mask(number: int) -> tuple[Mask, int]:
        found = Mask.decode(answers[number].mask or {})
        return found, found.area

    shares: list[float | None] = [None] * len(answers)
    by_raster: dict[int, list[int]] = {}
    for prompt in prompts:
        if answers[prompt.number].mask is not None:
            by_raster.setdefault(prompt.raster, []).append(prompt.number)
            shares[prompt.number] = 0.0
    for numbers in by_raster.values():
        boxes = shapely.box(*np.array([encoded_box(answers[n].mask or {}) for n in numbers]).T)
        for i, j in shapely.STRtree(boxes).query(boxes).T.tolist():
            if i < j:
                (one, area), (other, second) = mask(numbers[i]), mask(numbers[j])
                shared = one.shared(other)
                for number, own in ((numbers[i], area), (numbers[j], second)):
                    shares[number] = max(shares[number] or 0.0, shared / own)
    return shares


def _attribute(features: Features, name: str, places: list[int]) -> Column:
    """An attribute of the layer in a type of its own."""
    values = [features.table[place].get(name) for place in places]
    kind = features.dtypes[name]
    if kind.startswith("datetime64"):
        return Column(values, dtype=kind)
    for start, plain in (("int", int), ("uint", int), ("bool", bool), ("float", float)):
        if kind.startswith(start):
            return Column([None if value is None else plain(value) for value in values], plain)
    return Column([_text(value) for value in values], str)


def _text(value: Any) -> Any:
    """Text, and lists, as they are; bytes in hex digits."""
    if isinstance(value, bytes):
        return value.hex()
    return value.tolist() if isinstance(value, np.ndarray) else value


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
