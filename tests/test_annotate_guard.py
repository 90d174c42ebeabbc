"""Who may ask, from where and how much; what others get is a sentence and nothing else."""

import asyncio
import os
import re
import shutil
from collections import namedtuple

import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax.annotate import guard, safety
from rsisrefiner_jax.annotate.access import Access
from rsisrefiner_jax.annotate.app import make_app
from rsisrefiner_jax.annotate.receiving import Receiver
from rsisrefiner_jax.annotate.token_file import project_token
from rsisrefiner_jax.errors import UserError
from tests import annotating

TOKEN = "so secret that nobody guesses it"
NEEDED = {"detail": "a token is needed; open the address that the server printed at start"}
BASE = "https://hub.example/user/me/proxy/8000/"


@pytest.fixture
def data(tmp_path):
    return annotating.raster(tmp_path / "data").parent


@pytest.fixture
def here(data):
    opened = annotating.context(data)
    yield opened
    opened.project.close()


@pytest.fixture
def client(here):
    return annotating.client(here)


def bearer(token):
    return {"authorization": f"Bearer {token}"}


def refused(reply, words, status):
    assert reply.status_code == status, reply.text
    assert words in reply.json()["detail"]


# The token.


def test_no_route_answers_without_the_token(here):
    client = annotating.client(here, token=TOKEN)
    document = client.get("/api/openapi.json", headers=bearer(TOKEN)).json()
    asked = [("get", "/api/openapi.json"), ("get", "/api/none"), ("get", "/api")]
    for path, methods in document["paths"].items():
        asked += [(method, re.sub(r"\{\w+\}", "1", path)) for method in (*methods, "options")]
    assert len(asked) > 40
    for method, path in asked:
        for headers in ({}, bearer("wrong"), bearer(""), {"authorization": f"Basic {TOKEN}"}):
            for address in (path, f"{path}?token={TOKEN}"):
                reply = client.request(method, address, headers=headers)
                assert (reply.status_code, reply.json()) == (401, NEEDED), (method, path)
                assert reply.headers["cache-control"] == "no-store"
        assert client.request(method, path, headers=bearer(TOKEN)).status_code != 401
    assert here.project.images() == []
    assert client.get("/").status_code != 401


def test_the_token_in_a_header_that_proxies_leave_alone(here):
    client = annotating.client(here, token=TOKEN)
    headers = {"x-annotator-token": TOKEN, "authorization": "Basic of-the-proxy"}
    assert client.get("/api/project", headers=headers).status_code == 200
    assert client.get("/api/project", headers={"x-annotator-token": "x"}).json() == NEEDED


def test_the_projects_token_file(tmp_path):
    file = tmp_path / "token"
    token = project_token(tmp_path)
    assert re.fullmatch(r"[\w-]{34,}", token, re.ASCII)
    assert file.stat().st_mode & 0o777 == 0o600
    assert (project_token(tmp_path), file.read_text()) == (token, token)


def spoil_nothing_kept(file):
    file.write_text("")


def spoil_weak(file):
    file.write_text("x")


def spoil_seen_by_others(file):
    file.chmod(0o640)


def spoil_copied(file):
    """As when somebody sends a project whose token they know."""
    copy = shutil.copy2(file, file.parent / "copy")
    os.replace(copy, file)


def spoil_link(file):
    file.rename(file.parent / "elsewhere")
    file.symlink_to(file.parent / "elsewhere")


def spoil_pipe(file):
    file.unlink()
    os.mkfifo(file, 0o600)


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_nothing_kept,
        spoil_weak,
        spoil_seen_by_others,
        spoil_copied,
        spoil_link,
        spoil_pipe,
    ],
)
def test_token_files_that_are_not_believed(tmp_path, spoil):
    token, file = project_token(tmp_path), tmp_path / "token"
    spoil(file)
    other = project_token(tmp_path)
    assert other != token
    assert file.stat().st_mode & 0o777 == 0o600
    assert not file.is_symlink()
    assert project_token(tmp_path) == file.read_text() == other


def test_no_token_is_kept_where_everybody_reads_everything(tmp_path, monkeypatch):
    from rsisrefiner_jax.annotate import token_file

    monkeypatch.setattr(token_file, "_private", lambda descriptor: False)
    assert project_token(tmp_path) != project_token(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_token_that_cannot_be_written(tmp_path):
    (tmp_path / "token").mkdir()
    with pytest.raises(UserError, match="token: cannot be written"):
        project_token(tmp_path)


# Other sites, and proxies.


def test_names_of_other_hosts_and_pages(here):
    client = annotating.client(here)
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.nip.io", ""):
        refused(client.get("/api/project", headers={"host": host}), "not its own", 421)
    for host in ("localhost:8000", "127.0.0.1:1", "[::1]:8000", "LOCALHOST"):
        assert client.get("/api/project", headers={"host": host}).status_code == 200
    for origin in ("http://evil.example", "null", "http://localhost:1", "http://[", "localhost"):
        refused(client.get("/api/project", headers={"origin": origin}), "other sites", 403)
    assert client.get("/api/project", headers={"origin": "http://localhost"}).status_code == 200


@pytest.mark.parametrize("token", [None, TOKEN])
def test_other_sites_trigger_nothing(here, token):
    """Links, images and forms of theirs carry no Origin, or none that tells."""
    client = annotating.client(here, token=token)
    client.headers.update(bearer(TOKEN))
    client.post("/api/images", json={"path": "data/scene.tif"})
    export = "/api/images/1/export?format=geojson"
    for site in ("cross-site", "same-site", "anything"):
        for path in (export, "/api/project"):
            refused(client.get(path, headers={"sec-fetch-site": site}), "other sites", 403)
    for site in ("same-origin", "none"):
        assert client.get(export, headers={"sec-fetch-site": site}).status_code == 200
    assert client.get(export).status_code == 200
    assert client.get("/", headers={"sec-fetch-site": "cross-site"}).status_code != 403


def through(here, access, port=8000):
    app = make_app(here, access.hosts(port), TOKEN, access.origins(port), access.prefix(port))
    client = annotating.TestClient(app, base_url="http://localhost", follow_redirects=False)
    client.headers.update(bearer(TOKEN))
    return client


def test_what_proxies_make_of_names_and_paths(here):
    client = through(here, Access(base_url=BASE))
    own, kept = "https://hub.example", {"localhost:8000", "127.0.0.1:8000", "hub.example"}
    for path in ("/api/project", "/user/me/proxy/8000/api/project"):
        for host in kept:
            for origin in (own, f"http://{host}"):
                reply = client.get(path, headers={"host": host, "origin": origin})
                assert reply.status_code == 200, (path, host, origin)
        for origin in ("https://evil.example", "http://hub.example", f"{own}:1", f"{own}.evil"):
            reply = client.get(path, headers={"host": "localhost", "origin": origin})
            refused(reply, "--base-url", 403)
        refused(client.get(path, headers={"host": "evil.example"}), "--base-url", 421)
        assert client.get(path, headers=bearer("wrong")).json() == NEEDED
    assert client.get("/user/me/proxy/8000/").status_code == client.get("/").status_code
    slash = client.get("/user/me/proxy/8000")
    assert (slash.status_code, slash.headers["location"]) == (307, "/user/me/proxy/8000/")
    assert client.get("/user/other/proxy/8000/api/project").status_code == 404


def test_an_address_with_a_slash_too_many_is_not_sent_elsewhere(here):
    """An absolute address made from the Host header would lead past the proxy."""
    assert through(here, Access(base_url=BASE)).get("/api/project/").status_code == 404


def test_addresses_of_the_command_line():
    plain = Access()
    assert plain.address(8000, "a-b") == "http://localhost:8000/#token=a-b"
    assert plain.address(8000, None) == "http://localhost:8000/"
    assert (plain.origins(1), plain.prefix(1)) == ((), "/")
    assert plain.hosts(1) == guard.LOOPBACK
    assert Access(host="::").address(1, "t/&") == "http://[::]:1/#token=t%2F%26"
    hub = Access(base_url=BASE.rstrip("/"), allowed=("HTTPS://Other.Example:443/",))
    assert hub.address(8000, "t") == f"{BASE}#token=t"
    assert hub.origins(8000) == ("https://other.example", "https://hub.example")
    assert hub.hosts(8000) == (*guard.LOOPBACK, "other.example", "hub.example")
    ide = Access(base_url="https://ide.example:8443/proxy/{{port}}/")
    assert ide.address(43210, "t") == "https://ide.example:8443/proxy/43210/#token=t"
    assert ide.prefix(43210) == "/proxy/43210/"
    assert ide.origins(43210) == ("https://ide.example:8443",)
    assert Access(base_url="https://h/user/me%40there/").prefix(1) == "/user/me@there/"
    assert Access(host="0.0.0.0", base_url=BASE).hosts(1) == ()


def test_headers(client):
    policy = client.get("/api/project").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert client.get("/nothing").headers["x-content-type-options"] == "nosniff"
    assert client.get("/docs").status_code == 404
    assert client.get("/../app.py").status_code == 404
    assert client.get("/%2e%2e/app.py").status_code == 404


# How much.


def test_requests_that_are_too_long(client, monkeypatch):
    monkeypatch.setattr(guard, "BODY_LIMIT", 1000)
    refused(client.post("/api/predict", json={"image": "x" * 2000}), "larger than", 413)
    endless = (b"x" * 400 for _ in range(10))
    refused(client.post("/api/predict", content=endless), "larger than", 413)
    form = {"image": ("x.png", b"x" * 2000)}  # only files may be longer
    refused(client.post("/api/predict", files=form), "larger than", 413)
    assert client.get("/api/project").status_code == 200


def upload(client, content, path="/api/images", name="up.tif"):
    return client.post(path, files={"file": (name, content)})


def kept_files(here):
    return [path for path in here.project.uploads.rglob("*") if path.is_file()]


def test_the_quota_of_uploads(data, here):
    tif = (data / "scene.tif").read_bytes()
    quota = 2 * len(tif) + 2000  # a form is a little longer than its file
    here.receiver = Receiver(here.project.cache, here.project.uploads, quota)
    client = annotating.client(here)
    for _ in range(2):
        assert upload(client, tif).status_code == 200
    refused(upload(client, tif), "--upload-quota", 507)
    form = form_of(tif)
    headers = {"content-type": form[0]}
    cut = (form[1][at : at + 1000] for at in range(0, len(form[1]), 1000))  # without a length
    refused(client.post("/api/images", content=cut, headers=headers), "--upload-quota", 507)
    assert len(kept_files(here)) == 2
    # Objects are not kept as files.
    wrong = upload(client, bytes(5 * len(tif)), "/api/images/1/import")
    assert wrong.status_code == 422
    shutil.rmtree(kept_files(here)[0].parent)
    assert upload(client, tif).status_code == 200


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
        refused(upload(client, tif, path), "1.0 GiB stay free", 507)
    left(100 << 20, 4 << 30)
    refused(upload(client, tif), "205 MiB stay free", 507)
    left(safety.DISK_RESERVE + 4000)
    kind, body = form_of(tif)
    cut = (body[at : at + 1000] for at in range(0, len(body), 1000))
    headers = {"content-type": kind}
    refused(client.post("/api/images", content=cut, headers=headers), "stay free", 507)
    left(safety.DISK_RESERVE + 2 * len(tif) + 2000)
    assert upload(client, tif).status_code == 200
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
    assert upload(annotating.client(here), tif).status_code == 200  # there is room again


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
    assert upload(annotating.client(here), tif).status_code == 200
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
    assert upload(client, b"x", "/api/images/9/import").status_code == 404
