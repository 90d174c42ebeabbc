"""What is finished of a job, on the disk: a file of lines, one a block, beside the output.

A line is whole or not there. Blocks may be answered twice, as when a machine comes back that was
given up: the first line of a block counts, and all its lines say the same.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rsisrefiner_jax.atomic import drop_torn_line
from rsisrefiner_jax.cluster.lock import locked
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation.compare import differences
from rsisrefiner_jax.refine.answer import Answer

FILE = "blocks.jsonl"


class Journal:
    """The finished blocks of a job; one process at a time has it.

    done: their numbers.
    """

    def __init__(self, folder: Path, job: dict[str, Any]) -> None:
        """Begins a job in a folder, or goes on with it.

        job: everything that answers depend on, as JSON.

        Raises:
            UserError: another process is at it, the folder holds another job or cannot be written.
        """
        self.folder = folder
        self.done: set[int] = set()
        self._path = folder / FILE
        self._held = contextlib.ExitStack()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(locked(folder, "--out"))
            drop_torn_line(self._path)
            job = json.loads(json.dumps(job))  # as it will be read back
            lines = self._lines()
            if (kept := next(lines, None)) is None:
                self._append({"job": job})
            else:
                _require_same(folder, kept["job"], job)
            self.done = {line["block"] for line in lines}
        except OSError as error:
            raise UserError(f"{folder}: cannot be written ({error.strerror})") from error

    def add(self, block: int, answers: Iterable[Answer]) -> None:
        """Writes a finished block down, at once. Raises UserError: the disk is full."""
        if block in self.done:
            return
        try:
            self._append({"block": block, "answers": [one.to_json() for one in answers]})
        except OSError as error:
            raise UserError(
                f"{self._path}: cannot be written ({error.strerror}); what is finished stays, and "
                "the same command goes on from there"
            ) from error
        self.done.add(block)

    def answers(self) -> dict[int, Answer]:
        """Those of all finished blocks, by number."""
        lines = self._lines()
        next(lines)
        found: dict[int, Answer] = {}
        for line in lines:
            for one in line["answers"]:
                found.setdefault(one["number"], Answer(**one))
        return found

    def remove(self) -> None:
        """Forgets the job, whose output is written."""
        self._path.unlink()
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Lets another process have it."""
        self._held.close()

    def _append(self, line: dict[str, Any]) -> None:
        with self._path.open("ab") as file:
            file.write(f"{json.dumps(line)}\n".encode())
            file.flush()
            os.fsync(file.fileno())

    def _lines(self) -> Iterator[dict[str, Any]]:
        if self._path.exists():
            with self._path.open("rb") as file:
                for line in file:
                    yield json.loads(line)


def _require_same(folder: Path, kept: dict[str, Any], job: dict[str, Any]) -> None:
    """Raises UserError: the folder holds another job."""
    for name, before, now in differences(kept, job):
        raise UserError(
            f"{folder}: holds a job that was begun otherwise ({name} was {before}, now {now}); "
            "name another --out, or delete this folder"
        )
