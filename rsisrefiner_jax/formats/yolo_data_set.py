"""The data.yaml of a YOLO data set: names of classes, and which pictures are in a split.

Read as ultralytics reads it, with one difference: what is relative is looked for from the file
itself, not from where a program was started.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.picture_file import ENDINGS
from rsisrefiner_jax.formats.safe_names import printable

NAMES = ("data.yaml", "data.yml", "dataset.yaml", "classes.txt")  # what holds the names of classes
SPLITS = ("train", "val", "test")
_ALIASES = {"val": ("val", "validation", "valid")}
_PICTURES = tuple(ending for endings in ENDINGS.values() for ending in endings)


def class_names(file: Path) -> dict[int, str]:
    """The names of classes by number, of a data.yaml however it spells them, or of a text file.

    `names` may be a list, numbered, or a file with a name a line; with `nc` alone there are none.

    Raises:
        UserError: it cannot be read, or its `names` are nothing of that.
    """
    if file.suffix.lower() not in (".yaml", ".yml"):
        return dict(enumerate(line.strip() for line in _text(file).splitlines()))
    content = _content(file)
    names: Any = content.get("names") or None
    if isinstance(names, str):
        listed = _located([file.parent], names)
        names = list(class_names(listed).values()) if listed and listed.is_file() else names
    if isinstance(names, list):
        names = {str(number): name for number, name in enumerate(names)}
    if names is None and str(content.get("nc")).strip().isdigit():
        return {}
    require(
        isinstance(names, dict)
        and all(key.strip().isdigit() and isinstance(name, str) for key, name in names.items()),
        f"{printable(file.name)}: no class names can be read in it; write names: [roof, tank] or "
        "a line '0: roof' for each below names:",
    )
    return {int(key): name for key, name in names.items()}


def names_beside(folders: Iterable[Path]) -> dict[int, str]:
    """The names of classes in the first of some folders that holds them; none where none does.

    Raises:
        UserError: as `class_names`.
    """
    for folder in folders:
        for name in NAMES:
            if (folder / name).is_file():
                return class_names(folder / name)
    return {}


def pictures_of(file: Path, split: str) -> Iterator[tuple[Path, Path]]:
    """The pictures that a data.yaml puts in a split, and the file of labels of each.

    A split is a folder, which is searched whole, a text file with a picture a line, or a list of
    these. Labels have the picture's path, with `labels` for the last `images` in it.

    Raises:
        UserError: there is no such split, or nothing where the file says that it is.
    """
    content = _content(file)
    named = [content[key] for key in _ALIASES.get(split, (split,)) if content.get(key)]
    known = [key for key in SPLITS if any(content.get(a) for a in _ALIASES.get(key, (key,)))]
    require(
        bool(named),
        f"{file}: no pictures of split={split}; there are {', '.join(known) or 'none at all'}",
    )
    folders = list(_roots(file, content))
    for entry in named[0] if isinstance(named[0], list) else [named[0]]:
        place = _located(folders, str(entry))
        if place is None:
            raise UserError(f"{file}: {split}: {entry}: no such folder or list of pictures")
        for picture in _listed(place, folders) if place.is_file() else _inside(place):
            yield picture, _labels_of(picture)


def _content(file: Path) -> dict[str, Any]:
    """Of a YAML file. Everything in it is text: "no" stays "no"."""
    import yaml

    try:
        content = yaml.load(_text(file), yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(f"{printable(file.name)}: not YAML that can be read") from error
    return content if isinstance(content, dict) else {}


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8-sig", errors="replace")


def _roots(file: Path, content: dict[str, Any]) -> Iterator[Path]:
    """Folders that a split is looked for in: the file's `path`, wherever it was moved, and its
    own."""
    path = content.get("path")
    if isinstance(path, str) and path:
        named = file.parent / path.replace("\\", "/")
        yield from (p for p in (named, file.parent / named.name) if p.is_dir())
    yield file.parent


def _located(folders: Iterable[Path], name: str) -> Path | None:
    """What a name means, from one of some folders; "../" in front of it may be one too many."""
    plain = name.strip().replace("\\", "/")
    for folder in folders:
        for spelling in dict.fromkeys((name, plain, plain.removeprefix("../"))):
            if (folder / spelling).exists():
                return folder / spelling
    return None


def _inside(folder: Path) -> list[Path]:
    """The pictures in a folder and in those inside it."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _PICTURES and not path.name.startswith(".")
    )


def _listed(file: Path, folders: list[Path]) -> Iterator[Path]:
    """The pictures in a list; those that are nowhere are looked for beside it, and told later."""
    for line in _text(file).splitlines():
        if line.strip():
            place = _located([file.parent, *folders], line)
            yield place or file.parent / line.strip()


def _labels_of(picture: Path) -> Path:
    parts = list(picture.absolute().parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts).with_suffix(".txt")
