"""The pieces that all builders share."""

import itertools
import os
import signal
from concurrent.futures import BrokenExecutor

import cv2
import numpy as np
import pytest

from rsisrefiner_jax.data.builders import isaid, potsdam
from rsisrefiner_jax.data.builders.files import Files, fingerprint
from rsisrefiner_jax.data.builders.layout import GENERIC, OFFICIAL, find_layout, natural
from rsisrefiner_jax.data.builders.patches import windows
from rsisrefiner_jax.data.builders.picture_records import make_picture_records
from rsisrefiner_jax.data.builders.plain_rgb import encoded_rgb
from rsisrefiner_jax.data.builders.record import areas, encode
from rsisrefiner_jax.data.object_hash import object_hash
from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.errors import UserError
from tests import official_layouts


def development_kit(height, width, size=800, overlap=200):
    """The windows of the iSAID development kit's split.py, for sides of more than `size`."""
    found = []
    for x in range(0, width, size - overlap):
        for y in range(0, height, size - overlap):
            x0 = x - max(x + size - width, 0)
            y0 = y - max(y + size - height, 0)
            if (y0, x0) not in found:
                found.append((y0, x0))
    return found


@pytest.mark.parametrize("size", itertools.product([801, 1400, 1401, 2000, 4000, 13383], repeat=2))
def test_patches_are_those_of_the_development_kit(size):
    assert (isaid.PATCH, isaid.OVERLAP, potsdam.PATCH) == (800, 200, 800)
    ours = [(w.y0, w.x0) for w in windows(*size, isaid.PATCH, isaid.OVERLAP)]
    assert sorted(ours) == sorted(development_kit(*size))
    assert all(w.y1 - w.y0 == 800 == w.x1 - w.x0 for w in windows(*size, 800, 200))


def test_patches_of_a_potsdam_tile():
    found = list(windows(6000, 6000, potsdam.PATCH, 0))
    assert len(found) == 64
    assert {w.y0 for w in found} == {*range(0, 5600, 800), 5200}


def test_small_sides_are_not_cut():
    assert [str(w) for w in windows(525, 640, 800, 200)] == ["0_525_0_640"]
    assert {(w.y0, w.y1) for w in windows(525, 6402, 800, 200)} == {(0, 525)}


def test_every_data_set_has_a_layout():
    for name in (*OFFICIAL, *GENERIC):
        layout = find_layout(name)
        assert layout.accepted
        assert layout.licence
        assert layout.note
    assert len(potsdam.VAL) == 14


def test_natural_order():
    assert sorted(["P10", "P9", "a", "P10_2", "P10_10"], key=natural) == [
        "P9", "P10", "P10_2", "P10_10", "a",
    ]  # fmt: skip


def test_areas_do_not_count_ignored_pixels():
    labels = np.zeros((4, 5, 2), np.int32)
    labels[:2, :, 0], labels[1:, :2, 1] = 70_000, 5
    ignore = np.zeros((4, 5), bool)
    ignore[0] = True
    objects = (SceneObject(70_000, 0), SceneObject(5, 1))
    scene = Scene("a", np.zeros((4, 5, 3), np.uint8), labels, objects, ignore)
    assert areas(scene) == [5, 6]


def test_too_many_objects():
    objects = tuple(SceneObject(i, 0) for i in range(1, 2**16 + 1))
    blank = np.zeros((1, 1, 3), np.uint8)
    scene = Scene("a", blank, np.zeros((1, 1, 1), np.int32), objects, np.zeros((1, 1), bool))
    with pytest.raises(UserError, match=r"65536 objects in one picture"):
        encode(scene)


@pytest.mark.parametrize(
    ("name", "pixels", "kept"),
    [
        ("a.png", np.zeros((4, 5, 3), np.uint8), True),
        ("a.jpg", np.zeros((4, 5, 3), np.uint8), True),
        ("a.tif", np.zeros((4, 5, 3), np.uint8), False),
        ("a.png", np.zeros((4, 5, 3), np.uint16), False),
        ("a.png", np.zeros((4, 5, 4), np.uint8), False),
        ("a.png", np.zeros((4, 5), np.uint8), False),
        ("a.jpg", np.zeros((4, 5), np.uint8), False),
    ],
)
def test_which_files_are_kept_as_they_are(tmp_path, name, pixels, kept):
    path = tmp_path / name
    cv2.imwrite(str(path), pixels)
    assert encoded_rgb(str(path)) == (path.read_bytes() if kept else None)


def test_files_look_into_archives(tmp_path):
    source = tmp_path / "source"
    official_layouts.save(source / "a" / "x.png", official_layouts.picture(0, 9, 9))
    official_layouts.save(source / "a" / "__MACOSX" / "._x.png", official_layouts.picture(0, 9, 9))
    official_layouts.save(source / "y.png", official_layouts.picture(0, 9, 9))
    (source / ".hidden").write_text("")
    (source / "rest.7z").write_text("")
    official_layouts.pack(source / "a", source / "a.zip", inside="a")
    files = Files(str(source), str(tmp_path / "scratch"))
    assert files.names == ["rest.7z", "y.png", "a.zip/a/x.png"]
    assert files.archives == ["rest.7z"]
    with files.local("a.zip/a/x.png", "y.png") as (member, plain):
        assert cv2.imread(member).shape == (9, 9, 3)
        assert plain == str(source / "y.png")
    assert not list((tmp_path / "scratch").iterdir())
    folder = files.folder(["a.zip/a/x.png"])
    assert cv2.imread(f"{folder}/x.png").shape == (9, 9, 3)
    assert files.folder(["a.zip/a/x.png"]) == folder


class Deadly:
    """Pictures whose worker is killed, as by a system that is out of memory."""

    left_out = ""

    def __len__(self):
        return 2

    def scenes(self, index):
        os.kill(os.getpid(), signal.SIGKILL)
        yield


def test_a_killed_worker_is_noticed(tmp_path):
    with pytest.raises(BrokenExecutor):
        make_picture_records({"train": Deadly()}, str(tmp_path), processes=2)


def test_fingerprint(tmp_path):
    (tmp_path / "a").write_text("1")
    before = fingerprint([str(tmp_path)])
    assert fingerprint([str(tmp_path)]) == before
    assert fingerprint([str(tmp_path)], "other") != before
    (tmp_path / "b").write_text("1")
    assert fingerprint([str(tmp_path)]) != before


def test_object_hash():
    assert object_hash([]).startswith("sha256:e3b0c442")
    assert object_hash([("a", 1, 2)]) != object_hash([("a", 1, 3)])
