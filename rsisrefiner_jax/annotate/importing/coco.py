"""COCO instances: the annotations of one image."""

from pathlib import Path

from rsisrefiner_jax.annotate.importing.reading import OBJECT_LIMIT, Reading, Target
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.coco import CocoFile
from rsisrefiner_jax.formats.coco_entries import size_problem, stated_size
from rsisrefiner_jax.formats.file_by_name import names_meant
from rsisrefiner_jax.formats.left_out import counted
from rsisrefiner_jax.formats.safe_names import printable


def read(file: Path, target: Target) -> Reading:
    """The annotations of the entry of `images` that means the raster's name, or of the only one.

    `formats.coco` has the rules. Crowd regions, which are many objects, are left out.

    Raises:
        UserError: no COCO file, or one of other images.
    """
    shown, name = printable(file.name), target.image.name
    coco = CocoFile(str(file), shown)
    named = names_meant([image["file_name"] for image in coco.images], name)
    chosen = [coco.images[i] for i in named] or coco.images
    require(len(chosen) == 1, f"{shown}: {_which(len(named))} image in it is called {name}")
    (image,) = chosen
    size = target.image.info.height, target.image.info.width
    problem = size_problem(stated_size(image) or size, size)
    require(problem is None, f"{shown}: {name} {problem.message}" if problem else "")
    require(coco.count(image) <= OBJECT_LIMIT, f"{shown}: more than {OBJECT_LIMIT} objects")
    reading = Reading()
    if not named:
        reading.doubts.append(
            f"{shown} is about an image called {printable(image['file_name'])}; its objects were "
            "taken because it has the same size"
        )
    reading.add(coco.objects(image, size, outlines=True), target)
    if crowds := len(coco.crowds(image, size)):
        reading.notes.append(f"{counted(crowds, 'crowd region')} left out: no single objects")
    if lost := coco.left_out.number("object"):
        reading.skipped += lost
        reading.notes.append(coco.left_out.sentence())
    return reading


def _which(number: int) -> str:
    return f"more than one ({number})" if number else "no"
