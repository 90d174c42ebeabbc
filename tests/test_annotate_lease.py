"""One server at a time writes to a project, also where file locks are granted to everybody."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax.annotate import journal, lease, recorded_state
from rsisrefiner_jax.annotate.lease import Lease
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.recorded_state import RecordedState
from rsisrefiner_jax.annotate.refusals import Conflict, NoSpace
from rsisrefiner_jax.annotate.safety import Roots
from rsisrefiner_jax.errors import UserError
from tests import annotating

# Takes the lease of a folder, says so, and waits.
HOLDER = """
import sys, time
from pathlib import Path
from rsisrefiner_jax.annotate.lease import Lease
held = Lease(Path(sys.argv[1], "project.lock"))
print("held", flush=True)
time.sleep(600)
"""
# Ends at once in the midst of taking over.
CRASHING = HOLDER.replace("import sys, time", "import os, sys, time").replace(
    "held =", "os.replace = lambda *_: os._exit(0)\nheld ="
)
# Holds a project where SQLite's locks are granted to everybody.
UNLOCKED = """
import sys, time
from pathlib import Path
from rsisrefiner_jax.annotate import journal
from rsisrefiner_jax.annotate.recorded_state import RecordedState
journal._has_locks = lambda folder: False
held = RecordedState(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""
NOBODY = {"host": "a", "machine": "b", "process": 1, "started": "2", "nonce": "3"}


def started(code, folder):
    """A process of the code above, once it has said its word."""
    command = [sys.executable, "-c", code, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


@pytest.fixture
def file(tmp_path):
    return tmp_path / "project.lock"


@pytest.fixture
def quick(monkeypatch):
    """Seconds are tenths."""
    monkeypatch.setattr(lease, "RENEWAL", 0.05)
    monkeypatch.setattr(lease, "WATCHED", 0.5)


@pytest.fixture
def unwatched(monkeypatch):
    """Fails where a file is watched although it is clear what it means."""
    monkeypatch.setattr(lease, "_watched", lambda *_: pytest.fail("it is watched"))


def left_by(file, **about):
    """A lease of somebody else, as its file says."""
    holder = lease.this_server()._asdict() | {"nonce": "1234", "count": 7} | about
    file.write_text(json.dumps(holder))
    return holder


def names(file):
    return sorted(path.name for path in file.parent.iterdir())


@pytest.mark.usefixtures("unwatched")
def test_one_holds_it_until_it_lets_go(file):
    first = Lease(file)
    with pytest.raises(UserError, match=rf"another server has .* process {os.getpid()}\)"):
        Lease(file)
    assert first.held
    first.release()
    assert names(file) == []
    with pytest.raises(Conflict, match="does not hold the project"):
        first.require_held()
    Lease(file).release()


@pytest.mark.usefixtures("unwatched")
def test_who_was_killed_is_followed_at_once(file):
    with started(HOLDER, file.parent) as process:
        with pytest.raises(UserError, match=f"process {process.pid}"):
            Lease(file)
        process.send_signal(signal.SIGSTOP)  # it is there all the same
        with pytest.raises(UserError, match=f"process {process.pid}"):
            Lease(file)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        following = Lease(file)  # nobody has asked yet how it ended
        assert following.held
        assert names(file) == ["project.lock"]
        following.release()


@pytest.mark.usefixtures("unwatched")
def test_another_process_of_the_same_number(file):
    left_by(file, started="1")
    Lease(file).release()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "about",
    [
        {"host": "elsewhere"},
        {"machine": "another boot, or container", "process": 2**22 + 1},
        {"started": ""},  # a system that cannot tell: it may be another process of this number
        {"host": "elsewhere", "process": -5, "started": "x" * 500},
    ],
)
def test_who_cannot_be_seen_is_watched(file, about):
    """Whatever the clocks say."""
    for when in (1, 2**33):
        holder = left_by(file, **about)
        os.utime(file, (when, when))
        taken = Lease(file)
        assert taken.held
        taken.release()
    done = threading.Event()

    def renew():
        while not done.wait(0.05):
            holder["count"] += 1
            file.write_text(json.dumps(holder))
            os.utime(file, (when, when))

    file.write_text(json.dumps(holder))
    thread = threading.Thread(target=renew)
    thread.start()
    with pytest.raises(UserError, match=f"{holder['host']}, process {holder['process']}"):
        Lease(file)
    done.set()
    thread.join()
    assert names(file) == ["project.lock"]


@pytest.mark.usefixtures("quick")
def test_a_holder_is_seen_from_another_machine(file, monkeypatch):
    here = Lease(file)
    monkeypatch.setattr(lease, "this_machine", lambda: "another")
    with pytest.raises(UserError, match="another server has this project open"):
        Lease(file)
    here.release()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"host": 1}', b"\xff" * 400, b"[" * 100_000]
    + [json.dumps(NOBODY | change).encode() for change in ({"process": 1e999}, {"nonce": "../x"})],
    ids=range(8),
)
def test_files_that_say_nothing(file, content):
    file.write_bytes(content)
    (file.parent / "project.lock.after-lock").write_bytes(content)
    (file.parent / "project.lock.after-after-lock").write_bytes(content)
    taken = Lease(file)
    assert names(file) == ["project.lock"]
    taken.release()


@pytest.mark.usefixtures("unwatched")
def test_a_crash_in_the_midst_of_taking_over(file):
    left_by(file, started="1")
    for count in (2, 3):  # the second one takes over from the first
        started(CRASHING, file.parent).wait()
        assert len(names(file)) == count
    taken = Lease(file)
    assert names(file) == ["project.lock"]
    taken.release()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("stale", [{}, {"started": "1"}, {"host": "elsewhere"}])
def test_of_several_at_the_same_moment_one_wins(file, stale):
    def take(_):
        together.wait()
        try:
            return Lease(file)
        except UserError:
            return None

    for _ in range(3 if "host" in stale else 20):
        if stale:
            left_by(file, **stale)
        together = threading.Barrier(6)
        with ThreadPoolExecutor(6) as pool:
            winners = [held for held in pool.map(take, range(6)) if held]
        assert len(winners) == 1
        assert winners[0].held
        winners[0].release()
        assert names(file) == []


def test_who_judged_long_ago_does_not_take_over(file, monkeypatch):
    """It stands still between seeing that a holder is gone and taking over from it."""
    left_by(file, started="1")
    made, others = Lease._made, []

    def late(self, path):
        if not others:
            others.append(None)
            others[:] = [Lease(file)]
        return made(self, path)

    monkeypatch.setattr(Lease, "_made", late)
    with pytest.raises(UserError, match="another server"):
        Lease(file)
    assert others[0].held
    assert names(file) == ["project.lock"]
    others[0].release()


def test_a_full_disk(file, monkeypatch):
    def full(self):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Lease, "_record", full)
    with pytest.raises(NoSpace, match="the disk is full"):
        Lease(file)
    assert names(file) == []


@pytest.mark.usefixtures("quick")
def test_who_was_taken_over_from_writes_no_more(tmp_path, monkeypatch):
    """A server stands still for long, and another machine takes over; no lock says otherwise."""
    monkeypatch.setattr(journal, "_has_locks", lambda folder: False)
    with monkeypatch.context() as still:
        still.setattr(lease, "RENEWAL", 1000)
        first = RecordedState(tmp_path)
    first.record("classes", {"classes": [{"id": 1, "name": "a", "colour": "#000000"}]})
    monkeypatch.setattr(lease, "this_machine", lambda: "another")
    second = RecordedState(tmp_path)
    assert second.state.classes[1].name == "a"
    second.record("classes", {"classes": [{"id": 1, "name": "b", "colour": "#000000"}]})
    with pytest.raises(Conflict, match=r"another server \(.*\) has taken over since; nothing"):
        first.record("classes", {"classes": [{"id": 1, "name": "c", "colour": "#000000"}]})
    assert first.state.classes[1].name == "a"
    first.journal.keep_result(1, {})
    first.journal.fold()
    first.close()
    second.record("classes", {"classes": [{"id": 1, "name": "d", "colour": "#000000"}]})
    assert second.journal.result(1) is None
    second.close()
    third = RecordedState(tmp_path)
    assert [event.kind for event in third.journal.events()] == ["project_created"] + ["classes"] * 3
    assert third.state.classes[1].name == "d"
    third.close()
    assert names(tmp_path / "x") == ["project.sqlite"]


def test_a_lease_that_was_deleted_is_lost(tmp_path):
    """Another server may have come and gone meanwhile."""
    held = RecordedState(tmp_path)
    (tmp_path / "project.lock").unlink()
    with pytest.raises(Conflict, match="is gone"):
        held.record("classes", {"classes": []})
    held.close()


def test_two_servers_without_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "_has_locks", lambda folder: False)
    with started(UNLOCKED, tmp_path) as process:
        with pytest.raises(UserError, match=f"another server has .* process {process.pid}"):
            RecordedState(tmp_path)
        process.kill()
    RecordedState(tmp_path).close()


def test_file_systems_without_locks(tmp_path, monkeypatch):
    import fcntl

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    for _ in range(2):
        held = RecordedState(tmp_path)
        held.record("classes", {"classes": []})
        with pytest.raises(UserError, match="another server"):
            RecordedState(tmp_path)
        held.close()


def test_another_program_has_the_journal_open(tmp_path):
    import sqlite3

    RecordedState(tmp_path).close()
    with sqlite3.connect(tmp_path / "project.sqlite") as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UserError, match="another program has this project open"):
            RecordedState(tmp_path)
        other.rollback()
    other.close()
    RecordedState(tmp_path).close()  # the lease was let go


def test_nothing_is_removed_from_under_a_server(tmp_path):
    first = Project(tmp_path / "project", Roots([tmp_path]))
    unfinished = [
        *("cache/a.tif.12.part", "cache/export-1/a.gpkg", "cache/import-1/unpacked/a"),
        *("cache/tmp12/a", "uploads/00/a.tif.12.part"),
    ]
    finished = ["cache/0123456789abcdef.tif", "uploads/01/a.tif"]
    for name in (*unfinished, *finished):
        (first.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (first.folder / name).write_text("")
    with pytest.raises(UserError, match="another server"):
        Project(tmp_path / "project", Roots([tmp_path]))
    assert all((first.folder / name).exists() for name in (*unfinished, *finished))
    first.close()
    again = Project(tmp_path / "project", Roots([tmp_path]))
    left = [path.relative_to(again.folder) for path in again.folder.glob("*/**/*")]
    assert sorted(map(str, left)) == sorted([*finished, "uploads/01"])
    again.close()


def test_what_cannot_be_opened_is_let_go(tmp_path, monkeypatch):
    def broken(self, event):
        raise KeyError(event.kind)

    RecordedState(tmp_path).close()
    monkeypatch.setattr(recorded_state.State, "apply", broken)
    with pytest.raises(KeyError):
        RecordedState(tmp_path)
    monkeypatch.undo()
    RecordedState(tmp_path).close()


def test_a_server_that_was_taken_over_from_says_so(tmp_path):
    annotating.raster(tmp_path)
    here = annotating.context(tmp_path)
    here.project.add_image(tmp_path / "scene.tif")
    client = annotating.client(here)
    left_by(tmp_path / "project" / "project.lock", host="elsewhere", process=12)
    reply = client.post("/api/sessions", json={"image_id": 1})
    assert reply.status_code == 409
    assert "another server (elsewhere, process 12) has taken over" in reply.json()["detail"]
    assert client.get("/api/sessions").json() == []
    here.worker.stop()
    here.project.close()
