"""Data sets that a SPEC can open as they lie: preparing them makes reading faster."""

import functools

from rsisrefiner_jax.data.builders.layout import Layout, Request
from rsisrefiner_jax.data.builders.pictures import Pictures, SourcePictures
from rsisrefiner_jax.data.spec import open_source, split_spec
from rsisrefiner_jax.data.stretch import Recipe

SPLIT = "train"  # of data that know no split


def _layout(kind: str, description: str, accepted: str) -> Layout:
    """The layout of `kind:...` SPECs; its `--from` is what follows the colon."""
    return Layout(
        description=description,
        find=functools.partial(_find, kind),
        accepted=accepted,
        licence="That of the source.",
        note=f"Prepared from a {kind} data set.",
    )


def _find(kind: str, request: Request) -> dict[str, Pictures]:
    source = open_source(f"{kind}:{request.source}", request.recipe)
    split = request.source.partition("@")[0] if kind == "synthetic" else SPLIT
    files_are_rgb = kind == "coco" and request.recipe == Recipe()
    images_dir = split_spec(kind, request.source)[0] if files_are_rgb else None
    return {split: SourcePictures(source, images_dir)}


LAYOUTS = {
    kind: _layout(kind, description, accepted)
    for kind, description, accepted in (
        ("classes", "Pictures with class masks.", "IMAGES_DIR,MASKS_DIR,class=2"),
        ("coco", "COCO instance annotations.", "IMAGES_DIR,ANNOTATIONS.json"),
        ("geo", "A georeferenced raster with polygons.", "RASTER.tif,VECTORS.gpkg"),
        ("instances", "Pictures with id masks.", "IMAGES_DIR,MASKS_DIR"),
        ("project", "A project of the annotator.", "DIR"),
        (
            "synthetic",
            "Synthetic scenes.",
            "train, val or test, with @SIZE if wanted; take --limit, it has 100 000 pictures",
        ),
        ("yolo", "Pictures with YOLO segmentation labels.", "IMAGES_DIR,LABELS_DIR"),
    )
}
