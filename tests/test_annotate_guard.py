"""Who may ask, from where and how much; what others get is a sentence and nothing else."""

import os
import re
import shutil

import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax.annotate import guard
from rsisrefiner_jax.annotate.access import Access
from rsisrefiner_jax.annotate.app import make_app
from rsisrefiner_jax.annotate.token_file import project_token
from rsisrefiner_jax.errors import UserError
from tests import annotating
from tests.annotating import refused

TOKEN = "so secret that nobody guesses it"
NEEDED = {"detail": "a token is needed; open the address that the server printed at start"}
BASE = "https://hub.example/user/me/proxy/8000/"


def bearer(token):
    return {"authorization": f"Bearer {token}"}


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
