"""Files that are there whole or not at all."""

import errno

import numpy as np
import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax.annotate import disk
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.refusals import NoSpace
from rsisrefiner_jax.annotate.safety import Roots
from tests import annotating


def write_half(target, error):
    with disk.written_aside(target) as part:
        part.write_text("half")
        raise error


def test_a_file_is_there_when_it_is_whole(tmp_path):
    target = tmp_path / "a.txt"
    with disk.written_aside(target) as part:
        part.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    with pytest.raises(ZeroDivisionError):
        write_half(target, ZeroDivisionError())
    assert target.read_text() == "whole"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_a_sentence(tmp_path):
    with pytest.raises(NoSpace, match=r"b\.txt: the disk is full"):
        write_half(tmp_path / "b.txt", OSError(errno.ENOSPC, "No space left on device"))
    assert not list(tmp_path.iterdir())


def test_a_tiff_that_lacks_its_end_is_found(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (3, 700, 700), np.uint8)
    for name, profile in [
        ("pixels.tif", {"interleave": "pixel"}),
        ("bands.tif", {"interleave": "band", "compress": "deflate"}),
    ]:
        whole = annotating.raster(tmp_path, name, noise, **profile)
        disk.require_whole(whole)
        cut = tmp_path / f"cut-{name}"
        cut.write_bytes(whole.read_bytes()[:-200_000])
        with pytest.raises(NoSpace, match="could not be written whole"):
            disk.require_whole(cut)


def test_a_project_keeps_its_id(tmp_path):
    ids = []
    for name in ("one", "one", "two"):
        project = Project(tmp_path / name, Roots([tmp_path]))
        ids.append(project.id)
        project.close()
    assert ids[0] == ids[1] != ids[2]
    (tmp_path / "one").rename(tmp_path / "moved")
    project = Project(tmp_path / "moved", Roots([tmp_path]))
    assert project.id == ids[0]
    project.close()


def test_links_in_the_cache_of_a_project_that_was_sent_go(tmp_path):
    secret = annotating.raster(tmp_path, "secret.tif")
    Project(tmp_path / "sent", Roots([tmp_path])).close()
    (tmp_path / "sent" / "cache" / "0123.tif").symlink_to(secret)
    project = Project(tmp_path / "sent", Roots([tmp_path]))
    assert list(project.cache.iterdir()) == []
    assert secret.exists()
    project.close()
