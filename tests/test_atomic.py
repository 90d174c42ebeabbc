"""Directories that are there whole or not at all, and what a killed process leaves."""

import pytest

from rsisrefiner_jax.atomic import PART, remove_parts, whole_directory


def write_half(target):
    with whole_directory(target) as made:
        (made / "a").write_text("half")
        raise OSError("full")


def test_a_directory_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "net"
    with pytest.raises(OSError, match="full"):
        write_half(target)
    assert list(target.parent.iterdir()) == []
    with whole_directory(target) as made:
        (made / "a").write_text("whole")
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["net"]
    assert (target / "a").read_text() == "whole"


def test_an_empty_directory_is_kept(tmp_path):
    inode = tmp_path.stat().st_ino  # as a mount, which cannot be replaced
    with whole_directory(tmp_path) as made:
        (made / "a").write_text("")
    assert tmp_path.stat().st_ino == inode
    assert (tmp_path / "a").exists()


def test_what_was_being_written_is_removed(tmp_path):
    kept = tmp_path / "previews" / "0000005.png"
    kept.parent.mkdir()
    kept.write_text("")
    kept.with_name(f"0000010.png.7{PART}").write_text("half")
    (tmp_path / f"config.json.7{PART}").write_text("half")
    unfinished = tmp_path / f"untrained.7{PART}" / "0"
    unfinished.mkdir(parents=True)
    (unfinished / "weights").write_text("half")
    remove_parts(tmp_path)
    assert sorted(tmp_path.rglob("*")) == [kept.parent, kept]
