"""The doctor on folders of masks."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rsisrefiner_jax.data.spec import open_source
from tests.doctor_sets import H, W, class_mask, id_mask, write_mask, write_masks
from tests.test_doctor import examine, named

MASKS = {"instances": id_mask, "classes": class_mask}


@pytest.mark.parametrize("kind", MASKS)
def test_clean_folders_are_silent(tmp_path, capsys, kind):
    out, refusal = examine(capsys, write_masks(tmp_path, kind, MASKS[kind]()), "--strict")
    assert (named(out), refusal) == ({}, "")
    assert "clean, no known defect; 4 pictures and 4 masks examined" in out
    assert "8 objects in 4 scenes" in out


def no_mask(folder: Path, mask: np.ndarray) -> str:
    (folder / "masks" / "b.png").unlink()
    return "images/b.png"


def no_picture(folder: Path, mask: np.ndarray) -> str:
    (folder / "images" / "b.png").unlink()
    return "masks/b.png"


def same_name(folder: Path, mask: np.ndarray) -> str:
    write_mask(folder / "masks" / "b.bmp", mask)
    return "masks/b.png: goes by the same name as b.bmp"


def other_size(folder: Path, mask: np.ndarray) -> str:
    write_mask(folder / "masks" / "b.png", mask[:-1])
    return "masks/b.png: is 47 x 64"


def truncated(folder: Path, mask: np.ndarray) -> str:
    path = folder / "masks" / "b.png"
    path.write_bytes(path.read_bytes()[:-20])
    return "masks/b.png"


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize(
    ("trap", "plant"),
    [
        ("mask-missing", no_mask),
        ("picture-missing", no_picture),
        ("same-name", same_name),
        ("size-differs", other_size),
        ("truncated", truncated),
    ],
)
def test_traps_in_pairs(tmp_path, capsys, kind, trap, plant):
    spec = write_masks(tmp_path, kind, MASKS[kind]())
    words = plant(tmp_path, MASKS[kind]())
    out, _ = examine(capsys, spec)
    assert list(named(out)) == [trap]
    assert words in named(out)[trap]
    out, refusal = examine(capsys, spec, "--fix", str(tmp_path / "fixed"))
    assert not refusal
    fixed = out.strip().splitlines()[-1].partition(": ")[2]
    out, refusal = examine(capsys, fixed, "--strict")
    assert (named(out), refusal) == ({}, "")
    report = json.loads((tmp_path / "fixed" / "fix.json").read_text())
    assert len(report["pictures_left_out"]) == 1
    assert report["objects"] == 2 * report["pictures"]


@pytest.mark.parametrize("kind", MASKS)
def test_the_copy_has_the_same_masks(tmp_path, capsys, kind):
    spec = write_masks(tmp_path, kind, MASKS[kind]())
    out, _ = examine(capsys, spec, "--fix", str(tmp_path / "fixed"))
    before, after = open_source(spec), open_source(out.strip().splitlines()[-1].partition(": ")[2])
    assert len(before) == len(after)
    for one, other in ((before[i], after[i]) for i in range(len(before))):
        np.testing.assert_array_equal(one.image, other.image)
        for a, b in zip(one.objects, other.objects, strict=True):
            np.testing.assert_array_equal(one.mask(a), other.mask(b))


def test_colliding_ids_name_the_objects(tmp_path, capsys):
    mask = np.zeros((H, W, 3), np.uint8)
    mask[2:20, 2:20] = (0, 1, 1)  # 65792: blue equals green, so it becomes 0
    mask[2:20, 22:40] = (0, 1, 0)  # 256
    mask[22:40, 2:20] = (0, 2, 1)  # 66048: as 256 after wrapping
    out, refusal = examine(capsys, write_masks(tmp_path, "instances", mask), "--strict")
    words = named(out)["colliding-ids"]
    assert "masks/a.png: 1 object would vanish: ids 65792" in words
    assert "masks/a.png: 2 objects would merge into 1: ids 256 and 66048" in words
    assert not refusal
    assert "clean" in out


def test_black_looking_masks_are_normal(tmp_path, capsys):
    mask = class_mask() // 100 + 1  # 1, 2, 3
    spec = write_masks(tmp_path, "classes", mask).replace("class=200", "class=2")
    out, refusal = examine(capsys, spec, "--strict")
    assert "a.png: has values 1, 2, 3" in named(out)["black-looking-mask"]
    assert "no mask has value 0; the classes are 1, 2, 3" in named(out)["class-codes"]
    assert "clean" in out
    assert not refusal


def test_palette_masks(tmp_path, capsys):
    spec = write_masks(tmp_path, "classes", class_mask())
    palette = Image.fromarray(class_mask())
    palette.putpalette([value for i in range(256) for value in (i, 255 - i, i // 2)])
    palette.save(tmp_path / "masks" / "b.png")
    out, refusal = examine(capsys, spec)
    assert list(named(out)) == ["palette-mask"]
    assert "masks/b.png" in named(out)["palette-mask"]
    assert not refusal


def test_masks_that_were_compressed_or_resized(tmp_path, capsys):
    spec = write_masks(tmp_path, "classes", class_mask())
    data = cv2.imencode(".jpg", class_mask(), [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    (tmp_path / "masks" / "b.png").write_bytes(data.tobytes())
    resized = cv2.GaussianBlur(class_mask(), (9, 9), 0)
    write_mask(tmp_path / "masks" / "d.png", resized)
    out, _ = examine(capsys, spec)
    assert "masks/b.png" in named(out)["lossy-mask"]
    assert "masks/b.png" in named(out)["name-lies"]
    assert "masks/d.png" in named(out)["blended-mask"]


def test_ids_and_classes_taken_for_each_other(tmp_path, capsys):
    mask = np.where(class_mask() > 0, 255, 0).astype(np.uint8)
    out, _ = examine(capsys, write_masks(tmp_path / "one", "instances", mask))
    assert list(named(out)) == ["classes-as-ids"]
    full = np.arange(H * W).reshape(H, W) // 12
    out, _ = examine(capsys, write_masks(tmp_path / "two", "instances", full.astype(np.uint8)))
    assert "every id from 1 to 255" in named(out)["ids-may-wrap"]


def test_exchanged_channels_of_ids(tmp_path, capsys):
    out, _ = examine(capsys, write_masks(tmp_path, "instances", id_mask()[..., ::-1] * [0, 0, 1]))
    assert "multiple of 65536" in named(out)["bgr-or-rgb"]


def test_a_class_that_no_mask_has(tmp_path, capsys):
    spec = write_masks(tmp_path, "classes", class_mask()).replace("class=200", "class=7")
    _, refusal = examine(capsys, spec)
    assert "no pixel of class=7" in refusal
    assert "--fix" not in refusal
