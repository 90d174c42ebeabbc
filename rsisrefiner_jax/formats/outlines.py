"""Outlines, whichever way they come in: cut to the image, with the pixels that they cover; and
whichever way they go out in a reply."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats import geometry, georeference
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.formats.raster_info import Raster

DIGITS = 3  # decimals of a pixel in replies
SAME = 10.0**-DIGITS  # pixels; outlines that are no further apart count as the same


@dataclasses.dataclass(frozen=True)
class Outline:
    """shape: in pixels, within the image. mask: the pixels whose centres lie in it. cut: whether
    it went beyond the image."""

    shape: BaseGeometry
    mask: Mask
    cut: bool


def outlined(shape: BaseGeometry, info: Raster) -> Outline:
    """The part of a valid shape of pixels that lies in the image, which may be none.

    Raises:
        UserError: the box around it is larger than any object may be.
    """
    shapes, (cut,) = cut_to_image(np.array([shape]), info)
    return Outline(shapes[0], geometry.rasterise(shapes[0], info.width, info.height), bool(cut))


def cut_to_image(shapes: np.ndarray, info: Raster) -> tuple[np.ndarray, np.ndarray]:
    """The parts of valid shapes [n] of pixels (None where there is none) that lie in the image, and
    whether some of each lies elsewhere, bool [n]."""
    left, top, right, bottom = np.nan_to_num(shapely.bounds(shapes)).T
    beyond = np.max([-left, -top, right - info.width, bottom - info.height], axis=0)
    image = shapely.box(0, 0, info.width, info.height)
    found = shapes.copy()
    for i in np.flatnonzero(beyond > 0).tolist():
        inside = geometry.flat(shapely.intersection(shapes[i], image))
        found[i] = geometry.united([part for part in inside if part.area > 0])
    return found, beyond > SAME


def along_pixels(shapes: np.ndarray, masks: Sequence[Mask]) -> np.ndarray:
    """Whether outlines [n] say no more than their masks do, bool [n]: they run along the edges of
    pixels and enclose as many as the mask has."""
    parts, shape_of = shapely.get_parts(shapes, return_index=True)
    rings, part_of = shapely.get_rings(parts, return_index=True)
    xy, ring_of = shapely.get_coordinates(rings, return_index=True)
    near = xy.round()
    off = abs(near - xy).max(axis=1) >= SAME
    slanting = (np.diff(near, axis=0) != 0).all(axis=1) & (ring_of[1:] == ring_of[:-1])
    own = shape_of[part_of[ring_of]]
    others = np.bincount(own[off], minlength=len(shapes))
    others += np.bincount(own[1:][slanting], minlength=len(shapes))
    areas = np.array([mask.area for mask in masks], float)
    return (others == 0) & (abs(shapely.area(shapes) - areas) < 0.5)


def outline_sent(given: dict[str, Any], info: Raster, crs: str | None) -> Outline:
    """A client's GeoJSON, in a system or in pixels.

    Raises:
        UserError: it is no outline, or covers no pixel of the image.
    """
    georeference.require_system(info, crs)
    shape = geometry.from_json(given)
    if crs is not None:
        # By way of GeoJSON: bent edges may cross, and what has no place there lies far outside.
        (moved,) = georeference.shapes_in_pixels(info, crs, np.array([shape]))
        shape = geometry.from_json(geometry.to_json(moved))
    found = outlined(shape, info)
    size = f"the image of {info.width} x {info.height} pixels"
    require(not found.shape.is_empty, f"geometry: it lies outside {size}")
    require(found.mask.area > 0, f"geometry: it covers the centre of no pixel of {size}")
    return found


def outlines_for_reply(shapes: Sequence[BaseGeometry], info: Raster, crs: str | None) -> np.ndarray:
    """Shapes [n] of pixels as the server replies them: in a coordinate system, or, where `crs` is
    None, in pixels rounded to `DIGITS`.

    Raises:
        UserError: there is no such system, or a shape has no place in it.
    """
    georeference.require_system(info, crs)
    if crs is None:
        return shapely.transform(np.array(shapes), lambda xy: xy.round(DIGITS))
    return georeference.shapes_in_crs(info, shapes, crs)
