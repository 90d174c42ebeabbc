"""What the bytes of picture files say before they are decoded."""

import cv2
import numpy as np
import pytest

from rsisrefiner_jax.formats.picture_file import (
    content_problem,
    file_problem,
    picture_format,
    read_content,
)

NOISE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)  # larger than a glance
WHOLE = {ending: cv2.imencode(ending, NOISE)[1].tobytes() for ending in (".png", ".jpg", ".bmp")}


def traps(path, data):
    """What a glance, a look at the whole file, and its content say."""
    path.write_bytes(data)
    content = read_content(str(path))
    problems = [file_problem(str(path)), file_problem(str(path), whole=True), content_problem(data)]
    assert content == (data if problems[-1] is None else problems[-1])
    return [problem and problem.trap for problem in problems]


@pytest.mark.parametrize("ending", WHOLE)
@pytest.mark.parametrize("rest", [b"", b"\0" * 10, b"rest" * 5000])
def test_whole_files_pass_whatever_follows_them(tmp_path, ending, rest):
    assert len(WHOLE[ending]) > 8192
    assert traps(tmp_path / "a", WHOLE[ending] + rest) == [None] * 3


@pytest.mark.parametrize("ending", [".png", ".jpg"])
@pytest.mark.parametrize("left", [30, 3000, 8000, -13, -1])
def test_every_cut_is_seen(tmp_path, ending, left):
    assert traps(tmp_path / "a", WHOLE[ending][:left]) == ["truncated"] * 3


def test_the_end_mark_of_a_thumbnail_is_not_that_of_the_picture(tmp_path):
    small = cv2.imencode(".jpg", NOISE[:20, :20])[1].tobytes()
    header = b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small
    data = WHOLE[".jpg"][:2] + header + WHOLE[".jpg"][2:]
    assert traps(tmp_path / "a", data) == [None] * 3
    for left in (len(header) + 900, -2000):
        assert traps(tmp_path / "a", data[:left]) == ["truncated"] * 3


def test_checksums_are_tried_when_a_file_is_read_whole(tmp_path):
    data = bytearray(WHOLE[".png"])
    data[len(data) // 2] ^= 1
    assert traps(tmp_path / "a", bytes(data)) == [None, "damaged", "damaged"]


@pytest.mark.parametrize(
    ("data", "trap", "words"),
    [
        (b"", "zero-bytes", "is empty"),
        (bytes(9000), "zero-bytes", "zeros"),
        (b"<!doctype html>", "unreadable", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "unreadable", "git lfs pull"),
    ],
)
def test_what_is_no_picture(tmp_path, data, trap, words):
    assert traps(tmp_path / "a", data) == [trap] * 3
    assert words in file_problem(str(tmp_path / "a")).message


def test_a_missing_file_and_the_one_that_was_meant(tmp_path):
    assert file_problem(str(tmp_path / "a.jpg")) == ("missing-file", "is not there")
    (tmp_path / "a.JPG").write_bytes(WHOLE[".jpg"])
    assert file_problem(str(tmp_path / "a.jpg")).message == "is not there, but a.JPG is"
    assert file_problem(str(tmp_path)).trap == "unreadable"
    assert file_problem("a\0b").trap == "unreadable"


def test_formats_by_content():
    assert [picture_format(data) for data in WHOLE.values()] == ["PNG", "JPEG", "BMP"]
    assert picture_format(b"RIFF____WEBPVP8 ") == "WebP"
    assert picture_format(b"II*\x00") == "TIFF"
    assert picture_format(b"text") == ""
