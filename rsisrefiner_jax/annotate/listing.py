"""The objects of an image as one JSON text, also where there are tens of thousands of them."""

import weakref
from collections.abc import Iterator, Sequence

import shapely

from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.data.project.records import Object, measure
from rsisrefiner_jax.formats.json_stream import compact
from rsisrefiner_jax.formats.outlines import outlines_for_reply

MOST = 200_000  # objects whose texts are made before anybody asks

# Texts of objects with outlines in pixels, as the page asks for them; records never change.
_texts: weakref.WeakKeyDictionary[Object, str] = weakref.WeakKeyDictionary()


def listed(objects: Sequence[Object], crs: str | None = None) -> str:
    """A list of `ObjectOut`s of objects of one image as JSON.

    Args:
        crs: of the outlines; None for pixels.

    Raises:
        UserError: there is no such system, or an outline has no place in it.
    """
    if crs is not None:
        return f"[{','.join(_made(objects, crs))}]"
    new = [object for object in objects if object not in _texts]
    _texts.update(zip(new, _made(new, None), strict=True))
    return f"[{','.join(_texts[object] for object in objects)}]"


def prepare(project: Project) -> None:
    """Makes the texts of a project's objects, which takes seconds for tens of thousands."""
    count = 0
    for image in project.images():
        objects = project.objects(image.id)
        count += len(objects)
        if count > MOST:
            return
        listed(objects)


def _made(objects: Sequence[Object], crs: str | None) -> Iterator[str]:
    if not objects:
        return
    measure(objects)
    info, shapes = objects[0].image.info, [object.shape for object in objects]
    outlines = outlines_for_reply(shapes, info, crs)
    for object, box, outline in zip(
        objects, shapely.bounds(shapes).tolist(), shapely.to_geojson(outlines), strict=True
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
