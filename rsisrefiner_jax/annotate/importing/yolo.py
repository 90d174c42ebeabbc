"""YOLO segmentation labels, alone or as a zip of a data set."""

from pathlib import Path

from rsisrefiner_jax.annotate.importing.reading import OBJECT_LIMIT, Reading, Target
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.file_by_name import names_meant
from rsisrefiner_jax.formats.safe_names import printable
from rsisrefiner_jax.formats.yolo import read_labels
from rsisrefiner_jax.formats.yolo_data_set import NAMES, class_names


def read(file: Path, target: Target, names: dict[int, str]) -> Reading:
    """A line an object. names: of classes; none = those of the project.

    Raises:
        UserError: as `formats.yolo.read_labels`.
    """
    info = target.image.info
    found = read_labels(file, (info.height, info.width), names or dict(enumerate(target.classes)))
    require(len(found) <= OBJECT_LIMIT, f"{file.name}: more than {OBJECT_LIMIT} objects")
    reading = Reading()
    stem = Path(target.image.name).stem
    if not names_meant([file.stem], stem):
        reading.doubts.append(f"{printable(file.name)} is not called {stem}.txt as the image is")
    reading.add(found, target)
    if reading.skipped:
        reading.notes.append(f"{reading.skipped} rings cover no pixel of the image")
    return reading


def read_data_set(archive: Path, inside: list[Path], target: Target) -> Reading:
    """The labels of the raster among the files out of a zip.

    Raises:
        UserError: there are none, or as `read` and `formats.yolo_data_set.class_names`.
    """
    shown, stem = printable(archive.name), Path(target.image.name).stem
    labels = [f for f in inside if f.suffix.lower() == ".txt" and f.name not in NAMES]
    require(bool(labels), f"{shown}: it holds no shapefile, id images or YOLO labels")
    meant = [labels[i] for i in names_meant([f.stem for f in labels], stem)] or labels
    require(len(meant) == 1, f"{shown}: no labels called {stem}.txt")
    about = [f for f in inside if f.name in NAMES or f.suffix.lower() in (".yaml", ".yml")]
    about.sort(key=lambda f: f.suffix == ".txt")
    return read(meant[0], target, class_names(about[0]) if about else {})
