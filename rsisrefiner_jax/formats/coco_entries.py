"""The entries of a COCO JSON, read without trusting any of them.

The source leaves out what these functions find unusable, and the doctor names it: the same
functions, so that both agree.
"""

import json
from typing import Any

from rsisrefiner_jax.formats.left_out import Problem
from rsisrefiner_jax.formats.region import plain_id

Entry = dict[str, Any]

_FIELDS = {  # without which an entry says nothing
    "images": ("id", "file_name"),
    "annotations": ("id", "image_id"),
    "categories": ("id", "name"),
    "licenses": ("id", "name"),
}


def read_json(path: str) -> Entry | Problem:
    """The content of an annotation file, with lists `images` and `annotations`. Never raises."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except FileNotFoundError:
        return Problem("missing-file", "is not there")
    except (OSError, ValueError) as error:
        return Problem("not-json", f"cannot be read as text ({error})")
    if not text.strip():
        return Problem("zero-bytes", "is empty")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        starts, ends = text.lstrip()[0], text.rstrip()[-1]
        if starts == "{" and (ends != "}" or text.count("}") < text.count("{")):
            return Problem("json-cut-off", f"ends early, after {len(text):,} characters")
        return Problem("not-json", f"is not JSON ({error})")
    if not isinstance(content, dict) or not all(
        isinstance(content.get(group), list) for group in ("images", "annotations")
    ):
        return Problem("not-coco", "has no lists 'images' and 'annotations'")
    return content


def sound_entries(content: Entry, group: str) -> tuple[list[Entry], Problem | None, int]:
    """The entries of a group that have what they need, what the others lack, and their number.

    Ids are numbers or text, "7" being 7; names are text. An annotation without an id gets a
    negative number of its own.
    """
    entries = content.get(group) or []
    entries = entries if isinstance(entries, list) else [entries]
    entries = [_with_plain_ids(item) for item in entries]
    if group == "annotations":
        entries = [_with_id(item, i - len(entries)) for i, item in enumerate(entries)]
    sound = [item for item in entries if _is_sound(item, _FIELDS[group])]
    lost = len(entries) - len(sound)
    words = f"{lost} of {len(entries)} entries of {group!r} lack {' or '.join(_FIELDS[group])}"
    return sound, Problem("malformed-entry", words) if lost else None, lost


def stated_size(image: Entry) -> tuple[int, int] | None:
    """(height, width) as an entry of `images` states them, or None."""
    try:
        height, width = int(image["height"]), int(image["width"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    # pycocotools counts pixels in 32 bits.
    return (height, width) if min(height, width) > 0 and height * width < 2**31 else None


def size_problem(
    stated: tuple[int, int], actual: tuple[int, int], by: str = "the JSON"
) -> Problem | None:
    """That a picture is of another size, (height, width), than is stated, and by what."""
    if stated == actual:
        return None
    exchanged = ", height and width exchanged" if stated == actual[::-1] else ""
    return Problem(
        "size-differs",
        f"is {actual[0]} x {actual[1]} pixels (height x width), {by} says "
        f"{stated[0]} x {stated[1]}{exchanged}",
    )


def shared_ids(images: list[Entry]) -> set[Any]:
    """Ids that images of different files share: whose the annotations are is open."""
    names: dict[Any, str] = {}
    return {
        image["id"]
        for image in images
        if names.setdefault(image["id"], image["file_name"]) != image["file_name"]
    }


def category_of(annotation: Entry) -> int | float | str | None:
    """The category id of an annotation, None when it has none."""
    id = annotation.get("category_id")
    return id if isinstance(id, int | float | str) else None


def _with_plain_ids(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    changed = {
        field: plain
        for field in ("id", "image_id", "category_id")
        if (plain := plain_id(item.get(field))) is not item.get(field)
    }
    return {**item, **changed} if changed else item


def _with_id(item: Any, id: int) -> Any:
    return {**item, "id": id} if isinstance(item, dict) and item.get("id") is None else item


def _is_sound(item: Any, fields: tuple[str, ...]) -> bool:
    if not isinstance(item, dict):
        return False
    ids = [item.get(field) for field in fields if field.endswith("id")]
    names = [item.get(field) for field in fields if field.endswith("name")]
    return all(
        isinstance(id, int | float | str) and not isinstance(id, bool) for id in ids
    ) and all(isinstance(name, str) and name for name in names)
