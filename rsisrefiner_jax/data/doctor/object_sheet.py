"""A picture of objects picked at random, to see whether masks lie where they should."""

import numpy as np

from rsisrefiner_jax.data.scene import Scene, SceneObject, Source
from rsisrefiner_jax.data.sheet import object_tile, write_sheet
from rsisrefiner_jax.errors import require


def object_sheet(
    source: Source, path: str, title: str, objects: int = 24, columns: int = 6, seed: int = 0
) -> int:
    """Writes a PNG of random objects with outline, class and id; returns how many.

    Objects come from different scenes where there are enough. Scenes that cannot be read are
    passed over.

    Raises:
        UserError: no scene with an object can be read.
    """
    rng = np.random.default_rng(seed)
    tiles: list[np.ndarray] = []
    captions: list[str] = []
    per_scene = -(-objects // len(source))
    for index in rng.permutation(len(source)):
        try:
            scene = source[int(index)]
        except Exception:  # the census says which and why
            continue
        for number in rng.permutation(len(scene.objects))[: min(per_scene, objects - len(tiles))]:
            item = scene.objects[number]
            tiles.append(object_tile(scene, item))
            captions.append(_caption(scene, item))
        if len(tiles) == objects:
            break
    require(bool(tiles), f"{title}: no object to draw, so {path} is not written")
    write_sheet(path, tiles, captions, columns, title)
    return len(tiles)


def _caption(scene: Scene, item: SceneObject) -> str:
    area = int(scene.mask(item).sum())
    name = f"{item.category} {item.id}" if item.category else f"object {item.id}"
    return f"{name}   {area:,} px\n{scene.name}"
