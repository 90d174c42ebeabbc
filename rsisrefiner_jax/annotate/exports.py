"""Exports that run by themselves: started, watched, cancelled, fetched."""

import dataclasses
import secrets
import shutil
import tempfile
import threading
import traceback
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Literal

from rsisrefiner_jax.annotate import disk
from rsisrefiner_jax.annotate.export import export, require_format
from rsisrefiner_jax.annotate.export.job import Job
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.refusals import Conflict, Missing
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.progress import Cancelled, Progress

AT_ONCE = 2  # running; others wait
MOST = 10  # that exist; the oldest finished ones go first
PATIENCE = 4.0  # seconds that closing waits for those that run
KEPT = 3600.0  # seconds that a finished one is kept
FOLDERS = "export-"  # begins the names of the folders that files are written in (`disk.LEFTOVERS`)


@dataclasses.dataclass
class Export:
    """state: "running" (also while it waits), "done", "failed" or "cancelled"."""

    id: str
    progress: Progress
    state: Literal["running", "done", "failed", "cancelled"] = "running"
    error: str | None = None
    file: Path | None = None
    size: int = 0


class Exports:
    """The exports of a project: started, watched, cancelled, fetched. Any thread may call it."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="export")
        self._lock = threading.Lock()
        self._exports: dict[str, Export] = {}
        self._futures: set[Future] = set()

    def job(self, image_id: int, simplify: float = 0, rectangles: bool = False) -> Job:
        """The objects of an image as they are now. Raises Missing."""
        project = self._project
        return Job(
            image=project.image(image_id),
            objects=project.objects(image_id, measured=False),
            classes=project.classes(),
            sessions=project.sessions.all(image_id, only_open=False),
            journal=project.journal,
            simplify=simplify,
            rectangles=rectangles,
        )

    def write(self, job: Job, format: str) -> Path:
        """The file, at once; the folder that it is in is the caller's to remove.

        Raises as `export.export`; nothing is left then.
        """
        with disk.room_for("export"):
            folder = Path(tempfile.mkdtemp(prefix=FOLDERS, dir=self._project.cache))
        try:
            return export(job, format, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def start(self, job: Job, format: str) -> Export:
        """Begins to write a file.

        Raises:
            UserError: there is no such format.
            Conflict: too many are being written.
        """
        require_format(format)
        one = Export(secrets.token_hex(8), job.progress)
        with self._lock:
            over = [e for e in self._exports.values() if e.state != "running"]
            while len(self._exports) >= MOST and over:
                self._drop(over.pop(0))
            if len(self._exports) >= MOST:
                raise Conflict(f"{MOST} exports are being written; wait for one or cancel it")
            self._exports[one.id] = one
        with self._lock:
            self._futures = {future for future in self._futures if not future.done()}
            self._futures.add(self._threads.submit(self._run, one, job, format))
        return one

    def get(self, id: str) -> Export:
        """Raises Missing."""
        with self._lock:
            if id not in self._exports:
                raise Missing(f"there is no export {id}; finished ones are kept for an hour")
            return self._exports[id]

    def cancel(self, id: str) -> None:
        """Stops one that runs; removes one that does not. Raises Missing."""
        one = self.get(id)
        with self._lock:
            if one.state == "running":
                one.state = "cancelled"
                one.progress.cancel()
            else:
                self._drop(one)

    def close(self) -> None:
        """Stops all and removes their files."""
        with self._lock:
            everything = list(self._exports.values())
        for one in everything:
            one.progress.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)
        wait(self._futures, timeout=PATIENCE)
        with self._lock:
            for one in everything:
                self._drop(one)

    def _run(self, one: Export, job: Job, format: str) -> None:
        error, file, size, cancelled = None, None, 0, False
        try:
            one.progress.check()
            file = self.write(job, format)
            size = file.stat().st_size
        except Cancelled:
            cancelled = True
        except UserError as refused:
            error = str(refused)
        except Exception as defect:  # said to who asked, instead of an export that never ends
            traceback.print_exc()
            error = f"a defect of this program ({type(defect).__name__}); see its console"
        with self._lock:
            one.file, one.size, one.error = file, size, error
            if one.state == "cancelled":  # perhaps too late for its writer to notice
                self._remove_file(one)
            else:
                one.state = "cancelled" if cancelled else "failed" if error else "done"
        forget = threading.Timer(KEPT, self._forget, [one])
        forget.daemon = True
        forget.start()

    def _forget(self, one: Export) -> None:
        with self._lock:
            self._drop(one)

    def _drop(self, one: Export) -> None:
        self._exports.pop(one.id, None)
        self._remove_file(one)

    def _remove_file(self, one: Export) -> None:
        if one.file is not None:
            shutil.rmtree(one.file.parent, ignore_errors=True)
            one.file = None
