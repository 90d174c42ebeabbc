"""What can be wrong with a COCO JSON and its pictures."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from rsisrefiner_jax.data.doctor.coco_set import CocoSet, annotation_problem, image_problem
from rsisrefiner_jax.data.doctor.pictures import check_pictures, check_repeated
from rsisrefiner_jax.data.doctor.traps import Finding, check
from rsisrefiner_jax.formats.coco_entries import category_of, stated_size
from rsisrefiner_jax.formats.coco_masks import is_degenerate


@check(CocoSet)
def entries(coco: CocoSet) -> Iterator[Finding]:
    yield from coco.malformed


@check(CocoSet)
def files(coco: CocoSet) -> Iterator[Finding]:
    yield from check_pictures(coco.files())
    yield from check_repeated(coco.files())


@check(CocoSet)
def sizes(coco: CocoSet) -> Iterator[Finding]:
    for image in coco.images:
        name = image["file_name"]
        if stated_size(image) is None:
            yield Finding(
                "missing-size", coco.annotations_path, f"{name} has no usable width and height"
            )
        problem = image_problem(image, coco.picture(image))
        if problem and problem.trap == "size-differs":
            yield Finding("size-differs", coco.picture(image).path, problem.message)


@check(CocoSet)
def repeated_ids(coco: CocoSet) -> Iterator[Finding]:
    for trap, group in (
        ("image-id-twice", coco.images),
        ("annotation-id-twice", coco.annotations),
        ("category-id-twice", coco.categories),
    ):
        for id, times in _repeated(item["id"] for item in group):
            yield Finding(trap, coco.annotations_path, f"id {id!r} occurs {times} times")
    for name, times in _repeated(image["file_name"] for image in coco.images):
        yield Finding(
            "image-listed-twice", coco.annotations_path, f"{name} is listed {times} times"
        )


@check(CocoSet)
def first_ids(coco: CocoSet) -> Iterator[Finding]:
    for what, group in (
        ("image", coco.images),
        ("annotation", coco.annotations),
        ("category", coco.categories),
    ):
        if any(item["id"] == 0 for item in group):
            yield Finding("ids-start-at-0", coco.annotations_path, f"{what} ids start at 0")


@check(CocoSet)
def masks(coco: CocoSet) -> Iterator[Finding]:
    sizes = {image["id"]: coco.size(image) for image in coco.images}
    for annotation in coco.annotations:
        where = f"annotation {annotation['id']!r}"
        if annotation["image_id"] not in sizes:
            message = f"{where} is of image {annotation['image_id']!r}"
            yield Finding("annotation-without-image", coco.annotations_path, message)
            continue
        size = sizes[annotation["image_id"]]
        problem = size and annotation_problem(annotation, size)
        if problem:
            yield Finding(problem.trap, coco.annotations_path, f"{where} {problem.message}")
        elif is_degenerate(annotation):
            shape = annotation["segmentation"]
            rings = shape if isinstance(shape[0], list) else [shape]
            odd = any(len(ring) % 2 for ring in rings)
            what = "an odd number of coordinates" if odd else "parts with fewer than three points"
            message = f"{where} has {what}"
            yield Finding("degenerate-polygon", coco.annotations_path, message)


@check(CocoSet)
def categories(coco: CocoSet) -> Iterator[Finding]:
    known = coco.names()
    unknown = Counter(
        str(item.get("category_id")) for item in coco.annotations if category_of(item) not in known
    )
    for id, times in sorted(unknown.items()):
        message = f"{times} annotations have category id {id}"
        yield Finding("unknown-category", coco.annotations_path, message)


def _repeated(values: Any) -> list[tuple[Any, int]]:
    return [(value, times) for value, times in Counter(values).items() if times > 1]
