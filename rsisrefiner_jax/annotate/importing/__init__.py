"""Objects from files of other programs, a file a format."""

from pathlib import Path

from rsisrefiner_jax.annotate import safety
from rsisrefiner_jax.annotate.importing import coco, masks, vectors, yolo
from rsisrefiner_jax.annotate.importing.reading import Reading, Target
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats import archive
from rsisrefiner_jax.formats.label_file import further_layers
from rsisrefiner_jax.formats.polygons import is_geojson

KINDS = "GeoPackage, GeoJSON, Shapefile (zip), COCO (json), PNG or GeoTIFF masks, YOLO (txt, zip)"


def read(
    file: Path,
    target: Target,
    folder: Path,
    kind: str | None = None,
    class_field: str | None = None,
) -> Reading:
    """The objects in a client's file.

    Args:
        folder: an empty one, for what the file holds.
        kind: of a mask: "ids", "classes" or "binary"; None to tell from the file.
        class_field: of polygons: the attribute that names the class; None to tell from the file.

    Raises:
        UserError: a file of none of `KINDS`, or a broken one.
    """
    suffix = file.suffix.lower()
    if suffix == ".zip":
        inside = archive.unpack(file, folder)
        shapes = [f for f in inside if f.suffix.lower() == ".shp"]
        if shapes:
            require(
                len(shapes) == 1, f"{file.name}: it holds several shapefiles; send one at a time"
            )
            return vectors.read(shapes[0], target, class_field)
        pictures = [f for f in inside if f.suffix.lower() == ".png"]
        if pictures:
            return masks.read(_first_layer(file, pictures), target, kind)
        return yolo.read_data_set(file, inside, target)
    if suffix in (".gpkg", ".geojson"):
        return vectors.read(file, target, class_field)
    if suffix == ".json":
        if is_geojson(file):
            return vectors.read(file, target, class_field)
        return coco.read(file, target)
    if suffix == ".txt":
        return yolo.read(file, target, {})
    if suffix in (".png", ".tif", ".tiff"):
        return masks.read(file, target, kind)
    raise UserError(
        f"{safety.printable(file.name)}: not a file that objects are read from: {KINDS}"
    )


def _first_layer(archive: Path, pictures: list[Path]) -> Path:
    """The first layer of a mask whose layers are the pictures in a zip."""
    for picture in pictures:
        if {*further_layers(str(picture)), str(picture)} == {str(other) for other in pictures}:
            return picture
    raise UserError(f"{archive.name}: it holds several masks; send one at a time")
