"""Data SPEC strings: what `data.train`, `data.eval` and `--data` may name.

    NAME[:SPLIT]                          a data set that data/prepare.py made ready, all of it or
                                          one split (a slice such as isaid:train[:10%], too)
    synthetic[:train|val|test][@SIZE]     pictures made on the fly, SIZE x SIZE (384) pixels
    coco:IMAGES_DIR,ANNOTATIONS.json      your own pictures with COCO instances
    instances:IMAGES_DIR,MASKS_DIR        ... with masks of one id per object
    classes:IMAGES_DIR,MASKS_DIR,class=2  ... with class masks: regions of a class (class=#RRGGBB)
    yolo:IMAGES_DIR,LABELS_DIR            ... with YOLO segmentation labels, one file a picture
    yolo:DATA.yaml[,split=val]            ... or a split (train) of a YOLO data set
    geo:RASTER.tif,VECTORS.gpkg           a georeferenced raster with polygons in any CRS
    project:DIR                           a project of the annotator, or an export of a whole one
    project:DIR,part=all                  ... windows about its objects, or about a part of them

Options follow at the end: `classes:...,class=2,ignore=255` (pixels that count as nothing),
`classes:...,class=NAME` (masks that name their classes), `geo:...,class=FIELD` (the attribute
that names the class); `data/project/source.py` says which those of `project` are.

A new kind is one opener, added to `_OPENERS` under the word in front of the colon.
"""

import contextlib
import difflib
import os
import sys
from collections.abc import Callable, Iterable, Iterator

from rsisrefiner_jax.data.scene import Source
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.specs import YAML

# Data sets that the project can prepare; others may have been prepared under any name.
PREPARED = ("isaid", "loveda_urban", "nwpu", "potsdam", "sandbar", "whu_building")


def open_source(spec: str, recipe: Recipe = Recipe()) -> Source:
    """The data set that `spec` names; what it goes without is told in lines on stderr.

    Args:
        recipe: how files become RGB. Prepared data sets keep that of their preparation.

    Raises:
        UserError: unknown kind or name, a data set that is not prepared here, or bad files.
    """
    name, _, argument = spec.strip().partition(":")
    if name in _OPENERS:
        source = _OPENERS[name](argument, recipe)
        for note in getattr(source, "notes", ()):
            print(f"note: {note}", file=sys.stderr)
        left_out = getattr(source, "left_out", None)
        if left_out:
            print(f"note: {spec}: {left_out.sentence()}", file=sys.stderr)
        return source
    from rsisrefiner_jax.data.prepared import PreparedSource, is_prepared, prepared_root

    if is_prepared(name):
        return PreparedSource(name, argument)
    if name in PREPARED:
        raise UserError(
            f"data set {spec!r} is not prepared in {prepared_root()}; make it ready with "
            f"python -m rsisrefiner_jax.data.prepare {name} --from DIR, set RSISREFINER_DATA if it "
            "lies elsewhere, or name pictures of your own, such as "
            "coco:IMAGES_DIR,ANNOTATIONS.json"
        )
    require(
        not os.path.exists(spec),
        f"{spec}: say what it holds, as in coco:IMAGES_DIR,ANNOTATIONS.json or "
        "instances:IMAGES_DIR,MASKS_DIR, or project:DIR of a project of the annotator",
    )
    known = sorted([*_OPENERS, *PREPARED])
    raise UserError(f"unknown data set {spec!r}{nearest(name, known)}; known: {', '.join(known)}")


def nearest(word: str, known: Iterable[str]) -> str:
    """ "; did you mean 'x'?" of the known word that is most like `word`; "" if none is."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


_FORMS = {
    "coco": "coco:IMAGES_DIR,ANNOTATIONS.json",
    "instances": "instances:IMAGES_DIR,MASKS_DIR",
    "classes": "classes:IMAGES_DIR,MASKS_DIR,class=2 (or class=#RRGGBB; also ,ignore=0)",
    "yolo": "yolo:IMAGES_DIR,LABELS_DIR or yolo:DATA.yaml (also ,split=val)",
    "geo": "geo:RASTER.tif,VECTORS.gpkg (also ,class=FIELD)",
}
_OPTIONS = {"class", "ignore"}


def split_spec(kind: str, argument: str) -> tuple[str, str, dict[str, str]]:
    """The two paths and the options of what follows `kind:` in a SPEC; a path may hold commas.

    Raises:
        UserError: a path is missing, or an option is not of this kind.
    """
    wrong = f"data '{kind}:{argument}': expected {_FORMS[kind]}"
    options: dict[str, str] = {}
    rest, _, last = argument.rpartition(",")
    while (name := last.partition("=")[0].strip()) in _OPTIONS and "=" in last:
        require(f"{name}=" in _FORMS[kind] and name not in options, wrong)
        options[name] = last.partition("=")[2].strip()
        rest, _, last = rest.rpartition(",")
    require(bool(rest.strip() and last.strip()), wrong)
    require(kind != "classes" or "class" in options, wrong)
    return rest.strip(), last.strip(), options


# The imports are inside: opening one kind should not cost the dependencies of all.
def _open_coco(argument: str, recipe: Recipe) -> Source:
    from rsisrefiner_jax.data.coco import CocoSource

    images_dir, annotations, _ = split_spec("coco", argument)
    return CocoSource(images_dir, annotations, recipe)


def _open_instances(argument: str, recipe: Recipe) -> Source:
    from rsisrefiner_jax.data.mask_folders import InstanceFolderSource

    images_dir, masks_dir, _ = split_spec("instances", argument)
    return InstanceFolderSource(images_dir, masks_dir, recipe=recipe)


def _open_classes(argument: str, recipe: Recipe) -> Source:
    from rsisrefiner_jax.data.mask_folders import ClassFolderSource

    images_dir, masks_dir, options = split_spec("classes", argument)
    value, ignore = options["class"], options.get("ignore")
    return ClassFolderSource(images_dir, masks_dir, value, ignore, recipe)


@contextlib.contextmanager
def _needing(kind: str, argument: str, packages: str) -> Iterator[None]:
    """Names the extra where an import inside fails."""
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"{kind}:{argument}: needs {packages}; run pip install -e .[geo]"
        ) from error


def _open_geo(argument: str, recipe: Recipe) -> Source:
    with _needing("geo", argument, "rasterio, pyogrio and shapely"):
        from rsisrefiner_jax.data.geo import GeoSource

    raster, vectors, options = split_spec("geo", argument)
    return GeoSource(raster, vectors, recipe, options.get("class"))


def _open_project(argument: str, recipe: Recipe) -> Source:
    with _needing("project", argument, "rasterio and shapely"):
        from rsisrefiner_jax.data.project.source import open_project

    return open_project(argument, recipe)


def _open_yolo(argument: str, recipe: Recipe) -> Source:
    with _needing("yolo", argument, "rasterio, shapely and PyYAML"):
        from rsisrefiner_jax.data.yolo import open_data_set, open_folders

    file, _, split = argument.partition(",split=")
    if file.strip().lower().endswith(YAML):
        return open_data_set(file.strip(), split.strip() or "train", recipe)
    images_dir, labels_dir, _ = split_spec("yolo", argument)
    return open_folders(images_dir, labels_dir, recipe)


def _open_synthetic(argument: str, recipe: Recipe) -> Source:
    from rsisrefiner_jax.data.synthetic import SyntheticSource

    splits = ["train", "val", "test"]
    split, _, size = argument.partition("@")
    split = split or "train"
    if split not in splits:
        raise UserError(
            f"data 'synthetic:{split}'{nearest(split, splits)}; the splits are {', '.join(splits)}"
        )
    if not (size.isdigit() or size == ""):
        raise UserError(f"data 'synthetic:{argument}': {size!r} is not a size in pixels")
    return SyntheticSource(split, int(size or 384))


_OPENERS: dict[str, Callable[[str, Recipe], Source]] = {
    "classes": _open_classes,
    "coco": _open_coco,
    "geo": _open_geo,
    "instances": _open_instances,
    "project": _open_project,
    "synthetic": _open_synthetic,
    "yolo": _open_yolo,
}
