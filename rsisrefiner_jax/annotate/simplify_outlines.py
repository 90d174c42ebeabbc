"""Outlines with fewer corners, or with right angles; what comes out is valid."""

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.formats.geometry import flat

LIKE = 0.85  # IoU with the original below which right angles are given up


def simplified(shapes: list[BaseGeometry], tolerance: float) -> list[BaseGeometry]:
    """Outlines that stay within about `tolerance` pixels of these.

    Borders that neighbours share stay shared, if no two of them overlap.
    """
    if tolerance <= 0 or not shapes:
        return shapes
    if shapely.coverage_is_valid(shapes):
        simple = list(shapely.coverage_simplify(shapes, tolerance))
    else:
        simple = list(shapely.simplify(shapes, tolerance, preserve_topology=True))
    return [
        new if new.is_valid and not new.is_empty else old
        for new, old in zip(simple, shapes, strict=True)
    ]


def right_angled(shape: BaseGeometry, tolerance: float = 2.0) -> BaseGeometry:
    """An outline whose edges run in two directions at right angles.

    The directions are those of the outline itself. Where the result would differ much from the
    original, as it would for a pond, the original stays.
    """
    made = [_right_angled_part(part, tolerance) for part in flat(shape)]
    if len(made) == 1:
        return made[0]
    together = shapely.MultiPolygon(made)
    return together if together.is_valid else shape


def _right_angled_part(part: BaseGeometry, tolerance: float) -> BaseGeometry:
    outline = shapely.simplify(part, tolerance, preserve_topology=True)
    angle = _direction(outline)
    turn, back = _rotation(-angle), _rotation(angle)
    turned = shapely.transform(outline, lambda xy: xy @ turn.T)
    rings = [
        _snapped(shapely.get_coordinates(ring)) for ring in (turned.exterior, *turned.interiors)
    ]
    if rings[0] is None:
        return part
    holes = [ring for ring in rings[1:] if ring is not None]
    made = shapely.Polygon(rings[0] @ back.T, [ring @ back.T for ring in holes])
    if not made.is_valid or made.is_empty:
        return part
    alike = shapely.intersection(made, part).area / shapely.union(made, part).area
    return made if alike >= LIKE else part


def _direction(outline: BaseGeometry) -> float:
    """The angle, modulo a quarter turn, at which most of the outline runs."""
    edges = np.diff(shapely.get_coordinates(outline.exterior), axis=0)
    lengths = np.hypot(*edges.T)
    angles = np.arctan2(edges[:, 1], edges[:, 0])
    # A circular mean in which opposite and crossing directions are one; long edges count more.
    mean = (lengths**2 * np.exp(4j * angles)).sum()
    return float(np.angle(mean) / 4)


def _rotation(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def _snapped(ring: np.ndarray) -> np.ndarray | None:
    """A closed ring with every edge laid along x or y; None where fewer than four remain."""
    edges = np.diff(ring, axis=0)
    lengths = np.abs(edges).sum(1)
    level = np.abs(edges[:, 0]) >= np.abs(edges[:, 1])
    middles = (ring[1:] + ring[:-1]) / 2
    # Neighbouring edges of one direction become one, at their mean position.
    first = int(np.flatnonzero(level != np.roll(level, 1))[0]) if level.any() != level.all() else 0
    order = np.roll(np.arange(len(level)), -first)
    runs: list[tuple[bool, float, float]] = []
    for i in order:
        position, weight = float(middles[i, 1 if level[i] else 0]), float(lengths[i])
        if runs and runs[-1][0] == level[i]:
            _, before, so_far = runs[-1]
            total = so_far + weight
            position = (before * so_far + position * weight) / total if total else before
            runs[-1] = (bool(level[i]), position, total)
        else:
            runs.append((bool(level[i]), position, weight))
    if len(runs) < 4 or len(runs) % 2:
        return None
    corners = []
    for (flat_one, a, _), (_, b, _) in zip(runs, runs[1:] + runs[:1], strict=True):
        corners.append((b, a) if flat_one else (a, b))
    return np.array([*corners, corners[0]])
