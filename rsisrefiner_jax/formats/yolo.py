"""YOLO segmentation: a line an object, its class and one ring in fractions of the picture."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.region import Region, class_name
from rsisrefiner_jax.formats.safe_names import printable

_SAME = 1e-3  # pixels: fractions are rounded, and corners of pixels are meant where they are near


def read_labels(file: Path, size: tuple[int, int], names: dict[int, str]) -> list[Region]:
    """The objects of a label file, by their outlines, which may go beyond the picture.

    Args:
        size: (height, width) of the picture.
        names: of classes by number; others are called by their number.

    Raises:
        UserError: a line that is not a class and the corners of a ring.
    """
    from rsisrefiner_jax.formats.rings import from_rings_each

    classes: list[str] = []
    rings: list[list[np.ndarray]] = []
    line = ""
    try:
        for line in file.read_text(encoding="utf-8-sig").splitlines():
            if not line.strip():
                continue
            first, *values = line.split()
            ring = np.array(values, float).reshape(-1, 2) * size[::-1]
            if (
                len(np.unique(ring, axis=0)) < 3
                or not np.isfinite(ring).all()
                or abs(ring).max() > 1e9
            ):
                raise ValueError(line)
            near = ring.round()
            ring = np.where(abs(ring - near) < _SAME, near, ring)
            classes.append(class_name(names.get(int(first), str(int(first)))))
            rings.append([ring])
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(
            f"{printable(file.name)}: not YOLO segmentation, which is a class number and the "
            f"corners of a ring in fractions of the image a line: {printable(line)!r}"
        ) from error
    return [
        Region(category=category, outline=outline)
        for category, outline in zip(classes, from_rings_each(rings), strict=True)
    ]


def line_of(index: int, ring: np.ndarray, size: tuple[int, int]) -> str:
    """An object as a line of a label file. ring: [n, 2] in pixels, within the picture."""
    fractions = (ring / size[::-1]).clip(0, 1).ravel().tolist()
    return " ".join([str(index), *(f"{value:.10g}" for value in fractions)]) + "\n"


def about_lines(names: list[str]) -> Iterator[str]:
    """The lines of a data.yaml."""
    import json

    yield "path: .\ntrain: images\nval: images\nnames:\n"
    for index, name in enumerate(names):
        yield f"  {index}: {json.dumps(name)}\n"
