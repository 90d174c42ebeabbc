"""Reading the prompts of a layer: points of objects, boxes, polygons to correct."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.features import POINTS, POLYGONS, Features, read_features

Kind = Literal["points", "box", "polygon"]
OBJECT, POSITIVE = "object_id", "positive"  # attributes of points, where no others are named
_YES = ("1", "true", "t", "yes", "y", "positive", "pos", "+")
_NO = ("0", "false", "f", "no", "n", "negative", "neg", "-", "-1")


@dataclasses.dataclass(frozen=True)
class LayerObject:
    """An object that a layer asks for.

    shape: in the layer's system; the points of a MultiPoint in the order of the layer, positive
    ones first; None where nothing can be clicked. positive: of each point.
    feature: its place in the layer, for points that of the first.
    """

    kind: Kind
    shape: BaseGeometry | None
    feature: int
    positive: tuple[bool, ...] = ()


@dataclasses.dataclass(frozen=True)
class Layer:
    """features: as they lie in the file. objects: in the order of their first feature."""

    features: Features
    objects: list[LayerObject]


@dataclasses.dataclass(frozen=True)
class Fields:
    """What the command line says of a layer. boxes: polygons stand for the boxes around them.

    object, positive: names of attributes of points; "" for `OBJECT` and `POSITIVE` where there
    are such attributes.
    """

    boxes: bool = False
    object: str = ""
    positive: str = ""


def read_layer(
    file: Path,
    layer: str,
    fields: Fields,
    system: Callable[[str | None], str | None],
) -> Layer:
    """Every feature of a layer, whether or not it lies on a raster.

    Args:
        layer: its name; "" = the only one of polygons or points.
        system: the coordinate reference system that the file states -> the one that counts.

    Raises:
        UserError: as `read_features`; no such attribute, or a value that says neither yes nor no.
    """
    shown = str(file)
    features = read_features(
        file,
        shown,
        layer,
        lambda names: names,
        lambda stated: (system(stated), None),
        kinds=(*POLYGONS, *POINTS),
    )
    names = set(features.dtypes)
    for option, name in (("--object", fields.object), ("--positive", fields.positive)):
        require(
            not name or name in names,
            f"{option} {name}: {shown} has no such attribute; there are {', '.join(sorted(names))}",
        )
    by = fields.object or (OBJECT if OBJECT in names else "")
    sign = fields.positive or (POSITIVE if POSITIVE in names else "")
    return Layer(features, _objects(features, fields.boxes, by, sign, shown))


def _objects(features: Features, boxes: bool, by: str, sign: str, shown: str) -> list[LayerObject]:
    found: dict[Any, LayerObject] = {}
    points: dict[Any, list[tuple[bool, np.ndarray]]] = {}
    for place, (shape, row) in enumerate(zip(features.shapes, features.table, strict=True)):
        kind = _kind(shape, boxes)
        key: Any = ("feature", place)
        if kind == "points":
            value = row.get(by)
            key = ("object", value) if by and value is not None else key
            positive = _positive(row.get(sign), f"{shown}: {sign}") if sign else True
            several = points.setdefault(key, [])
            several += [(positive, xy) for xy in shapely.get_coordinates(shape)]
        found.setdefault(key, LayerObject(kind or "polygon", shape if kind else None, place))
    for key, clicks in points.items():
        clicks.sort(key=lambda click: not click[0])  # keeps the order otherwise
        found[key] = dataclasses.replace(
            found[key],
            shape=shapely.MultiPoint([xy for _, xy in clicks]) if clicks[0][0] else None,
            positive=tuple(positive for positive, _ in clicks),
        )
    return list(found.values())


def _kind(shape: BaseGeometry | None, boxes: bool) -> Kind | None:
    """What a feature asks for; None for lines and for nothing."""
    if shape is None or shape.is_empty:
        return None
    if shape.geom_type in ("Point", "MultiPoint"):
        return "points"
    if shapely.get_dimensions(shape) != 2:
        return None
    return "box" if boxes else "polygon"


def _positive(value: Any, what: str) -> bool:
    """Whether a point is on the object; without a value it is."""
    if value is None:
        return True
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip().lower()
    if text not in (*_YES, *_NO):
        raise UserError(
            f"{what}={value!r} says neither yes nor no; write 1 for points on the object and 0 "
            "for points beside it"
        )
    return text in _YES
