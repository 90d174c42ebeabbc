"""A scripted session with the annotator, disturbed and undisturbed.

The server is ended by SIGKILL ("kill") or SIGTERM ("term") and started again, or its project lies
on a file system of 20 MB that is filled up and freed again ("full", for root). What was not
answered, or with 507 (the disk is full), is asked again. In the end replies, state and exports must
be the same, also from `project.sqlite` alone.
"""

import argparse
import contextlib
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.annotator import Server, Upload, write_raster
from benchmarks.script import OBJECTS, Request, exports, plain, script_of
from benchmarks.small_disk import fill, small_disk


def compare(options: argparse.Namespace, folder: Path) -> None:
    """Prints what is as it should be; ends with status 1 where something is not."""
    image = folder / "scene.tif"
    write_raster(image, 900)
    script = script_of(options.clicks)
    calm = Server([str(image)], options.checkpoint, folder / "calm")
    expected, end = [_asked(calm, request) for request in script], _state(calm)
    calm.end()
    project, alone = folder / "disturbed", folder / "alone"
    for made in (project, alone):
        made.mkdir()
    with small_disk(project) if options.how == "full" else contextlib.nullcontext():
        server = Server([str(image)], options.checkpoint, project)
        disturbance = HOW[options.how](server, project, options)
        started = time.perf_counter()
        with disturbance.at_work():
            found = [_asked(server, request) for request in script]
            found_at_once = _state(server)
        took = time.perf_counter() - started
        found_later = _state(server)
        status = server.end(signal.SIGTERM)
        files = [str(file.relative_to(project)) for file in project.rglob("*")]
        shutil.copy(project / "project.sqlite", alone)
    other = Server([str(image)], options.checkpoint, alone)
    found_alone = _state(other)
    other.end()
    same = [a == b for a, b in zip(found, expected, strict=True)]
    traces = ("-wal", ".lock", ".part", "import-", "export-")
    rest = [name for name in files if any(trace in name for trace in traces)]
    faults = disturbance.faults + sorted(set(server.defects))
    print(
        f"{options.how}: {disturbance.count} times in {took:.0f} s, {len(script)} requests, "
        f"{server.times_full} answers that the disk is full"
    )
    checks = {
        f"replies and exports as undisturbed: {sum(same)} of {len(same)}": all(same),
        "state and exports at the end as undisturbed": found_at_once == found_later == end,
        "from project.sqlite alone as well": found_alone == end,
        f"exit status at last: {status}": status == 0,
        f"files left behind: {rest or 'none'}": not rest,
        f"faults: {faults or 'none'}": not faults,
    }
    for sentence, good in checks.items():
        print(f"{'good' if good else 'BAD '} {sentence}")
    for request in (request for request, equal in zip(script, same, strict=True) if not equal):
        print("differs:", *request[:2])
    if not all(checks.values()):
        raise SystemExit(1)


def _asked(server: Server, request: Request) -> Any:
    """What is replied, without what differs from run to run."""
    if not isinstance(request[2], Upload):
        return plain(server.insist(*request))
    before = len(server.insist("GET", OBJECTS))
    while True:  # an import has no key: whether it took place is seen
        done, _ = server.attempt(*request)
        added = len(server.insist("GET", OBJECTS)) - before
        if done or added:
            return added


def _state(server: Server) -> list[Any]:
    server.wait_until_ready()
    return [_asked(server, ("GET", path, None)) for path in ("/sessions", OBJECTS, *exports())]


class _Disturbance:
    """count: how often so far. faults: what was not as it should be."""

    def __init__(self, server: Server, project: Path, options: argparse.Namespace) -> None:
        self.server = server
        self.project = project
        self.count = 0
        self.faults: list[str] = []
        self.rng = random.Random(options.seed)
        self._options = options
        self._done = threading.Event()

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Disturbs beside the block."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def pause(self) -> None:
        self._done.wait(self.rng.uniform(0, self._options.longest))

    def once(self) -> None:
        raise NotImplementedError

    def _run(self) -> None:
        while self.count < self._options.times and not self._done.is_set():
            self.once()
            self.count += 1


class _Kill(_Disturbance):
    number = signal.SIGKILL

    def once(self) -> None:
        if self.count % 4:  # also while it starts, and while the model is being loaded
            self.server.insist("GET", "/project")
        if self.count % 4 > 1:
            self.server.wait_until_ready()
        self.pause()
        self.check(self.server.end(self.number))
        self.server.start()

    def check(self, status: int) -> None:
        pass


class _Terminate(_Kill):
    number = signal.SIGTERM

    def check(self, status: int) -> None:
        if status == -signal.SIGTERM and self.count % 4 == 0:
            return  # it had not opened anything yet
        if status:
            self.faults.append(f"exit status {status}")
        self.faults += [file.name for file in self.project.glob("project.*") if "wal" in file.name]


class _Fill(_Disturbance):
    def once(self) -> None:
        ballast = self.project / "ballast"
        self.server.wait_until_ready()
        self.pause()
        fill(ballast, self.rng.choice([0, 0, 1, 4, 16]))
        self.pause()
        ballast.unlink()


HOW: dict[str, Callable[..., _Disturbance]] = {"kill": _Kill, "term": _Terminate, "full": _Fill}
