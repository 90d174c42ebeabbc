"""Masks as polygons along the edges of pixels, and back: exact both ways.

Coordinates are pixels, (x, y), the corner of the first pixel being (0, 0).
"""

from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.masks import BOX_LIMIT, EMPTY, Mask
from rsisrefiner_jax.formats.packing import packed


def polygons(mask: Mask) -> BaseGeometry:
    """The valid Polygon or MultiPolygon, with holes, that covers exactly a mask's pixels.

    Pixels that meet at a corner only belong to different parts.
    """
    return _traced(np.array([[mask.width, mask.height]]), lambda _: mask)[0]


def outlines_of(masks: Sequence[dict[str, Any]]) -> np.ndarray:
    """As `polygons`, of many masks at once, which is much quicker: shapely geometries [n].

    masks: as `Mask.encode` has them.
    """
    sizes = np.array([(mask["w"], mask["h"]) for mask in masks], int).reshape(-1, 2)
    return _traced(sizes, lambda number: Mask.decode(masks[number]))


def _traced(sizes: np.ndarray, mask_of: Callable[[int], Mask]) -> np.ndarray:
    """The outlines of masks by their numbers. sizes: int [n, 2], (width, height) of each."""
    from rasterio.features import shapes

    found = np.full(len(sizes), united([]), object)
    some = np.flatnonzero(sizes.all(axis=1))
    for numbers, corners, (width, height) in packed(sizes[some]):
        picture = np.zeros((height, width), np.int32)
        shifts = np.zeros((len(numbers), 2))
        for place, (number, (x, y)) in enumerate(zip(numbers, corners.tolist(), strict=True)):
            mask = mask_of(int(some[number]))
            picture[y : y + mask.height, x : x + mask.width][mask.pixels] = place + 1
            shifts[place] = mask.x - x, mask.y - y
        traced = list(shapes(picture, mask=picture > 0, connectivity=4))
        if not traced:
            continue
        place_of = np.array([int(value) - 1 for _, value in traced])
        order = np.argsort(place_of, kind="stable")
        place_of = place_of[order]
        parts = _polygons_of([traced[i][0]["coordinates"] for i in order.tolist()])
        parts = _shifted(parts, shifts[place_of])
        found[some[numbers[np.unique(place_of)]]] = _together(parts, place_of)
    return found


def _polygons_of(parts: Sequence[Sequence[Any]]) -> np.ndarray:
    """Polygons [n] of lists of rings, the outer one first; all at once, which is much quicker."""
    rings = [ring for part in parts for ring in part]
    ring_of = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    part_of = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    flat_xy = chain.from_iterable(chain.from_iterable(rings))
    xy = np.fromiter(flat_xy, float, 2 * len(ring_of)).reshape(-1, 2)
    return shapely.polygons(shapely.linearrings(xy, indices=ring_of), indices=part_of)


def _shifted(shapes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Geometries [n], each moved by its own (x, y). by: [n, 2]."""
    xy, shape_of = shapely.get_coordinates(shapes, return_index=True)
    return shapely.set_coordinates(shapes.copy(), xy + by[shape_of])


def _together(parts: np.ndarray, of: np.ndarray) -> np.ndarray:
    """As `united`, of the parts of several shapes. of: the number of each part's shape, rising."""
    _, first, counts = np.unique(of, return_index=True, return_counts=True)
    whole = np.bincount(of, ~shapely.is_valid(parts))[of[first]] == 0
    found = np.empty(len(first), object)
    one = whole & (counts == 1)
    found[one] = parts[first[one]]
    for i in np.flatnonzero(~one).tolist():
        own = parts[first[i] : first[i] + counts[i]].tolist()
        found[i] = shapely.MultiPolygon(own) if whole[i] else united(own)
    return found


def united(parts: list[BaseGeometry]) -> BaseGeometry:
    """One Polygon or MultiPolygon of polygons that share no area; invalid ones are mended."""
    mended: list[BaseGeometry] = []
    for part in parts:
        mended += flat(part if part.is_valid else shapely.make_valid(part))
    if len(mended) == 1:
        return mended[0]
    return shapely.MultiPolygon(mended)


def filled(parts: Sequence[BaseGeometry]) -> BaseGeometry:
    """What the parts of one object cover: all of them, but one wholly inside another is a hole.

    The one rule for COCO, for multipolygons and for whatever else comes in parts. A part is its
    outer ring without its inner ones; a ring that crosses itself is filled even-odd.
    """
    whole = [mended for part in parts for polygon in flat(part) for mended in _mended(polygon)]
    together = whole[0] if len(whole) == 1 else shapely.MultiPolygon(whole)
    if len(whole) < 2 or together.is_valid:
        return together
    own = np.array(whole)
    areas = shapely.area(own)
    inner, outer = shapely.STRtree(own).query(own, predicate="covered_by")
    depth = np.bincount(inner[areas[inner] < areas[outer]], minlength=len(own))
    covered = shapely.union_all(own[depth == 0])
    for level in range(1, int(depth.max(initial=0)) + 1):
        change = shapely.difference if level % 2 else shapely.union
        covered = change(covered, shapely.union_all(own[depth == level]))
    return united([part for part in flat(covered) if part.area > 0])


def _mended(polygon: BaseGeometry) -> list[BaseGeometry]:
    """Valid polygons that cover what a part does."""
    if not polygon.is_valid:
        shell, *holes = (
            shapely.make_valid(shapely.Polygon(ring))
            for ring in (polygon.exterior, *polygon.interiors)
        )
        polygon = shapely.difference(shell, shapely.union_all(holes)) if holes else shell
    return [part for part in flat(polygon) if part.area > 0]


def flat(shape: BaseGeometry) -> list[BaseGeometry]:
    """The polygons in a geometry of any kind."""
    return [p for p in shapely.get_parts(shape, return_index=False) for p in _polygons(p)]


def _polygons(part: BaseGeometry) -> list[BaseGeometry]:
    if part.geom_type == "Polygon":
        return [] if part.is_empty else [part]
    return flat(part) if hasattr(part, "geoms") else []


def several(shapes: np.ndarray) -> np.ndarray:
    """Polygons and MultiPolygons [n] as MultiPolygons."""
    parts, shape_of = shapely.get_parts(shapes, return_index=True)
    found = np.full(len(shapes), shapely.MultiPolygon(), object)
    found[np.unique(shape_of)] = shapely.multipolygons(parts, indices=_ranks(shape_of))
    return found


def _ranks(numbers: np.ndarray) -> np.ndarray:
    """Rising numbers without gaps between them: [3, 3, 7] becomes [0, 0, 1]."""
    return np.unique(numbers, return_inverse=True)[1]


def rasterise(shape: BaseGeometry, width: int, height: int) -> Mask:
    """The pixels of a raster whose centres lie in a geometry.

    Raises:
        UserError: the box around it is larger than any object may be.
    """
    from affine import Affine
    from rasterio.features import rasterize

    ((x0, y0, x1, y1),) = _boxes(np.array([shape]), width, height).tolist()
    if x1 <= x0 or y1 <= y0:
        return EMPTY
    pixels = rasterize(
        flat(shape),
        out_shape=(y1 - y0, x1 - x0),
        transform=Affine.translation(x0, y0),
        dtype=np.uint8,
    )
    return Mask(x0, y0, pixels.view(bool)).trimmed()


def rasterised(shapes: np.ndarray, width: int, height: int) -> list[Mask]:
    """As `rasterise`, of many Polygons and MultiPolygons [n] at once, which is much quicker."""
    from rasterio.features import rasterize

    boxes = _boxes(shapes, width, height)
    masks = [EMPTY] * len(shapes)
    some = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    left, top, right, bottom = shapely.bounds(shapes).T
    # What lies side by side must not reach beyond its box.
    inside = some & (left >= 0) & (top >= 0) & (right <= width) & (bottom <= height)
    for i in np.flatnonzero(some & ~inside).tolist():
        masks[i] = rasterise(shapes[i], width, height)
    own = np.flatnonzero(inside)
    sizes = boxes[own, 2:] - boxes[own, :2]
    for numbers, corners, (across, down) in packed(sizes):
        moved = _shifted(shapes[own[numbers]], corners - boxes[own[numbers], :2])
        parts, shape_of = shapely.get_parts(moved, return_index=True)
        burned = zip(to_json_all(parts), (shape_of + 1).tolist(), strict=True)
        picture = rasterize(burned, out_shape=(down, across), dtype=np.int32)
        for i, (number, (x, y)) in enumerate(zip(numbers, corners.tolist(), strict=True), start=1):
            w, h = sizes[number].tolist()
            x0, y0 = boxes[own[number], :2].tolist()
            masks[own[number]] = Mask(x0, y0, picture[y : y + h, x : x + w] == i).trimmed()
    return masks


def _boxes(shapes: np.ndarray, width: int, height: int) -> np.ndarray:
    """(left, top, right, bottom) of the pixels that geometries can cover, int [n, 4].

    Raises:
        UserError: one is larger than any object may be.
    """
    bounds = np.nan_to_num(shapely.bounds(shapes)).reshape(-1, 4)
    low = np.maximum(np.floor(bounds[:, :2]), 0)
    high = np.minimum(np.ceil(bounds[:, 2:]), (width, height))
    sides = (high - low).clip(0)
    for w, h in sides[sides.prod(axis=1) > BOX_LIMIT].astype(int).tolist():
        require(False, f"an object of {w} x {h} pixels is larger than this server takes")
    return np.concatenate([low, high], axis=1).astype(int)


def to_json(shape: BaseGeometry) -> dict[str, Any]:
    """As GeoJSON."""
    return shapely.geometry.mapping(shape)


def to_json_all(shapes: np.ndarray) -> list[dict[str, Any]]:
    """As `to_json`, of many Polygons and MultiPolygons [n] at once, which is much quicker."""
    parts, shape_of = shapely.get_parts(shapes, return_index=True)
    rings, part_of = shapely.get_rings(parts, return_index=True)
    xy, ring_of = shapely.get_coordinates(rings, return_index=True)
    in_rings = _grouped(xy.tolist(), ring_of, len(rings))
    in_parts = _grouped(in_rings, part_of, len(parts))
    in_shapes = _grouped(in_parts, shape_of, len(shapes))
    single = shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON
    return [
        {"type": "Polygon", "coordinates": own[0] if own else []}
        if one
        else {"type": "MultiPolygon", "coordinates": own}
        for own, one in zip(in_shapes, single.tolist(), strict=True)
    ]


def to_flat_json(shapes: np.ndarray) -> list[str]:
    """Polygons and MultiPolygons [n] as JSON texts with one list of numbers each, which a browser
    reads much quicker than GeoJSON's lists in lists.

    Returns:
        Of each an object with `flat`: x, y, x, y ... of its rings one after the other, the last
        point of each being its first; and `ends`: for every part a list of where its rings end in
        `flat`. The first ring of a part is its border, the others are holes.
    """
    parts, shape_of = shapely.get_parts(shapes, return_index=True)
    rings, part_of = shapely.get_rings(parts, return_index=True)
    ring_ends = shapely.get_num_coordinates(rings).cumsum()
    begins = np.searchsorted(shape_of[part_of], np.arange(len(shapes)))  # the first ring of each
    before = np.concatenate([[0], ring_ends])[begins]
    ring_ends -= before[shape_of[part_of]]
    in_parts = _grouped((2 * ring_ends).tolist(), part_of, len(parts))
    ends = _grouped(in_parts, shape_of, len(shapes))
    texts = []
    for own, text in zip(ends, shapely.to_geojson(shapes), strict=True):
        numbers = text[text.index("[") : -1].replace("[", "").replace("]", "")
        texts.append(f'{{"flat":[{numbers}],"ends":{own}}}')
    return texts


def _grouped(items: list[Any], of: np.ndarray, count: int) -> list[list[Any]]:
    """Items by the numbers of what they belong to, which rise."""
    ends = np.searchsorted(of, np.arange(count + 1)).tolist()
    return [items[a:b] for a, b in pairwise(ends)]


def from_json(geometry: dict[str, Any]) -> BaseGeometry:
    """A valid Polygon or MultiPolygon from a client's GeoJSON.

    Raises:
        UserError: it is none, or covers nothing.
    """
    message = "geometry: give a GeoJSON Polygon or MultiPolygon with finite coordinates"
    require(geometry.get("type") in ("Polygon", "MultiPolygon"), message)
    try:
        shape = shapely.force_2d(shapely.geometry.shape(geometry))
        known = bool(np.isfinite(shapely.get_coordinates(shape)).all())
    except (
        shapely.errors.ShapelyError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        KeyError,
    ):
        known = False
    require(known, message)
    bounded = shape.is_empty or max(map(abs, shape.bounds)) < 1e9
    require(bounded, "geometry: coordinates lie far outside any raster")
    covered = filled(shapely.get_parts(shape).tolist())
    require(not covered.is_empty, "geometry: it covers no area")
    return covered


def from_json_all(geometries: Sequence[dict[str, Any]]) -> np.ndarray:
    """As `from_json`, of many that `to_json` made: shapely geometries [n]."""
    parts_of = [
        [item["coordinates"]] if item["type"] == "Polygon" else item["coordinates"]
        for item in geometries
    ]
    parts = [part for own in parts_of for part in own]
    shapes = np.empty(len(geometries), object)
    if parts:
        of = np.repeat(np.arange(len(geometries)), [len(own) for own in parts_of])
        polygons = _polygons_of(parts)
        several = shapely.multipolygons(polygons, indices=of)
        first = np.searchsorted(of, np.arange(len(geometries)))
        single = np.array([item["type"] == "Polygon" for item in geometries], bool)
        shapes[:] = several
        shapes[single] = polygons[first[single]]
    for i in np.flatnonzero(~shapely.is_valid(shapes)).tolist():
        shapes[i] = from_json(geometries[i])
    return shapes
