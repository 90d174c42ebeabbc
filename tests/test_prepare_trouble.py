"""Broken files, wrong folders, interrupted runs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rsisrefiner_jax.data.builders.preparation import prepare
from rsisrefiner_jax.data.prepared import PreparedSource
from rsisrefiner_jax.errors import UserError
from tests import official_layouts

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    folder = tmp_path / "prepared"
    monkeypatch.setenv("RSISREFINER_DATA", str(folder))
    return folder


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def test_broken_pictures_of_annotations_are_left_out(source):
    images, _ = official_layouts.nwpu(source, count=5)
    cut(images / "001.jpg", 0.6)
    cut(images / "002.jpg", 0)
    official_layouts.save(images / "003.jpg", official_layouts.picture(0, 9, 9))
    (images / "004.jpg").unlink()
    about = prepare("nwpu", str(source))
    assert [scene.name for scene in PreparedSource("nwpu")] == ["005.jpg"]
    (sentence,) = about["left_out_before"]
    assert sentence.startswith("4 pictures (")
    assert "missing-file 1" in sentence
    assert "8 objects" in sentence


def test_masks_that_are_broken_missing_or_of_another_size(source, capsys):
    official_layouts.whu(source)
    for split in ("train", "val", "test"):
        for name in ("a", "b", "c"):
            official_layouts.save(
                source / split / "image" / f"{name}.tif", official_layouts.picture(0, 30, 30)
            )
    cut(source / "train" / "label" / "0.tif", 0.5)
    official_layouts.save(source / "train" / "label" / "a.tif", np.ones((30, 31), np.uint8))
    official_layouts.save(source / "train" / "label" / "b.tif", np.ones((30, 30), np.uint8))
    official_layouts.save(source / "train" / "label" / "lonely.tif", np.ones((30, 30), np.uint8))
    about = prepare("whu_building", str(source))
    assert [scene.name for scene in PreparedSource("whu_building", "train")] == ["b"]
    train = [sentence for sentence in about["left_out"] if "/train/" in sentence]
    assert len(train) == 4
    assert "30 x 31" in train[0]
    assert "c.tif: there is no mask" in train[1]
    assert "lonely.tif: there is no picture" in train[2]
    assert "0.tif" in train[3]
    shown = capsys.readouterr().err
    assert all(f"left out: {sentence}" in shown for sentence in about["left_out"])


def test_messages_name_members_of_archives_as_the_person_knows_them(source):
    folder = source / "x"
    official_layouts.whu(folder)
    cut(folder / "train" / "image" / "0.tif", 0.3)
    official_layouts.pack(folder, source / "whu.zip")
    about = prepare("whu_building", str(source))
    (sentence,) = about["left_out"]
    assert f"{source}/whu.zip/train/image/0.tif" in sentence


def test_folders_that_do_not_fit(source):
    with pytest.raises(UserError, match=r"no such folder"):
        prepare("isaid", str(source / "nowhere"))
    with pytest.raises(UserError, match=r"no P0000.png.* Accepted: .*Instance_masks"):
        prepare("isaid", str(source))
    (source / "NWPU VHR-10 dataset.rar").write_bytes(b"Rar!")
    with pytest.raises(UserError, match=r"unpack NWPU VHR-10 dataset.rar first"):
        prepare("nwpu", str(source))
    (source / "Train.zip").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match=r"Train.zip: not a whole zip file"):
        prepare("loveda_urban", str(source))


def test_one_kind_of_file_missing(source):
    official_layouts.nwpu(source)
    for path in (source / "NWPU VHR-10_dataset_coco").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"no annotations.json below"):
        prepare("nwpu", str(source))


def test_names(source):
    with pytest.raises(UserError, match=r"no data set 'isiad'.*did you mean 'isaid'"):
        prepare("isiad", str(source))
    with pytest.raises(UserError, match=r"with --name"):
        prepare("coco", str(source))
    with pytest.raises(UserError, match=r"--name Mine: take small letters"):
        prepare("whu_building", str(source), called="Mine")
    with pytest.raises(UserError, match=r"--name coco"):
        prepare("coco", str(source), called="coco")


def test_no_object_at_all(source):
    official_layouts.save(source / "test" / "image" / "a.tif", official_layouts.picture(0, 9, 9))
    official_layouts.save(source / "test" / "label" / "a.tif", np.zeros((9, 9), np.uint8))
    with pytest.raises(UserError, match=r"not a single object in 1 pictures"):
        prepare("whu_building", str(source))


def test_preparing_again(source, root):
    official_layouts.whu(source)
    about = prepare("whu_building", str(source))
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert prepare("whu_building", str(source)) == about
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    official_layouts.save(source / "test" / "image" / "2.tif", official_layouts.picture(0, 64, 64))
    with pytest.raises(UserError, match=r"made from other files"):
        prepare("whu_building", str(source))
    assert not list(root.glob(".*"))


def test_nothing_is_written_elsewhere(source, tmp_path, monkeypatch):
    official_layouts.whu(source)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    prepare("whu_building", str(source))
    assert not list((tmp_path / "temporary").iterdir())


def test_nothing_is_written_into_the_source(source):
    official_layouts.whu(source)
    with pytest.raises(UserError, match=r"choose another --to"):
        prepare("whu_building", str(source), str(source / "prepared"))


def test_several_processes_make_the_same_bytes(source, tmp_path):
    official_layouts.loveda(source)
    prepare("loveda_urban", str(source), str(tmp_path / "one"), processes=1)
    prepare("loveda_urban", str(source), str(tmp_path / "two"), processes=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def start(source: Path, to: Path, processes: int) -> subprocess.Popen:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "rsisrefiner_jax.data.prepare", "isaid"),
            *("--from", str(source), "--to", str(to), "--processes", str(processes)),
        ],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_after(run: subprocess.Popen, reached) -> None:
    """kill -9 of a run as soon as `reached()` holds; its workers have to end by themselves."""
    while run.poll() is None and not reached():
        time.sleep(0.005)
    run.kill()
    run.communicate()  # comes back when all have let go of stderr


def interrupted(source: Path, to: Path, kills: int, pictures: int) -> None:
    """Prepares with kills spread over the parts, the last one while or after records are made."""
    unfinished = to / ".isaid.unfinished"
    for kill in range(1, kills):
        run = start(source, to, processes=1 + kill % 2)
        wanted = kill * pictures // kills
        kill_after(run, lambda: len(list(unfinished.glob("pictures/*/*.part"))) >= wanted)  # noqa: B023
        assert unfinished.is_dir()
    kill_after(start(source, to, 1), lambda: (unfinished / "records").exists())
    run = start(source, to, processes=1)
    out, err = run.communicate()
    assert run.returncode == 0, err
    assert "Ready: name it 'isaid'" in out


def many_isaid_scenes(source: Path, count: int) -> None:
    folder = source / "train" / "images"
    for i in range(count):
        names = ("", "_instance_id_RGB", "_instance_color_RGB")
        for name, pixels in zip(names, official_layouts.isaid_scene(i, 300 + i, 700), strict=True):
            official_layouts.save(folder / f"P{i:04d}{name}.png", pixels)
    cut(folder / "P0003.png", 0.5)


def test_a_killed_run_goes_on_to_the_same_bytes(source, tmp_path):
    many_isaid_scenes(source, 12)
    about = prepare("isaid", str(source), str(tmp_path / "whole"))
    assert len(about["left_out"]) == 1
    interrupted(source, tmp_path / "killed", kills=2, pictures=12)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


@pytest.mark.slow
def test_ten_kills(source, tmp_path):
    many_isaid_scenes(source, 60)
    prepare("isaid", str(source), str(tmp_path / "whole"))
    interrupted(source, tmp_path / "killed", kills=10, pictures=60)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


def test_command_line(source, tmp_path):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "rsisrefiner_jax.data.prepare", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
        )

    official_layouts.whu(source)
    done = run("whu_building", "--from", str(source), "--name", "tiles", "--limit", "1")
    assert done.returncode == 0, done.stderr
    assert "Ready: name it 'tiles'" in done.stdout
    assert "2559" in done.stdout
    about = json.loads((tmp_path / "prepared" / "tiles" / "about.json").read_text())
    assert f"{about['objects']} objects" in done.stdout or len(about["splits"]) > 1
    failed = run("whu_building", "--from", str(source / "nowhere"))
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
    assert "Traceback" not in failed.stderr


def test_help_is_quick_to_import():
    code = (
        "import sys, runpy; sys.argv = ['x', '--help']\n"
        "try: runpy.run_module('rsisrefiner_jax.data.prepare', run_name='__main__')\n"
        "except SystemExit as e: assert e.code == 0\n"
        "heavy = {'jax', 'grain', 'tensorflow_datasets', 'cv2', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True)
