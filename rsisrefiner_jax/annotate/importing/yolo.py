"""YOLO segmentation labels."""

import json
import re
from pathlib import Path

import numpy as np

from rsisrefiner_jax.annotate.export.job import UNCLASSIFIED
from rsisrefiner_jax.annotate.importing.found import OBJECT_LIMIT, Reading, Target
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.rings import from_rings


def read(file: Path, target: Target, about: Path | None) -> Reading:
    """A line an object. about: data.yaml with the names of classes, else those of the project.

    Raises:
        UserError: a line that is not a class and the corners of a ring.
    """
    names = _names(about) if about else dict(enumerate(target.classes))
    info = target.image.info
    reading = Reading()
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        require(len(lines) <= OBJECT_LIMIT, f"{file.name}: more than {OBJECT_LIMIT} objects")
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            first, *values = line.split()
            ring = np.array(values, float).reshape(-1, 2) * [info.width, info.height]
            index = int(first)
            if len(ring) < 3 or not np.isfinite(ring).all() or abs(ring).max() > 1e9:
                raise ValueError(number)
            name = names.get(index, f"class {index}")
            # Fractions are rounded; corners of pixels are meant where they are this near.
            near = ring.round()
            ring = np.where(abs(ring - near) < 1e-3, near, ring)
            category = "" if name == UNCLASSIFIED else name
            reading.add_shape(from_rings([ring]), target, category=category)
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(
            f"{file.name}: not YOLO segmentation labels, which are lines of a class number and the "
            "corners of a ring in fractions of the image"
        ) from error
    if reading.skipped:
        reading.notes.append(f"{reading.skipped} rings cover no pixel of the image")
    return reading


def _names(about: Path) -> dict[int, str]:
    text = about.read_text(encoding="utf-8", errors="replace")
    names = {}
    for index, quoted, bare in re.findall(
        r'^\s+(\d+):\s*(?:("(?:[^"\\]|\\.)*")|([^\n#]+?))\s*$', text, re.MULTILINE
    ):
        names[int(index)] = json.loads(quoted) if quoted else bare.strip("'")
    return names
