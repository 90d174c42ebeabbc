"""The command line, and the server as a process."""

import json
import subprocess
import sys
import urllib.request

import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax.annotate.__main__ import main, project_folder
from rsisrefiner_jax.checkpoint import save_weights
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
    for arguments, words in [
        (["--checkpoint", str(tmp_path / "none")], "no checkpoint there"),
        ([*here, str(tmp_path / "none.tif")], "no such file or folder"),
        ([*here, "--root", image], "not a folder"),
        ([*here, "--port", "70000"], "must lie in 0..65535"),
        ([*here, str(tmp_path / "text.tif")], "broken or no image"),
        ([*here, image, "--project", image], "cannot be written"),
        ([*here, image, "--host", "203.0.113.7"], "cannot be listened on"),
    ]:
        with pytest.raises(UserError, match=words):
            main(arguments)


def test_where_work_is_kept(tmp_path):
    image = annotating.raster(tmp_path)
    assert project_folder([image]) == tmp_path / "scene.annotations"
    assert project_folder([tmp_path]) == tmp_path / "annotations"
    assert str(project_folder([image, image])) == str(project_folder([])) == "annotations"


def test_a_server_that_is_seen_by_others_has_a_token(tmp_path):
    """It answers before the model is there, and tells why that never comes."""
    annotating.raster(tmp_path / "data")
    command = [sys.executable, "-m", "rsisrefiner_jax.annotate", str(tmp_path / "data")]
    command += ["--checkpoint", str(tmp_path), "--port", "0", "--host", "0.0.0.0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline() for _ in range(2)]
            address = lines[1].removeprefix("open ").strip().replace("0.0.0.0", "127.0.0.1")
            assert "/?token=" in address
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(address.partition("?")[0] + "api/project")
            while True:
                with urllib.request.urlopen(address.replace("/?", "/api/project?")) as reply:
                    found = json.load(reply)
                if found["model"]["error"]:
                    break
        finally:
            process.terminate()
    assert "holds no checkpoint" in found["model"]["error"]
    assert [image["name"] for image in found["images"]] == ["scene.tif"]


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
