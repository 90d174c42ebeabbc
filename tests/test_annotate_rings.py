"""Outlines with holes and parts as one ring, and back, whoever fills it; also for thousands."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi")
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy.spatial import QhullError

from rsisrefiner_jax.formats import geometry, rings
from rsisrefiner_jax.formats.masks import Mask

SCALE = 4  # fillers that paint the border, too, get large pixels that are looked at in the middle
FILLERS = {}


def filler(fill):
    FILLERS[fill.__name__] = fill
    return fill


@filler
def pycocotools(ring, height, width):
    parts = coco_mask.frPyObjects([ring[:-1].ravel().tolist()], height, width)
    return coco_mask.decode(coco_mask.merge(parts)).astype(bool)


@filler
def gdal(ring, height, width):
    return rasterize([shapely.Polygon(ring)], out_shape=(height, width)).astype(bool)


@filler
def opencv(ring, height, width):
    large = np.zeros((height * SCALE + 1, width * SCALE + 1), np.uint8)
    cv2.fillPoly(large, [(ring * SCALE).astype(np.int32)], 1)
    return large[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE].astype(bool)


@filler
def pillow(ring, height, width):
    large = Image.new("1", (width * SCALE + 1, height * SCALE + 1))
    ImageDraw.Draw(large).polygon([tuple(xy) for xy in (ring * SCALE).tolist()], fill=1)
    return np.array(large)[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE]


@filler
def winding_number(ring, height, width):
    """Of the centres of pixels: the rising less the falling edges to their right."""
    turns = np.zeros((height, width), int)
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    for (x0, y0), (x1, y1) in pairwise(ring.tolist()):
        if y0 != y1:
            rows = (min(y0, y1) < y) & (y < max(y0, y1))
            at = x0 + (y - y0) / (y1 - y0) * (x1 - x0)
            turns += np.sign(y1 - y0).astype(int) * (rows[:, None] & (x < at[:, None]))
    return turns != 0


def check(bitmap, fillers=tuple(FILLERS)):
    """Checks the ring: one, closed, of no more vertices than it takes; filled it is the bitmap."""
    shape = geometry.polygons(Mask(0, 0, bitmap))
    ring = rings.single_ring(shape)
    assert (ring[0] == ring[-1]).all()
    own = shapely.get_rings(np.array(geometry.flat(shape)))
    vertices = sum(map(shapely.get_num_coordinates, own)) - len(own)
    assert len(ring) <= vertices + 4 * (len(own) - 1) + 1
    corners = set(map(tuple, shapely.get_coordinates(shape).tolist()))
    assert corners <= set(map(tuple, ring.tolist()))
    assert (np.diff(ring, axis=0) == 0).any(axis=1).all()  # along rows and columns
    height, width = bitmap.shape
    for name in fillers:
        np.testing.assert_array_equal(FILLERS[name](ring, height, width), bitmap, name)
    assert rings.from_rings([ring]).equals(shape)
    return ring


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
@settings(max_examples=200, deadline=None)
def test_any_bitmap(bitmap):
    if bitmap.any():
        check(bitmap)


@given(st.integers(0, 2**32), st.sampled_from([0.1, 0.5, 0.9, 0.98]))
@settings(max_examples=40, deadline=None)
def test_many_holes_and_parts(seed, share):
    rng = np.random.default_rng(seed)
    check(rng.random(rng.integers(20, 60, 2)) < share)


def test_regular_grids_and_lines():
    """Where vertices lie on common lines and circles."""
    holes = np.ones((61, 61), bool)
    holes[1::2, 1::2] = False
    check(holes)
    check(~holes)
    check(np.indices((31, 31)).sum(0) % 2 == 0)  # every part touches its neighbours at corners
    check(np.arange(50)[None] % 2 == 0)  # parts in a row


def test_ways_are_the_shortest():
    bitmap = np.ones((30, 100), bool)
    for x in (3, 20, 40):
        bitmap[10:13, x : x + 4] = False
    ring = check(bitmap)
    around = sum(part.length for part in shapely.get_rings(geometry.polygons(Mask(0, 0, bitmap))))
    # From the first hole to the border, then from hole to hole; once to and once fro.
    ways = np.hypot(*np.diff(ring, axis=0).T).sum() - around
    assert ways <= 2 * ((3 + 10) + 13 + 10 + 10)


def test_without_a_triangulation(monkeypatch):
    """As of vertices on a line: the ways are longer, the pixels the same."""

    def fail(_):
        raise QhullError

    monkeypatch.setattr(rings, "Delaunay", fail)
    check(np.random.default_rng(0).random((40, 50)) < 0.7)


@pytest.mark.timeout(120)
def test_five_thousand_holes():
    """Joined and read again one by one, they would take many minutes."""
    bitmap = np.ones((426, 426), bool)
    bitmap[3::6, 3::6] = False
    ring = check(bitmap, ["pycocotools", "gdal"])
    assert len(ring) > 5000 * 6


@pytest.mark.timeout(120)
def test_many_rings_are_combined_at_once(monkeypatch):
    calls = []
    combine = shapely.difference
    monkeypatch.setattr(shapely, "difference", lambda a, b: calls.append(1) or combine(a, b))
    outer = np.array([[0, 0], [100, 0], [100, 100], [0, 100]], float)
    squares = [outer / 100 + [1 + 2 * (i % 45), 1 + 2 * (i // 45)] for i in range(2000)]
    shape = rings.from_rings([outer, *squares])
    assert shape.area == 100 * 100 - 2000
    assert len(calls) == 1


def test_crossing_rings_are_filled_even_odd():
    star = np.array([[0, 0], [10, 4], [0, 4], [10, 0], [5, 9]], float)
    eight = np.array([[0, 0], [4, 4], [4, 0], [0, 4]], float)
    for ring in (star, eight):
        shape = rings.from_rings([ring])
        closed = np.concatenate([ring, ring[:1]])
        expected = even_odd(closed)
        found = rasterize([shape], out_shape=(200, 200), transform=Affine.scale(0.05))
        assert (found != expected).mean() < 0.01
    assert rings.from_rings([eight]).area == pytest.approx(8)


def even_odd(ring):
    inside = np.zeros((200, 200), bool)
    x, y = np.meshgrid((np.arange(200) + 0.5) / 20, (np.arange(200) + 0.5) / 20)
    for (x0, y0), (x1, y1) in pairwise(ring.tolist()):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return inside
