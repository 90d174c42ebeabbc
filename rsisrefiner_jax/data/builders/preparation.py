"""Preparing a data set, from its source files to the records in their final place.

    ROOT/NAME/about.json               counts, hashes, licence, what was left out
    ROOT/NAME/1.0.0/                   the records and descriptions that TFDS writes
    ROOT/.NAME.unfinished/             a run that has not come to its end

None of it holds a time or a random name: the same source files give the same bytes, however often
the run was interrupted. (about.json has a fingerprint of the source files, their times included.)
"""

import contextlib
import fcntl
import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rsisrefiner_jax.data.builders.about import describe
from rsisrefiner_jax.data.builders.files import fingerprint
from rsisrefiner_jax.data.builders.layout import (
    GENERIC,
    OFFICIAL,
    VERSION,
    Layout,
    Request,
    find_layout,
)
from rsisrefiner_jax.data.builders.picture_records import make_picture_records
from rsisrefiner_jax.data.builders.pictures import First, Pictures
from rsisrefiner_jax.data.prepared import ABOUT, prepared_root, read_about
from rsisrefiner_jax.data.spec import nearest
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError, require


def prepare(
    name: str,
    source: str,
    to: str | None = None,
    *,
    called: str | None = None,
    processes: int = 1,
    classes: tuple[str, ...] = (),
    recipe: Recipe = Recipe(),
    limit: int | None = None,
) -> dict[str, Any]:
    """Prepares a data set, or finds that it has been.

    Args:
        name: in `layout.OFFICIAL` or `layout.GENERIC`.
        source: the folder of the official files, or what the SPEC takes after its colon.
        to: the folder of all prepared data sets; None = `prepared_root()`.
        called: its name there; None = `name`, which only official data sets have.
        processes: how many pictures are at work at a time.
        classes: whose regions become objects; () = the data set's own choice.
        recipe: how files become RGB; for data of your own.
        limit: only so many source pictures of each split.

    Returns:
        The content of its about.json.

    Raises:
        UserError: an unknown name, no known layout at `source`, no object in it, another run at
            work, or another data set of that name.
        OSError: the disk is full, or not to be written to.
        BrokenProcessPool: something killed a worker, most likely for want of memory.
    """
    layout = find_layout(_known(name))
    _check_classes(name, layout, classes)
    require(
        recipe == Recipe() or name in GENERIC,
        f"--bands and --stretch are for data of your own, not for {name}",
    )
    called = _called(name, called)
    root = str(to or prepared_root())
    target, unfinished = os.path.join(root, called), os.path.join(root, f".{called}.unfinished")
    made_from = _made_from(name, source, root, (classes, recipe, limit))
    if os.path.exists(target):
        about = read_about(target)
        require(
            about["made_from"] == made_from,
            f"{target}: there is a data set of this name, made from other files or in another "
            "way; delete it or choose another --name",
        )
        shutil.rmtree(unfinished, ignore_errors=True)
        return about
    with _work_folder(unfinished, made_from) as work:
        splits = layout.find(Request(source, os.path.join(work, "unpacked"), classes, recipe))
        if limit is not None:
            splits = {split: First(pictures, limit) for split, pictures in splits.items()}
        about = _write(name, called, layout, splits, work, processes, made_from)
        os.rename(os.path.join(work, "records", called), target)
        shutil.rmtree(work)
    return about


def _write(
    name: str,
    called: str,
    layout: Layout,
    splits: dict[str, Pictures],
    work: str,
    processes: int,
    made_from: str,
) -> dict[str, Any]:
    """Writes records and about.json to `work`/records/`called`."""
    files = make_picture_records(splits, os.path.join(work, "pictures"), processes)
    about, used = describe(layout, files)
    if not used:
        reason = f"; the first of its faults is {about['left_out'][0]}" if about["left_out"] else ""
        raise UserError(f"{name}: not a single object in {about['pictures']} pictures{reason}")
    records = os.path.join(work, "records")
    shutil.rmtree(records, ignore_errors=True)
    from rsisrefiner_jax.data.builders.base import SceneBuilder  # TensorFlow Datasets: seconds

    with contextlib.redirect_stdout(io.StringIO()):  # TFDS would name the unfinished folder
        builder = SceneBuilder(layout=layout, files=used, name=called, data_dir=records)
        builder.download_and_prepare()
    about = {
        "name": called,
        "prepared_as": name,
        **about,
        "left_out_before": [own.left_out for own in splits.values() if own.left_out],
        "made_from": made_from,
    }
    with open(os.path.join(records, called, ABOUT), "w", encoding="utf-8") as file:
        json.dump(about, file, indent=1, ensure_ascii=False)
        file.write("\n")
    return about


@contextlib.contextmanager
def _work_folder(folder: str, made_from: str) -> Iterator[str]:
    """A folder that only this run works in, emptied unless its content is of the same making."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{folder}: another run is preparing this data set") from error
        note = Path(folder, "made_from")
        if not (note.exists() and note.read_text() == made_from):
            for rest in ("pictures", "unpacked"):
                shutil.rmtree(os.path.join(folder, rest), ignore_errors=True)
            note.write_text(made_from)
        try:
            yield folder
        except UserError:  # nothing here is of use to a run with better input
            shutil.rmtree(folder)
            raise


def _known(name: str) -> str:
    known = sorted([*OFFICIAL, *GENERIC])
    require(
        name in known,
        f"no data set {name!r} to prepare{nearest(name, known)}; known: {', '.join(known)}",
    )
    return name


def _check_classes(name: str, layout: Layout, classes: tuple[str, ...]) -> None:
    unknown = [item for item in classes if item not in layout.classes]
    require(
        not unknown,
        f"--classes: {name} has no class {', '.join(unknown)} to choose; "
        f"there are {', '.join(layout.classes) or 'none'}",
    )


def _called(name: str, called: str | None) -> str:
    require(
        called is not None or name in OFFICIAL,
        f"prepare {name}: give your data set a name of its own with --name",
    )
    called = called or name
    require(
        re.fullmatch("[a-z][a-z0-9_]*", called) is not None and called not in GENERIC,
        f"--name {called}: take small letters, digits and _, and none of {', '.join(GENERIC)}",
    )
    return called


def _made_from(name: str, source: str, root: str, options: tuple[Any, ...]) -> str:
    """Identifies the source files and what is made of them."""
    parts = [source] if os.path.exists(source) else source.split(",")
    paths = [part.strip() for part in parts if os.path.exists(part.strip())]
    for path in paths:
        inside = os.path.realpath(root).startswith(os.path.realpath(path) + os.sep)
        require(
            not inside, f"{root}: lies in {path}, where nothing is written; choose another --to"
        )
    spelled = source if name in GENERIC else ""
    return fingerprint(paths, f"{name} {VERSION} {spelled} {options}")
