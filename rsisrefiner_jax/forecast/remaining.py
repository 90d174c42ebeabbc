"""What is left of a layer: the objects of a vector file on which there is no finished one yet."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import shapely

from rsisrefiner_jax.data.project.records import Image, Object
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.evaluation.strata import size_of
from rsisrefiner_jax.forecast.efforts import Group
from rsisrefiner_jax.formats.features import count_features, has_polygons
from rsisrefiner_jax.formats.polygons import read_polygons
from rsisrefiner_jax.formats.region import Region


def remaining_of(layer: Path, images: Sequence[Image], objects: Sequence[Object]) -> Counter[Group]:
    """How many are left of each group.

    A polygon lies on an image that holds a point inside it, and is done where a finished object
    covers that point. Of a layer of points all are left: only their number is known.

    Raises:
        UserError: the layer cannot be read, or nothing of it lies on an image.
    """
    if not has_polygons(layer):
        return Counter({Group(): count_features(layer)})
    left: Counter[Group] = Counter()
    seen: set[int] = set()
    on_images = 0
    for image in images:
        own = [region for region in read_polygons(layer, image.info).regions if _on(region, image)]
        new = [region for region in own if region.id is None or region.id not in seen]
        seen |= {region.id for region in new if region.id is not None}
        on_images += len(new)
        tree = shapely.STRtree([one.shape for one in objects if one.image.id == image.id])
        for region in new:
            if not len(tree.query(_inside(region), predicate="intersects")):
                left[Group(region.category, size_of(round(region.outline.area)))] += 1
    require(on_images > 0, f"{layer}: none of its polygons lies on an image of this project")
    return left


def _inside(region: Region) -> shapely.Point:
    return shapely.point_on_surface(region.outline)


def _on(region: Region, image: Image) -> bool:
    point = _inside(region)
    return 0 <= point.x < image.info.width and 0 <= point.y < image.info.height
