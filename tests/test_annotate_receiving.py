"""Files that clients send: how many at a time, how much of the disk, and where they lie."""

import asyncio
import os
import shutil
from collections import namedtuple

import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax.annotate import safety
from rsisrefiner_jax.annotate.app import make_app
from rsisrefiner_jax.annotate.receiving import Receiver
from tests import annotating
from tests.annotating import refused, upload


def kept_files(here):
    return [path for path in here.project.uploads.rglob("*") if path.is_file()]


def test_the_quota_of_uploads(data, here):
    tif = (data / "scene.tif").read_bytes()
    quota = 2 * len(tif) + 2000  # a form is a little longer than its file
    here.receiver = Receiver(here.project.cache, here.project.uploads, quota)
    client = annotating.client(here)
    for _ in range(2):
        assert upload(client, "up.tif", tif).status_code == 200
    refused(upload(client, "up.tif", tif), "--upload-quota", 507)
    form = form_of(tif)
    headers = {"content-type": form[0]}
    cut = (form[1][at : at + 1000] for at in range(0, len(form[1]), 1000))  # without a length
    refused(client.post("/api/images", content=cut, headers=headers), "--upload-quota", 507)
    assert len(kept_files(here)) == 2
    # Objects are not kept as files.
    wrong = upload(client, "up.tif", bytes(5 * len(tif)), "/api/images/1/import")
    assert wrong.status_code == 422
    shutil.rmtree(kept_files(here)[0].parent)
    assert upload(client, "up.tif", tif).status_code == 200


def form_of(content):
    """Content type and body of a multipart form with one file."""
    head = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="up.tif"\r\n\r\n'
    return "multipart/form-data; boundary=edge", head + content + b"\r\n--edge--\r\n"


def test_the_reserve_of_the_disk(data, here, monkeypatch):
    usage = namedtuple("usage", "total used free")
    tif = (data / "scene.tif").read_bytes()
    client = annotating.client(here)
    client.post("/api/images", json={"path": "data/scene.tif"})

    def left(free, total=1 << 40):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(total, total - free, free))

    left(safety.DISK_RESERVE + len(tif))  # it is needed twice: as it comes, and as it is kept
    for path in ("/api/images", "/api/images/1/import"):
        refused(upload(client, "up.tif", tif, path), "1.0 GiB stay free", 507)
    left(100 << 20, 4 << 30)
    refused(upload(client, "up.tif", tif), "205 MiB stay free", 507)
    left(safety.DISK_RESERVE + 4000)
    kind, body = form_of(tif)
    cut = (body[at : at + 1000] for at in range(0, len(body), 1000))
    headers = {"content-type": kind}
    refused(client.post("/api/images", content=cut, headers=headers), "stay free", 507)
    left(safety.DISK_RESERVE + 2 * len(tif) + 2000)
    assert upload(client, "up.tif", tif).status_code == 200
    assert len(kept_files(here)) == 1
    assert os.listdir(here.project.cache) == []


async def asked(app, receive, path="/api/images"):
    """The status and headers of the reply to a form that `receive` hands over."""
    replies = []
    headers = [(b"host", b"localhost"), (b"content-type", form_of(b"")[0].encode())]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b""}
    scope |= {"headers": headers, "http_version": "1.1", "scheme": "http", "root_path": ""}

    async def send(message):
        replies.append(message)

    await app(scope | {"server": ("localhost", 80)}, receive, send)
    return replies[0]["status"], dict(replies[0]["headers"]), replies[1]["body"].decode()


def parts(content, go_on=None, begun=None):
    """Hands over a form in two messages; the second when `go_on` is set."""
    body = form_of(content)[1]
    messages = [
        {"type": "http.request", "body": body[:200], "more_body": True},
        {"type": "http.request", "body": body[200:], "more_body": False},
    ]

    async def receive():
        if len(messages) == 1:
            if begun:
                begun.set()
            await (go_on or asyncio.Event()).wait()
        return messages.pop(0)

    return receive


def test_few_files_are_received_at_a_time(data, here):
    app = make_app(here)
    tif = (data / "scene.tif").read_bytes()

    async def three():
        go_on, begun = asyncio.Event(), [asyncio.Event(), asyncio.Event()]
        first = [asyncio.create_task(asked(app, parts(tif, go_on, one))) for one in begun]
        for one in begun:
            await one.wait()
        third = await asked(app, parts(tif), "/api/images/1/import")
        go_on.set()
        return await asyncio.gather(*first), third

    here.project.add_image(data / "scene.tif")
    first, (status, headers, body) = asyncio.run(three())
    assert [reply[0] for reply in first] == [200, 200]
    assert (status, headers[b"retry-after"]) == (503, b"5")
    assert "2 files are being received already" in body
    assert upload(annotating.client(here), "up.tif", tif).status_code == 200  # there is room again


def test_a_file_that_stops_coming_makes_room(data, here, monkeypatch):
    monkeypatch.setattr(safety, "RECEIVE_PATIENCE", 0.05)
    app = make_app(here)
    status, _, body = asyncio.run(asked(app, parts(b"x" * 1000)))
    assert status == 422
    assert "stopped coming" in body
    assert here.receiver._coming == []


def test_files_lie_in_the_project_while_they_are_received(data, here, monkeypatch):
    """The system's folder for temporary files may be small, or memory."""
    monkeypatch.setattr("tempfile.tempdir", str(data / "none"))
    where = []
    add = here.project.add_upload

    def seen(name, content):
        where.append(os.readlink(f"/proc/self/fd/{content.fileno()}"))
        return add(name, content)

    monkeypatch.setattr(here.project, "add_upload", seen)
    tif = (data / "scene.tif").read_bytes() + bytes(3 << 20)
    assert upload(annotating.client(here), "up.tif", tif).status_code == 200
    assert where[0].startswith(str(here.project.cache.resolve()))
    assert where[0].endswith("(deleted)")  # so it goes when the process does
    assert os.listdir(here.project.cache) == []


def test_forms_that_are_none(client):
    client.post("/api/images", json={"path": "data/scene.tif"})
    kind, whole = form_of(b"x" * 100)
    for path in ("/api/images", "/api/images/1/import"):
        for body, given in [
            (b"x", "multipart/form-data"),
            (b"x", kind),
            (b"--edge--\r\n", kind),
            (whole[:-20], kind),
            (whole.replace(b'"file"', b'"other"'), kind),
            (whole.replace(b'; filename="up.tif"', b""), kind),
            (whole[:-10] + b"\r\n" + whole, kind),
        ]:
            reply = client.post(path, content=body, headers={"content-type": given})
            refused(reply, 'in a field called "file"', 422)
    for given in ({"json": {"file": "x"}}, {"content": b"x"}, {"data": {"file": "x"}}):
        reply = client.post("/api/images/1/import", **given)
        refused(reply, 'in a field called "file"', 422)
    reply = client.post("/api/images/1/import", files={"file": b"x"}, data={"kind": "other"})
    refused(reply, "ids, classes, binary", 422)
    assert upload(client, "up.tif", b"x", "/api/images/9/import").status_code == 404
