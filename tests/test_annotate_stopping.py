"""The server ends as it is told to: the project is closed, and its file alone is all of it."""

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax.annotate import stopping, worker
from rsisrefiner_jax.annotate.__main__ import main
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.safety import Roots
from rsisrefiner_jax.annotate.worker import Worker
from rsisrefiner_jax.errors import UserError
from tests import annotating

SESSION = b'{"image_id": 1}'


@pytest.fixture(autouse=True)
def heeded():
    """Tests, and what they start, heed signals that nohup or a shell in the background ignores."""
    usual = {signal.SIGHUP: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Server:
    """The command line on a raster, with no model. token: of the address that it prints."""

    def __init__(self, folder, before=""):
        annotating.raster(folder)
        self.project = folder / "scene.annotations"
        arguments = ["x", str(folder / "scene.tif"), "--checkpoint", str(folder), "--port", "0"]
        code = f"import runpy, signal, sys; sys.argv = {arguments}; {before}\n"
        code += "runpy.run_module('rsisrefiner_jax.annotate', run_name='__main__')"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for line in self.process.stdout:
            if line.startswith("open "):
                break
        address, _, self.token = line.removeprefix("open ").strip().partition("token=")
        self.port = int(address.split(":")[2].partition("/")[0])

    def post(self, path, content):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api{path}",
            content,
            {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"},
        )
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    def end(self, *signals):
        for number in signals:
            self.process.send_signal(number)
            time.sleep(0.05)
        _, said = self.process.communicate(timeout=60)
        assert "Traceback" not in said
        return self.process.returncode


def whole(file, folder):
    """The sessions that a copy of a project's file alone has."""
    folder.mkdir()
    shutil.copy(file, folder)
    project = Project(folder, Roots([folder]))
    sessions = project.sessions.all()
    project.close()
    return len(sessions)


@pytest.mark.parametrize(
    ("signals", "status"),
    [
        ([signal.SIGTERM], 0),
        ([signal.SIGHUP], 0),
        ([signal.SIGINT], 130),
        ([signal.SIGTERM] * 3, 0),
        ([signal.SIGHUP, signal.SIGTERM, signal.SIGHUP], 0),
        ([signal.SIGINT] * 3, 130),
    ],
    ids=str,
)
def test_signals(tmp_path, signals, status):
    server = Server(tmp_path / "data")
    for _ in range(3):
        server.post("/sessions", SESSION)
    assert server.end(*signals) == status
    left = sorted(path.name for path in server.project.iterdir() if path.is_file())
    assert [name for name in left if name.startswith("project.")] == ["project.sqlite"]
    assert whole(server.project / "project.sqlite", tmp_path / "alone") == 3


def test_a_terminal_that_may_be_closed(tmp_path):
    """As by nohup."""
    server = Server(tmp_path, "signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    server.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    server.post("/sessions", SESSION)
    assert server.end(signal.SIGTERM) == 0


def test_clients_that_hang(tmp_path):
    server = Server(tmp_path / "data")
    server.post("/sessions", SESSION)
    head = f"POST /api/sessions HTTP/1.1\r\nHost: localhost:{server.port}\r\n"
    head += f"Authorization: Bearer {server.token}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as idle:
        with socket.create_connection(("127.0.0.1", server.port)) as half:
            half.sendall(f"{head}Content-Length: 15\r\n\r\n".encode() + SESSION[:5])
            time.sleep(0.2)
            assert server.end(signal.SIGTERM) == 0
            assert half.recv(100).startswith(b"HTTP/1.1 503")
        assert idle.recv(1) == b""
    assert whole(server.project / "project.sqlite", tmp_path / "alone") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_while_it_starts(tmp_path, monkeypatch, number):
    """Whenever: the project is closed."""
    image = annotating.raster(tmp_path)
    taken = Project.add_image

    def stopped(self, file):
        taken(self, file)
        signal.raise_signal(number)

    monkeypatch.setattr(Project, "add_image", stopped)
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as end:
        main([str(image), "--checkpoint", str(tmp_path)])
    assert end.value.code == 0
    assert signal.getsignal(number) == before
    left = [path.name for path in (tmp_path / "scene.annotations").glob("project*")]
    assert left == ["project.sqlite"]


def test_a_start_that_fails_lets_the_project_go(tmp_path):
    annotating.raster(tmp_path)
    (tmp_path / "text.tif").write_text("hello")
    for _ in range(2):
        with pytest.raises(UserError, match="broken or no image"):
            main([str(tmp_path / "text.tif"), "--checkpoint", str(tmp_path)])


class Loaded:
    """A model that is ready at once."""

    def warm_up(self):
        yield 0


def test_the_job_at_hand_ends_and_no_other_begins():
    begun, go_on = threading.Event(), threading.Event()

    def job(_):
        begun.set()
        go_on.wait()
        return "done"

    here = Worker(Loaded)
    first, second = here.submit(job), here.submit(job)
    begun.wait()
    here.refuse()
    assert second.cancelled()
    assert here.submit(job).cancelled()
    go_on.set()
    here.stop()
    assert first.result() == "done"


def test_jobs_of_a_model_that_is_being_loaded():
    loading = threading.Event()
    here = Worker(lambda: loading.wait() and Loaded())
    waiting = here.submit(lambda _: None)
    here.stop()
    assert waiting.cancelled()
    loading.set()


def test_stopped_at_the_moment_at_which_it_is_loaded(monkeypatch):
    """Before the thread runs that compiles what larger windows need."""
    stopped = []

    class Late(threading.Thread):
        def start(self):
            if self.name != "model":
                here.stop()
                stopped.append(self)
            super().start()

    loading = threading.Event()
    monkeypatch.setattr(threading, "Thread", Late)
    here = Worker(lambda: loading.wait() and Loaded())
    waiting = here.submit(lambda _: None)
    loading.set()
    here._thread.join()
    assert stopped
    assert here.error is None
    assert waiting.cancelled()


def test_a_job_that_does_not_end(monkeypatch):
    monkeypatch.setattr(worker, "PATIENCE", 0.05)
    begun, never = threading.Event(), threading.Event()
    here = Worker(Loaded)
    here.submit(lambda _: begun.set() or never.wait())
    begun.wait()
    here.stop()
    never.set()


def test_requests_that_are_cut_off_are_answered():
    """As by a proxy whose server is away: the page asks again."""
    sent = []

    async def send(message):
        sent.append(message)

    async def run(app):
        task = asyncio.create_task(stopping.answered(app)({"type": "http"}, None, send))
        await asyncio.sleep(0)
        task.cancel()
        await task

    async def waits(scope, receive, send):
        await asyncio.sleep(600)

    async def answers(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(600)

    asyncio.run(run(waits))
    assert sent[0]["status"] == 503
    assert b"{" not in sent[1]["body"]
    sent.clear()
    asyncio.run(run(answers))
    assert [message.get("status") for message in sent] == [200]
