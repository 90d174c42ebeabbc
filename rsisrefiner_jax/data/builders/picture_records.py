"""The records of a data set, one file for each source picture, made once.

A file is written whole or not at all, so after a crash the next run goes on with the first one
that is missing. What is in a file depends on its picture alone, not on processes or order.
"""

import dataclasses
import multiprocessing
import os
import pickle
import signal
import struct
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import BinaryIO

import cv2
from tqdm import tqdm

from rsisrefiner_jax.data.builders.pictures import Pictures
from rsisrefiner_jax.data.builders.record import Record, areas, encode
from rsisrefiner_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class PictureRecords:
    """What a source picture became, but for the records themselves.

    scenes: name and (object id, category, area) of the objects of each scene that has some, in
        order; area as `record.areas` counts it.
    starts: where in the file the record of each of them starts, in bytes, and then where
        the last one ends.
    empty: how many scenes had no object.
    problem: why the picture was left out, in a sentence; "" if it was not.
    """

    scenes: tuple[tuple[str, tuple[tuple[int, str, int], ...]], ...] = ()
    starts: tuple[int, ...] = (0,)
    empty: int = 0
    problem: str = ""


Splits = Mapping[str, Pictures]


def make_picture_records(splits: Splits, folder: str, processes: int) -> dict[str, list[str]]:
    """Makes the files that are missing in `folder`.

    Shows progress, and every left-out picture, on stderr.

    Returns:
        The paths of the files, in order, of each split.

    Raises:
        BrokenProcessPool: something killed a worker, most likely for want of memory.
    """
    paths = {
        split: [os.path.join(folder, split, f"{i:06d}.part") for i in range(len(pictures))]
        for split, pictures in splits.items()
    }
    for split in splits:
        os.makedirs(os.path.join(folder, split), exist_ok=True)
    tasks = [
        (split, i, path)
        for split in splits
        for i, path in enumerate(paths[split])
        if not os.path.exists(path)
    ]
    total = sum(map(len, paths.values()))
    with tqdm(
        desc="pictures", total=total, initial=total - len(tasks), unit="picture", mininterval=1
    ) as bar:
        for problem in _run(splits, tasks, folder, min(processes, len(tasks))):
            if problem:
                bar.write(f"left out: {problem}", file=sys.stderr)
            bar.update()
    return paths


# A file: the records, one pickle after another; PictureRecords; where these begin.
_WHERE = struct.Struct("<Q")


def load_picture_records(path: str) -> PictureRecords:
    """Reads a file that `make_picture_records` wrote, without its records."""
    with open(path, "rb") as file:
        file.seek(-_WHERE.size, os.SEEK_END)
        (begin,) = _WHERE.unpack(file.read())
        file.seek(begin)
        return pickle.load(file)


def load_record(path: str, start: int) -> Record:
    """Reads the record that starts at this byte of a file of `make_picture_records`."""
    with open(path, "rb") as file:
        file.seek(start)
        return pickle.load(file)


_Task = tuple[str, int, str]  # split, index of the picture, path of the file


def _run(splits: Splits, tasks: list[_Task], folder: str, processes: int) -> Iterator[str]:
    if processes <= 1:
        for task in tasks:
            yield _make(splits, task)
        return
    # In a file: a worker that dies before it has read a long argument would block its parent.
    argument = os.path.join(folder, "splits")
    with open(argument, "wb") as file:
        pickle.dump(dict(splits), file)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _start, (argument,)) as pool:
        yield from pool.map(_make_in_worker, tasks)


_worker_splits: Splits


def _start(path: str) -> None:
    global _worker_splits
    with open(path, "rb") as file:
        _worker_splits = pickle.load(file)
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker would otherwise wait forever for work from a main process that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_in_worker(task: _Task) -> str:
    return _make(_worker_splits, task)


def _make(splits: Splits, task: _Task) -> str:
    """Makes one file. Returns the problem of its picture."""
    split, index, path = task
    unfinished = f"{path}.{os.getpid()}.unfinished"
    with open(unfinished, "wb") as file:
        try:
            found = _dump_records(splits[split], index, file)
        except UserError as error:
            file.seek(0)
            file.truncate()
            found = PictureRecords(problem=str(error))
        begin = file.tell()
        pickle.dump(found, file)
        file.write(_WHERE.pack(begin))
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
    return found.problem


def _dump_records(pictures: Pictures, index: int, file: BinaryIO) -> PictureRecords:
    """Writes the records of one picture as they are made: together they may be large."""
    scenes, starts, empty = [], [0], 0
    for scene, picture in pictures.scenes(index):
        if not scene.objects:
            empty += 1
            continue
        pickle.dump(encode(scene, picture), file)
        starts.append(file.tell())
        objects = zip(scene.objects, areas(scene), strict=True)
        scenes.append((scene.name, tuple((item.id, item.category, n) for item, n in objects)))
    return PictureRecords(tuple(scenes), tuple(starts), empty)
