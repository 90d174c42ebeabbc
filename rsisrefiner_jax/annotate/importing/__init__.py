"""Objects from files of other programs, a file a format."""

from pathlib import Path

from rsisrefiner_jax.annotate import safety
from rsisrefiner_jax.annotate.importing import coco, masks, vectors, yolo
from rsisrefiner_jax.annotate.importing.found import Reading, Target
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats import archive

KINDS = "GeoPackage, GeoJSON, Shapefile (zip), COCO (json), PNG or GeoTIFF masks, YOLO (txt, zip)"


def read(file: Path, target: Target, folder: Path, kind: str | None = None) -> Reading:
    """The objects in a client's file.

    Args:
        folder: an empty one, for what the file holds.
        kind: of a mask: "ids", "classes" or "binary"; None to tell from the file.

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
            return vectors.read(shapes[0], target)
        labels = [f for f in inside if f.suffix.lower() == ".txt"]
        require(bool(labels), f"{file.name}: it holds neither a shapefile nor YOLO labels")
        about = next((f for f in inside if f.name == "data.yaml"), None)
        named = [f for f in labels if f.stem == Path(target.image.name).stem] or labels
        require(
            len(named) == 1, f"{file.name}: no labels called {Path(target.image.name).stem}.txt"
        )
        return yolo.read(named[0], target, about)
    if suffix in (".gpkg", ".geojson"):
        return vectors.read(file, target)
    if suffix == ".json":
        return vectors.read(file, target) if vectors.is_geojson(file) else coco.read(file, target)
    if suffix == ".txt":
        return yolo.read(file, target, None)
    if suffix in (".png", ".tif", ".tiff"):
        return masks.read(file, target, kind)
    raise UserError(
        f"{safety.printable(file.name)}: not a file that objects are read from: {KINDS}"
    )
