"""Outlines as single rings, for formats that know neither holes nor parts."""

from itertools import pairwise

import numpy as np
import shapely
from scipy.spatial import cKDTree
from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.annotate.geometry import flat, united


def single_ring(shape: BaseGeometry) -> np.ndarray:
    """A closed ring float64 [n, 2] that goes round all parts and holes of a geometry.

    Between them it goes along the shortest way, once to and once fro, which encloses nothing: any
    even-odd or winding-number filling gives exactly the geometry's pixels.
    """
    rest = [shapely.get_coordinates(ring) for part in flat(shape) for ring in _rings(part)]
    joined = rest.pop(0)
    while rest:
        tree = cKDTree(joined)
        distances = [tree.query(ring) for ring in rest]
        nearest = min(range(len(rest)), key=lambda i: distances[i][0].min())
        ring, (distance, at) = rest.pop(nearest), distances[nearest]
        start = int(distance.argmin())
        here = int(at[start])
        tour = np.concatenate([ring[start:-1], ring[: start + 1]])
        # Along the rows and columns, so that pixel-exact fillings stay so.
        corner = np.array([[tour[0, 0], joined[here, 1]]])
        joined = np.concatenate(
            [joined[: here + 1], corner, tour, corner, joined[here : here + 1], joined[here + 1 :]]
        )
    changes = np.r_[True, (np.diff(joined, axis=0) != 0).any(axis=1)]
    return joined[changes]


def _rings(part: BaseGeometry) -> list[BaseGeometry]:
    """The outer ring and the holes, which run the other way round."""
    oriented = shapely.orient_polygons(part)
    return [oriented.exterior, *oriented.interiors]


def from_rings(rings: list[np.ndarray]) -> BaseGeometry:
    """The geometry that rings [n, 2] enclose: what lies in an odd number of them, each by itself
    filled even-odd. So a ring inside another one is a hole, and parts may share a ring."""
    shape: BaseGeometry = shapely.Polygon()
    for ring in rings:
        filled = _filled(ring)
        shape = filled if shape.is_empty else shapely.symmetric_difference(shape, filled)
    return united(flat(shape))


def _filled(ring: np.ndarray) -> BaseGeometry:
    """What a ring encloses, even where it touches itself or goes to and fro."""
    if not (ring[0] == ring[-1]).all():
        ring = np.concatenate([ring, ring[:1]])
    polygon = shapely.Polygon(ring)
    if polygon.is_valid:
        return polygon
    edges: dict[tuple, int] = {}
    for a, b in pairwise(map(tuple, ring.tolist())):
        edge = (a, b) if a < b else (b, a)
        edges[edge] = edges.get(edge, 0) + 1
    odd = [edge for edge, count in edges.items() if count % 2 and edge[0] != edge[1]]
    lines = shapely.node(shapely.MultiLineString(odd))
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(lines)))
    inside = [face for face in faces if _crossings(odd, face.representative_point()) % 2]
    return shapely.union_all(inside) if inside else shapely.Polygon()


def _crossings(edges: list, point: shapely.Point) -> int:
    """How many edges lie to the right of a point."""
    ends = np.array(edges)
    (x0, y0), (x1, y1) = ends[:, 0].T, ends[:, 1].T
    spans = (y0 > point.y) != (y1 > point.y)
    x = x0 + (point.y - y0) / np.where(y1 == y0, 1, y1 - y0) * (x1 - x0)
    return int((spans & (x > point.x)).sum())
