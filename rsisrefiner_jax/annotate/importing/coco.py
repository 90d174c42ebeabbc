"""COCO instances: run lengths, compressed or not, and polygons."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from rsisrefiner_jax.annotate.export.job import UNCLASSIFIED
from rsisrefiner_jax.annotate.importing.found import OBJECT_LIMIT, Reading, Target
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.masks import counts_of, from_runs
from rsisrefiner_jax.formats.rings import from_rings


def read(file: Path, target: Target) -> Reading:
    """The annotations of the entry of `images` that has the raster's name, or of the only one.

    A polygon inside another one of the same object is a hole in it.

    Raises:
        UserError: no COCO file, or one of other images.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        reading = Reading()
        _read(file, content, target, reading)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise UserError(f"{file.name}: not COCO instance annotations") from error
    if reading.skipped:
        reading.notes.append(
            f"{reading.skipped} annotations have no mask, or not one of this image"
        )
    return reading


def _read(file: Path, content: dict[str, Any], target: Target, reading: Reading) -> None:
    info = target.image.info
    images = content["images"]
    named = [i for i in images if Path(str(i["file_name"])).name == target.image.name]
    chosen = named or (images if len(images) == 1 else [])
    require(len(chosen) == 1, f"{file.name}: no image in it is called {target.image.name}")
    (image,) = chosen
    require(
        (image["width"], image["height"]) == (info.width, info.height),
        f"{file.name}: its image has {image['width']} x {image['height']} pixels, "
        f"{target.image.name} has {info.width} x {info.height}",
    )
    names = {item["id"]: str(item["name"]) for item in content.get("categories", ())}
    annotations = [item for item in content["annotations"] if item["image_id"] == image["id"]]
    require(len(annotations) <= OBJECT_LIMIT, f"{file.name}: more than {OBJECT_LIMIT} objects")
    for item in annotations:
        category = names.get(item.get("category_id"), "")
        attributes = item.get("attributes")
        about = {
            "id": item.get("id"),
            "category": "" if category == UNCLASSIFIED else category,
            "attributes": attributes if isinstance(attributes, dict) else {},
            "clicks": item.get("clicks"),
        }
        shape = item.get("segmentation")
        try:
            if isinstance(shape, dict):
                if list(shape["size"]) != [info.height, info.width]:
                    raise ValueError("another size")
                counts = shape["counts"]
                runs = counts_of(counts) if isinstance(counts, str) else [int(c) for c in counts]
                reading.add_mask(from_runs(runs, info.height, info.width), **about)
            else:
                rings = [np.array(ring, float).reshape(-1, 2) for ring in shape or ()]
                if not all(np.isfinite(r).all() and abs(r).max(initial=0) < 1e9 for r in rings):
                    raise ValueError("no coordinates")
                reading.add_shape(from_rings([r for r in rings if len(r) > 2]), target, **about)
        except (KeyError, TypeError, ValueError):
            reading.skipped += 1
