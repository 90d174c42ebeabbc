"""Outlines, whichever way they come in: cut to the image, with the pixels that they cover."""

import dataclasses
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats import geometry, georeference
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.formats.raster_info import Raster

SAME = 1e-3  # pixels; outlines that are no further apart count as the same


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
    shape, cut = cut_to_image(shape, info)
    return Outline(shape, geometry.rasterise(shape, info.width, info.height), cut)


def cut_to_image(shape: BaseGeometry, info: Raster) -> tuple[BaseGeometry, bool]:
    """The part of a valid shape of pixels that lies in the image, and whether some does not."""
    left, top, right, bottom = (0, 0, 0, 0) if shape.is_empty else shape.bounds
    beyond = max(-left, -top, right - info.width, bottom - info.height)
    if beyond > 0:
        inside = shapely.intersection(shape, shapely.box(0, 0, info.width, info.height))
        shape = geometry.united([part for part in geometry.flat(inside) if part.area > 0])
    return shape, beyond > SAME


def along_pixels(shape: BaseGeometry, mask: Mask) -> bool:
    """Whether an outline says no more than the mask does: it runs along the edges of pixels."""
    edges = shapely.normalize(shapely.simplify(geometry.polygons(mask), 0))
    near = shapely.transform(shape, lambda xy: xy.round())
    close = abs(shapely.get_coordinates(near) - shapely.get_coordinates(shape)).max() < SAME
    plain = shapely.simplify(near, 0) if close else shape  # without corners that add nothing
    return bool(shapely.equals_exact(edges, shapely.normalize(plain), tolerance=SAME))


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
