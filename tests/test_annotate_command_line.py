"""The command line, and the server as a process."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax.annotate.__main__ import main, project_folder
from rsisrefiner_jax.checkpoint.runs import save_weights
from rsisrefiner_jax.errors import UserError
from tests import annotating, tiny


def test_help_imports_nothing_heavy():
    code = (
        "import runpy, sys; sys.argv = ['x', '--help']\n"
        "try: runpy.run_module('rsisrefiner_jax.annotate', run_name='__main__')\n"
        "except SystemExit as e: assert e.code == 0\n"
        "assert not {'jax', 'numpy', 'fastapi', 'rasterio'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_what_cannot_be_started(tmp_path):
    image = str(annotating.raster(tmp_path))
    (tmp_path / "text.tif").write_text("hello")
    here = ["--checkpoint", str(tmp_path)]

    def private(text, mode=0o600):
        file = tmp_path / text
        file.write_text(text)
        file.chmod(mode)
        return file

    for arguments, words in [
        (["--checkpoint", str(tmp_path / "none")], "no checkpoint there"),
        ([*here, str(tmp_path / "none.tif")], "no such file or folder"),
        ([*here, "--root", image], "not a folder"),
        ([*here, "--port", "70000"], "must lie in 0..65535"),
        ([*here, str(tmp_path / "text.tif")], "broken or no image"),
        ([*here, image, "--project", image], "cannot be written"),
        ([*here, image, "--host", "203.0.113.7"], "cannot be listened on"),
        ([*here, image, "--base-url", "hub.example/me"], "write it as https://host"),
        ([*here, image, "--base-url", "https://hub.example:port/"], "write it as https://host"),
        ([*here, image, "--allow-origin", "null"], "write it as https://host"),
        ([*here, image, "--upload-quota", "-1"], "must not be < 0"),
        ([*here, image, "--token-file", str(tmp_path / "none")], "cannot be read as a token"),
        ([*here, image, "--token-file", image], "cannot be read as a token"),
        ([*here, image, "--token-file", str(private("short"))], "at least 16"),
        ([*here, image, "--token-file", str(private("with a blank in it"))], "no blanks"),
        ([*here, image, "--token-file", str(private("seen-by-all-1234567", 0o644))], "chmod 600"),
    ]:
        with pytest.raises(UserError, match=words):
            main(arguments)


def test_where_work_is_kept(tmp_path):
    image = annotating.raster(tmp_path)
    assert project_folder([image]) == tmp_path / "scene.annotations"
    assert project_folder([tmp_path]) == tmp_path / "annotations"
    assert str(project_folder([image, image])) == str(project_folder([])) == "annotations"


def api(address, path):
    """What a server replies, asked with the token of the address that it printed."""
    site, _, token = address.partition("#token=")
    given = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(f"{site}api/{path}", headers=given)) as got:
        return json.load(got)


@contextlib.contextmanager
def started(folder, *options, lines=2, env=None):
    """What a server without a model prints, and its process."""
    command = [sys.executable, "-m", "rsisrefiner_jax.annotate", str(folder), "--port", "0"]
    command += ["--checkpoint", str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield [process.stdout.readline().strip() for _ in range(lines)], process
        finally:
            process.kill()


def test_it_answers_before_the_model_is_there_and_tells_why_that_never_comes(tmp_path):
    annotating.raster(tmp_path)
    with started(tmp_path) as (lines, _):
        address = lines[1].removeprefix("open ")
        while not (found := api(address, "project"))["model"]["error"]:
            time.sleep(0.1)  # not in its way
    assert "holds no checkpoint" in found["model"]["error"]
    assert [image["name"] for image in found["images"]] == ["scene.tif"]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_every_server_has_a_token_that_others_do_not_see(tmp_path, host):
    annotating.raster(tmp_path)
    with started(tmp_path, "--host", host) as (lines, process):
        address = lines[1].removeprefix("open ").replace("0.0.0.0", "127.0.0.1")
        site, _, token = address.partition("#token=")
        assert len(token) >= 32
        assert "?" not in site
        with pytest.raises(urllib.error.HTTPError, match="401"):
            api(site, "project")
        assert api(address, "project")["images"]
        seen = Path(f"/proc/{process.pid}/cmdline")
        assert not seen.exists() or token.encode() not in seen.read_bytes()
    file = tmp_path / "annotations" / "token"
    assert file.read_text() == token
    assert file.stat().st_mode & 0o777 == 0o600
    with started(tmp_path, "--host", host) as (lines, _):  # pages still open go on
        assert lines[1].endswith(f"#token={token}")


def test_tokens_that_are_given_or_not_wanted(tmp_path):
    annotating.raster(tmp_path / "data")
    file = tmp_path / "mine"
    file.write_text("of-a-file-1234567\n")
    file.chmod(0o600)
    env = {**os.environ, "RSISREFINER_TOKEN": "of-the-environment"}
    for options, ending in [
        (["--token-file", str(file)], "/#token=of-a-file-1234567"),
        ([], "/#token=of-the-environment"),
    ]:
        with started(tmp_path / "data", *options, env=env) as (lines, _):
            assert lines[1].endswith(ending)
            assert api(lines[1].removeprefix("open "), "project")["images"]
    with started(tmp_path / "data", "--no-token", lines=3, env=env) as (lines, _):
        assert "whoever reaches this server may use it" in lines[1]
        assert lines[2].endswith("/")
        assert api(lines[2].removeprefix("open "), "project")["images"]
    assert not (tmp_path / "data" / "annotations" / "token").exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "term", "full"])
def test_it_survives(tmp_path, how):
    """As benchmarks/annotate.py shows at length: with a real model, in the midst of its work."""
    values = tiny.variables()
    save_weights(tmp_path / "net", tiny.CONFIG, values["params"], values["batch_stats"])
    command = [sys.executable, "-m", "benchmarks.annotate", "kill", "--how", how, "--checkpoint"]
    command += [str(tmp_path / "net"), "--clicks", "30", "--times", "4"]
    done = subprocess.run(command, capture_output=True, text=True)
    if "run it as root" in done.stderr:
        pytest.skip("a small file system cannot be mounted")
    assert done.returncode == 0, done.stdout + done.stderr
