"""One picture file: what it is, and what is wrong with it, read as training reads it."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

from rsisrefiner_jax.data.doctor.traps import Finding
from rsisrefiner_jax.data.raster import read_picture
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats import pixels
from rsisrefiner_jax.formats.left_out import Problem
from rsisrefiner_jax.formats.picture_file import picture_format, promised_format, read_content

Facts = TypeVar("Facts")
_THREADS = min(os.cpu_count() or 1, 4)  # decoding runs outside Python's lock


@dataclasses.dataclass(frozen=True)
class Picture:
    """Facts about one file. `problem` is why it cannot be used, if so."""

    path: str
    format: str = ""
    size: tuple[int, int] | None = None  # height, width
    digest: bytes = b""
    problem: Problem | None = None


def quiet_decoders() -> None:
    """Keeps OpenCV from printing every oddity it meets; findings say it better."""
    pixels.print_only(pixels.SILENT)


def look(path: str) -> Picture:
    """Reads and decodes one file. Never raises."""
    data = read_content(path)
    if isinstance(data, Problem):
        return Picture(path, problem=data)
    kind = picture_format(data)
    try:
        height, width = read_picture(path)[1].shape
    except UserError as error:
        return Picture(path, kind, problem=Problem("unreadable", said_of(path, error)))
    return Picture(path, kind, (height, width), hashlib.blake2b(data, digest_size=16).digest())


def said_of(path: str, error: UserError) -> str:
    """A reader's sentence without the file it begins with."""
    return str(error).removeprefix(path).lstrip(": ")


def look_at_all(paths: Sequence[str], what: str, look: Callable[[str], Facts]) -> dict[str, Facts]:
    """Facts by path, with a bar that says `what` is read."""
    with ThreadPoolExecutor(_THREADS) as pool:
        facts = tqdm(pool.map(look, paths), what, total=len(paths), unit="file", leave=False)
        return dict(zip(paths, facts, strict=True))


def check_pictures(pictures: Iterable[Picture]) -> Iterator[Finding]:
    """Findings about the files themselves."""
    for picture in pictures:
        if picture.problem:
            yield Finding(picture.problem.trap, picture.path, picture.problem.message)
        if name_lies(picture):
            yield Finding("name-lies", picture.path, f"is a {picture.format}")


def check_repeated(pictures: Iterable[Picture]) -> Iterator[Finding]:
    """Files with identical content."""
    first: dict[bytes, str] = {}
    for picture in pictures:
        other = first.setdefault(picture.digest, picture.path)
        if picture.digest and other != picture.path:
            yield Finding("same-picture", picture.path, f"equals {os.path.basename(other)}")


def name_lies(picture: Picture) -> bool:
    """Whether the content is another format than the ending of the name promises."""
    promised = promised_format(os.path.splitext(picture.path)[1])
    return bool(picture.format and promised) and picture.format != promised
