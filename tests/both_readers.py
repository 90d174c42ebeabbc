"""One file read twice: by a data source, for training, and by the annotator's import."""

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from rsisrefiner_jax.annotate import importing
from rsisrefiner_jax.annotate.importing.reading import Reading, Target
from rsisrefiner_jax.data.project.records import Image
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.formats.raster_info import open_raster

Found = dict[Any, tuple[str, np.ndarray]]  # id -> class and mask, bool [h, w]


def trained(spec: str) -> Found:
    """The objects of the only scene of a data set."""
    source = open_source(spec)
    assert len(source) == 1
    scene = source[0]
    return {item.id: (item.category, scene.mask(item)) for item in scene.objects}


def read(picture: Path, file: Path, kind: str | None = None, **about: Any) -> Reading:
    """What the annotator's import finds in a file."""
    info = open_raster(str(picture))
    image = Image(1, picture.name, picture, info, Recipe())
    if file.suffix == ".shp":  # it comes with its parts
        packed = file.with_suffix(".zip")
        with zipfile.ZipFile(packed, "w") as archive:
            for part in file.parent.glob(f"{file.stem}.*"):
                if part.suffix in (".shp", ".shx", ".dbf", ".prj"):
                    archive.write(part, part.name)
        file = packed
    folder = Path(tempfile.mkdtemp(dir=file.parent))
    return importing.read(file, Target(image, []), folder, kind, **about)


def imported(picture: Path, file: Path, kind: str | None = None, **about: Any) -> Found:
    """The objects of a file in the annotator; running numbers where they get new ids."""
    info = open_raster(str(picture))
    return {
        item["id"] or number: (
            item["class"],
            Mask.decode(item["mask"]).within(0, 0, info.width, info.height),
        )
        for number, item in enumerate(read(picture, file, kind, **about).items, start=1)
    }


def alike(one: Found, other: Found) -> None:
    """Checks that both have the same objects."""
    assert one.keys() == other.keys()
    for id, (category, mask) in one.items():
        assert other[id][0] == category, id
        np.testing.assert_array_equal(other[id][1], mask, err_msg=str(id))


def areas(found: Found) -> dict[Any, int]:
    return {id: int(mask.sum()) for id, (_, mask) in found.items()}
