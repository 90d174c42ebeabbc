"""What is stored of a scene, and how it comes back.

A record is
    name      text
    image     the picture, encoded: its original file where that was an 8-bit RGB PNG or JPEG
              and nothing was cut, else PNG
    labels    one 16-bit PNG per layer, 1..n = place of the object in `objects`, 0 = background
    objects   id (as in the source), layer and category of each
    ignore    8-bit PNG, 255 = counts neither as object nor as background
"""

from typing import Any

import cv2
import numpy as np

from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.errors import require

Record = dict[str, Any]

MOST_OBJECTS = 2**16 - 1  # of a scene: the labels are 16-bit


def encode(scene: Scene, picture: bytes | None = None) -> Record:
    """The record of a scene.

    Args:
        picture: the encoded picture, if there is one whose pixels are `scene.image`.

    Raises:
        UserError: more objects than 16 bits can number.
    """
    require(
        len(scene.objects) <= MOST_OBJECTS,
        f"{scene.name}: {len(scene.objects)} objects in one picture, the most is {MOST_OBJECTS}; "
        "cut it into smaller pictures",
    )
    if picture is None:
        picture = _png(scene.image[..., ::-1])
    return {
        "name": scene.name,
        "image": picture,
        "labels": [_png(_places(scene, layer)) for layer in range(scene.labels.shape[-1])],
        "objects": [
            {"id": item.id, "layer": item.layer, "category": item.category}
            for item in scene.objects
        ],
        "ignore": _png(scene.ignore.astype(np.uint8) * 255),
    }


def decode(example: Record) -> Scene:
    """The scene of a record as TFDS reads it back.

    There `image` is uint8 [h, w, 3] RGB, `labels` uint16 [layers, h, w, 1], `ignore` uint8
    [h, w, 1], `objects` a table of columns, and texts are bytes.
    """
    columns = example["objects"]
    objects = tuple(
        SceneObject(int(id), int(layer), category.decode())
        for id, layer, category in zip(
            columns["id"], columns["layer"], columns["category"], strict=True
        )
    )
    ids = np.array([0, *columns["id"]], np.int32)
    layers = [ids[places[..., 0]] for places in example["labels"]]
    return Scene(
        name=example["name"].decode(),
        image=np.ascontiguousarray(example["image"]),
        labels=np.moveaxis(np.stack(layers), 0, -1),  # each layer stays contiguous
        objects=objects,
        ignore=example["ignore"][..., 0] > 0,
    )


def areas(scene: Scene) -> list[int]:
    """Pixels of each object of a scene that are not ignored."""
    counts: dict[tuple[int, int], int] = {}
    for layer in range(scene.labels.shape[-1]):
        places = _places(scene, layer)[~scene.ignore]
        for place, count in enumerate(np.bincount(places, minlength=len(scene.objects) + 1)):
            counts[layer, place] = int(count)
    return [counts[item.layer, place] for place, item in enumerate(scene.objects, start=1)]


def _places(scene: Scene, layer: int) -> np.ndarray:
    """uint16 [h, w]: ids of one layer as places 1..n in `scene.objects`."""
    labels = scene.labels[..., layer]
    here = [(item.id, place) for place, item in enumerate(scene.objects, 1) if item.layer == layer]
    places = np.zeros(labels.shape, np.uint16)
    if here:
        ids, values = np.array(sorted(here), np.int64).T
        inside = labels != 0
        found = labels[inside]
        at = np.searchsorted(ids, found).clip(max=len(ids) - 1)
        places[inside] = np.where(ids[at] == found, values[at], 0)
    return places


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()
