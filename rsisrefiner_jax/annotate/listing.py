"""The objects of an image as one JSON text, also where there are tens of thousands of them."""

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import shapely

from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.data.project.records import Object, measure
from rsisrefiner_jax.formats.geometry import to_flat_json
from rsisrefiner_jax.formats.json_stream import compact
from rsisrefiner_jax.formats.outlines import outlines_for_reply

MOST = 200_000  # objects whose texts are made before anybody asks

# Texts of objects with flat outlines, as the page asks for them; records never change.
_flat: weakref.WeakKeyDictionary[Object, str] = weakref.WeakKeyDictionary()


def listed(objects: Sequence[Object], crs: str | None = None) -> str:
    """A list of `ObjectOut`s of objects of one image as JSON.

    Args:
        crs: of the outlines; None for pixels.

    Raises:
        UserError: there is no such system, or an outline has no place in it.
    """
    return f"[{','.join(_texts(objects, crs, shapely.to_geojson))}]"


def listed_flat(objects: Sequence[Object]) -> str:
    """A list of `FlatObjectOut`s of objects of one image as JSON."""
    new = [object for object in objects if object not in _flat]
    _flat.update(zip(new, _texts(new, None, to_flat_json), strict=True))
    return f"[{','.join(_flat[object] for object in objects)}]"


def prepare(project: Project) -> None:
    """Makes the texts of a project's objects, which takes seconds for tens of thousands."""
    count = 0
    for image in project.images():
        objects = project.objects(image.id)
        count += len(objects)
        if count > MOST:
            return
        listed_flat(objects)


def _texts(
    objects: Sequence[Object], crs: str | None, encode: Callable[[np.ndarray], Iterable[str]]
) -> Iterator[str]:
    """encode: makes the texts of outlines [n]."""
    if not objects:
        return
    measure(objects)
    info, shapes = objects[0].image.info, [object.shape for object in objects]
    outlines = encode(outlines_for_reply(shapes, info, crs))
    for object, box, outline in zip(
        objects, shapely.bounds(shapes).tolist(), outlines, strict=True
    ):
        fields = {
            "id": object.id,
            "class_id": object.class_id,
            "attributes": object.attributes,
            "area_px": object.area_px,
            "area_m2": object.area_m2,
            "clicks": object.clicks,
            "bbox": box,
        }
        yield f'{compact(fields)[:-1]}, "geometry": {outline}}}'
