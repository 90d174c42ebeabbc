"""The place of a raster whose only georeference is ground control points."""

from collections.abc import Sequence
from typing import Any

import numpy as np

OFF = 2.0  # pixels by which the worst point may lie beside the transform of all
_WARP = "make a georeferenced copy with gdalwarp -tps FILE placed.tif"

Transform = tuple[float, float, float, float, float, float]


def fitted(points: Sequence[Any]) -> tuple[Transform | None, str]:
    """The affine transform that fits control points best, and a clause that says how well.

    Args:
        points: rasterio's GroundControlPoints, at least one.

    Returns:
        None in place of a transform, and why, where it takes more than an affine one.
    """
    from rasterio.transform import from_gcps

    pixels = np.array([(point.col, point.row) for point in points], float)
    ground = np.array([(point.x, point.y) for point in points], float)
    if not (_fill_an_area(pixels) and _fill_an_area(ground)):
        return None, (
            f"of its {len(points)} ground control points no three form a triangle: {_WARP}"
        )
    transform = from_gcps(points)
    matrix = np.array(transform[:6]).reshape(2, 3)
    moved = (ground - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    off = float(np.hypot(*(moved - pixels).T).max())
    if off > OFF:
        return None, (
            f"its {len(points)} ground control points do not fit an affine transform (one lies "
            f"{off:,.0f} pixels beside it): {_WARP}"
        )
    return tuple(transform)[:6], (
        f"it is placed by its {len(points)} ground control points, which fit to within "
        f"{off:.2f} pixels"
    )


def _fill_an_area(xy: np.ndarray) -> bool:
    """Whether points [n, 2] are neither one nor in a line."""
    low = np.linalg.svd(xy - xy.mean(axis=0), compute_uv=False)
    return len(low) == 2 and bool(low[1] > 1e-6 * low[0])
