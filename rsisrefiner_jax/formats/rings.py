"""Outlines as single rings, for formats that know neither holes nor parts."""

import contextlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial import Delaunay, QhullError
from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.formats.geometry import filled, flat

FEW = 200  # vertices of two rings that are all compared with one another


def single_ring(shape: BaseGeometry) -> np.ndarray:
    """A closed ring float64 [n, 2] that goes round all parts and holes of a geometry.

    Between them it goes along short ways, once to and once fro, which encloses nothing: any
    even-odd or winding-number filling gives exactly the geometry's pixels.
    """
    # Holes run the other way round than the rings that they lie in.
    rings = shapely.get_rings(shapely.orient_polygons(np.array(flat(shape))))
    xy, ring_of = shapely.get_coordinates(rings, return_index=True)
    ends = np.r_[ring_of[1:] != ring_of[:-1], True]  # each repeats the first vertex of its ring
    xy, ring_of = xy[~ends], ring_of[~ends]
    bridges = _bridges(xy, ring_of)
    order = _walk(ring_of, bridges)
    # Along the rows and columns, so that pixel-exact fillings stay so.
    corners = np.stack([xy[bridges[:, 1], 0], xy[bridges[:, 0], 1]], axis=1)
    ring = np.concatenate([xy, xy[bridges[:, 0]], corners, xy[bridges[:, 1]], corners])[order]
    return ring[np.r_[True, (np.diff(ring, axis=0) != 0).any(axis=1)]]


def single_rings(shapes: np.ndarray) -> list[np.ndarray]:
    """As `single_ring`, of many geometries [n] at once, which is much quicker."""
    plain = shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON
    plain &= shapely.get_num_interior_rings(shapes) == 0
    chosen = np.flatnonzero(plain)
    outer = shapely.get_exterior_ring(shapely.orient_polygons(shapes[chosen]))
    xy, ring_of = shapely.get_coordinates(outer, return_index=True)
    new = np.r_[True, (np.diff(xy, axis=0) != 0).any(axis=1) | (np.diff(ring_of) != 0)]
    xy, ring_of = xy[new[: len(xy)]], ring_of[new[: len(xy)]]
    each = np.split(xy, np.flatnonzero(np.diff(ring_of)) + 1) if len(chosen) else []
    found = dict(zip(chosen.tolist(), each, strict=True))
    return [found[i] if i in found else single_ring(shape) for i, shape in enumerate(shapes)]


def _bridges(xy: np.ndarray, ring_of: np.ndarray) -> np.ndarray:
    """Pairs of vertices int [rings - 1, 2] that join all rings, by the shortest ways together.

    Those are among the edges of the vertices' triangulation.
    """
    firsts = np.flatnonzero(np.r_[True, ring_of[1:] != ring_of[:-1]])
    if len(firsts) == 1:
        return np.zeros((0, 2), int)
    if len(firsts) == 2 and len(xy) <= FEW:
        one, other = xy[: firsts[1]], xy[firsts[1] :]
        away = ((one[:, None] - other[None]) ** 2).sum(axis=-1)
        u, v = np.unravel_index(away.argmin(), away.shape)
        return np.array([[u, firsts[1] + v]])
    # Moved by a hair: Qhull drops a vertex that two rings share, and is slow on regular grids.
    moved = xy - xy[0] + np.random.default_rng(0).random(xy.shape) * 1e-3
    # From ring to ring in their order: enough where there is no triangulation, as along a line.
    pairs = [np.stack([firsts[:-1], firsts[1:]], axis=1)]
    with contextlib.suppress(QhullError):
        triangles = Delaunay(moved).simplices
        pairs += [triangles[:, side] for side in ([0, 1], [1, 2], [2, 0])]
    found = np.concatenate(pairs)
    joined = np.sort(ring_of[found], axis=1)
    found, joined = found[between := joined[:, 0] != joined[:, 1]], joined[between]
    shortest = np.argsort(((xy[found[:, 0]] - xy[found[:, 1]]) ** 2).sum(axis=1), kind="stable")
    found, joined = found[shortest], joined[shortest]
    _, kept = np.unique(joined @ [len(firsts), 1], return_index=True)
    # The tree of the smallest ranks is the one of the shortest ways; zero would mean no edge.
    ranks = coo_array((kept + 1, joined[kept].T), shape=(len(firsts), len(firsts)))
    return found[minimum_spanning_tree(ranks.tocsr()).data.astype(int) - 1]


def _walk(ring_of: np.ndarray, bridges: np.ndarray) -> list[int]:
    """The one closed walk round all rings, along every bridge to and fro.

    The numbers are those of vertices, followed by four more for each of the b bridges (u, v):
    b times u again, b times the corner on the way to v, b times v again, b times the corner on
    the way back.
    """
    first = np.r_[True, ring_of[1:] != ring_of[:-1]]
    following = np.arange(1, len(ring_of) + 1)
    following[np.r_[first[1:], True]] = np.flatnonzero(first)
    after = following.tolist()
    count, vertices = len(bridges), len(after)
    after += [0] * (4 * count)
    for number, (u, v) in enumerate(bridges.tolist(), vertices):
        u_again, there, v_again, back = (number + k * count for k in range(4))
        after[u_again], after[v_again] = after[u], after[v]
        after[u], after[there] = there, v_again
        after[v], after[back] = back, u_again
    order, at = [0], after[0]
    while at != 0:
        order.append(at)
        at = after[at]
    return [*order, 0]


def from_rings(rings: list[np.ndarray]) -> BaseGeometry:
    """The geometry of rings [n, 2], each filled even-odd by itself; as `geometry.filled`."""
    return filled([_filled(ring) for ring in rings])


def from_rings_each(rings: Sequence[list[np.ndarray]]) -> np.ndarray:
    """As `from_rings`, of the rings of many outlines, which is much quicker: geometries [n]."""
    found = np.empty(len(rings), object)
    single = [i for i, own in enumerate(rings) if len(own) == 1 and len(_closed(own[0])) > 3]
    if single:
        closed = [_closed(rings[i][0]) for i in single]
        ring_of = np.repeat(np.arange(len(closed)), [len(ring) for ring in closed])
        found[single] = shapely.polygons(
            shapely.linearrings(np.concatenate(closed), indices=ring_of)
        )
    good = shapely.is_valid(found) & (shapely.area(found) > 0)  # False where there is none yet
    for i in np.flatnonzero(~good).tolist():
        found[i] = from_rings(rings[i])
    return found


def _closed(ring: np.ndarray) -> np.ndarray:
    return ring if (ring[0] == ring[-1]).all() else np.concatenate([ring, ring[:1]])


def _filled(ring: np.ndarray) -> BaseGeometry:
    """The area that a ring encloses, even where it touches itself or goes to and fro."""
    ring = _closed(ring)
    if len(ring) < 4:
        return shapely.Polygon()
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
    inside = _crossings(np.array(odd), shapely.point_on_surface(faces)) % 2 == 1
    return shapely.union_all(faces[inside])


def _crossings(edges: np.ndarray, points: np.ndarray) -> np.ndarray:
    """For each point [n] the number of edges [m, 2, 2] to its right."""
    x, y = shapely.get_x(points), shapely.get_y(points)
    right = np.full(len(points), edges[..., 0].max())
    rays = shapely.box(x, y, np.maximum(x, right), y)
    ray, edge = shapely.STRtree(shapely.linestrings(edges)).query(rays)
    (x0, y0), (x1, y1) = edges[edge, 0].T, edges[edge, 1].T
    spans = (y0 > y[ray]) != (y1 > y[ray])
    at = x0 + (y[ray] - y0) / np.where(y1 == y0, 1, y1 - y0) * (x1 - x0)
    return np.bincount(ray[spans & (at > x[ray])], minlength=len(points))
