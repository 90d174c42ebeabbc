"""Which file a name in an annotation file means: names change from one machine to the next.

Windows writes `images\\a.tif` and `C:\\data\\a.tif`, web tools `a%20b.tif`, and an umlaut is one
letter or two. A name means a file if they are the same after that, or if its last parts are.
"""

import difflib
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from urllib.parse import unquote


def spellings(name: str) -> Iterator[str]:
    """The paths that a name can mean, the likeliest first: its own, then without outer folders."""
    for text in dict.fromkeys((name, unquote(name))):
        path = re.sub(r"^[A-Za-z]:", "", text.replace("\\", "/"))
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        yield from ("/".join(parts[i:]) for i in range(len(parts)))


def letters(name: str) -> str:
    """The same for names that differ only in how their accents are stored."""
    return unicodedata.normalize("NFC", name)


def files_meant(names: Sequence[str], folder: str) -> dict[str, str]:
    """Of each name the file it means, by its path in `folder`; the name itself where none is.

    Two names that could only mean one file mean none.
    """
    found = {name: name for name in names}
    missing = [name for name in found if not os.path.isfile(os.path.join(folder, name))]
    if not missing:
        return found
    there: dict[str, list[str]] = defaultdict(list)
    for file in _listing(folder):
        there[letters(file)].append(file)
    found |= {name: _meant(name, there) or name for name in missing}
    uses = Counter(found.values())
    return {name: file if uses[file] == 1 else name for name, file in found.items()}


def names_meant(names: Sequence[str], file: str) -> list[int]:
    """The places in `names` of those that can mean the file of this name; exact ones alone."""
    ends = [list(spellings(name)) for name in names]
    exact = [i for i, own in enumerate(ends) if file in own]
    return exact or [i for i, own in enumerate(ends) if letters(file) in map(letters, own)]


def nearest_file(name: str, folder: str) -> str:
    """ "; the nearest name there is x" where no file in `folder` has a name; "" if none is near."""
    last = re.split(r"[/\\]", unquote(name))[-1]
    near = difflib.get_close_matches(last, _listing(folder, deep=False), n=1)
    return f"; the nearest name there is {near[0]}" if near else ""


def _meant(name: str, there: dict[str, list[str]]) -> str | None:
    for spelling in spellings(name):
        files = there.get(letters(spelling), [])
        if spelling in files:
            return spelling
        if files:
            return files[0] if len(files) == 1 else None
    return None


def _listing(folder: str, deep: bool = True) -> list[str]:
    """The files in a folder and, if `deep`, in those inside it, by their paths in it."""
    if not deep:
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [
        os.path.relpath(os.path.join(inside, file), folder).replace(os.sep, "/")
        for inside, _, files in os.walk(folder)
        for file in sorted(files)
    ]
