"""Several pictures as one."""

import numpy as np

from rsisrefiner_jax.config import Data
from rsisrefiner_jax.data.mosaic import mosaic
from rsisrefiner_jax.data.pipeline import _draw_scene
from rsisrefiner_jax.data.scene import Scene, SceneObject


def scene(name, size, value, boxes, layers=1):
    """boxes: (layer, id, rows, columns)."""
    image = np.full((*size, 3), value, np.uint8)
    labels = np.zeros((*size, layers), np.int32)
    for layer, id, rows, columns in boxes:
        labels[rows, columns, layer] = id
    objects = tuple(SceneObject(id, layer, f"{name}{id}") for layer, id, *_ in boxes)
    return Scene(name, image, labels, objects, np.zeros(size, bool))


A = scene("a", (10, 20), 1, [(0, 5, slice(0, 4), slice(0, 6)), (0, 9, slice(5, 9), slice(8, 18))])
BOXES = [(1, 5, slice(0, 3), slice(2, 4)), (0, 7, slice(0, 6), slice(25, 30))]
B = scene("b", (6, 30), 2, BOXES, 2)


def test_pictures_lie_side_by_side():
    whole = mosaic([A, B, B, A], 2)
    assert whole.image.shape == (20, 40, 3)
    assert whole.labels.shape == (20, 40, 2)
    np.testing.assert_array_equal(whole.image[:10, :20], A.image)
    np.testing.assert_array_equal(whole.image[:6, 20:], B.image[:, :20])  # its right part is cut
    assert (whole.image[6:10, 20:] == 0).all()
    assert whole.ignore[6:10, 20:].all()
    assert not whole.ignore[:10, :20].any()


def test_objects_keep_their_pixels_and_get_numbers_of_their_own():
    whole = mosaic([A, B, B, A], 2)
    assert [(item.id, item.category) for item in whole.objects] == [
        *((1, "a5"), (2, "a9"), (3, "b5")),  # b7 is cut off
        *((4, "b5"), (5, "a5"), (6, "a9")),
    ]
    assert [int(whole.mask(item).sum()) for item in whole.objects] == [24, 40, 6, 6, 24, 40]
    np.testing.assert_array_equal(whole.mask(whole.objects[5])[10:, 20:], A.mask(A.objects[1]))


def test_as_often_as_asked():
    def sizes(probability):
        config = Data(mosaic=probability)
        rngs = map(np.random.default_rng, range(200))
        return [_draw_scene([A], config, rng).image.shape[0] for rng in rngs]

    assert set(sizes(0)) == {10}
    assert set(sizes(1)) == {20, 30}
    assert 70 < sizes(0.5).count(10) < 130
