"""Masks as PNG or GeoTIFF: instance ids, class ids, or object and background."""

from pathlib import Path

from rsisrefiner_jax.annotate import rasters
from rsisrefiner_jax.annotate.importing.reading import Reading, Target
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.georeference import pixels_away
from rsisrefiner_jax.formats.label_file import open_labels
from rsisrefiner_jax.formats.label_regions import class_regions, id_regions, kind_of


def read(file: Path, target: Target, kind: str | None) -> Reading:
    """Objects of a mask of the raster's size; `formats.label_file` has the rules.

    kind: "ids": every value but 0 is an object. "classes": every connected region of a value but
    0 is one, of the class of this number or colour. "binary": every connected region that is not
    0. None: as `label_regions.kind_of` tells it.

    Raises:
        UserError: not such a mask.
    """
    info = rasters.open_checked(file)
    shape = target.image.info
    require(
        (info.height, info.width) == (shape.height, shape.width),
        f"{file.name}: {info.width} x {info.height} pixels, but {target.image.name} has "
        f"{shape.width} x {shape.height}",
    )
    reading = Reading()
    away = pixels_away(info, shape)
    if away >= 1:
        reading.doubts.append(
            f"{file.name}: its georeference places it {away:,.0f} pixels away from "
            f"{target.image.name}; its objects were taken pixel by pixel"
        )
    with open_labels(str(file)) as labels:
        chosen = kind or kind_of(labels)
        found = (
            id_regions(labels) if chosen == "ids" else class_regions(labels, chosen == "classes")
        )
    reading.add(found, target)
    return reading
