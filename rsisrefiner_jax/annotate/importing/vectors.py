"""GeoPackage, GeoJSON and Shapefile."""

from pathlib import Path

from rsisrefiner_jax.annotate.importing.reading import OBJECT_LIMIT, Reading, Target
from rsisrefiner_jax.formats.left_out import counted
from rsisrefiner_jax.formats.polygons import read_polygons
from rsisrefiner_jax.formats.safe_names import printable


def read(file: Path, target: Target, class_field: str | None = None) -> Reading:
    """The polygons of a file, in the raster's pixels, with their attributes.

    `formats.polygons` has the rules. class_field: the attribute that names the class.

    Raises:
        UserError: the file is broken, has several layers of polygons, or no place on the raster.
    """
    shown = printable(file.name)
    found = read_polygons(
        file,
        target.image.info,
        class_field=class_field,
        attributes=True,
        most=OBJECT_LIMIT,
        shown=shown,
    )
    reading = Reading(skipped=found.others + found.unplaced)
    reading.add(found.regions, target)
    if reading.skipped:
        reading.notes.append(
            f"{reading.skipped} features are no polygons or cover no pixel of the image"
        )
    if found.unplaced:
        reading.notes.append(
            f"{counted(found.unplaced, 'polygon')} of {shown} cannot be converted to "
            f"{target.image.info.crs}; clip the file to the raster first"
        )
    if found.in_pixels and reading.skipped:
        reading.notes.append(
            f"{target.image.name} states no coordinate reference system, so that coordinates were "
            f"taken for its own; {target.image.info.hint or 'assign one if they are others'}"
        )
    return reading
