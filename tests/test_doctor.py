"""The doctor on COCO sets: every planted trap is named with its file, a clean set is silent."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from rsisrefiner_jax.data.coco import read_rgb
from rsisrefiner_jax.data.doctor.__main__ import main
from rsisrefiner_jax.data.doctor.traps import TRAPS
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.errors import UserError
from tests.doctor_sets import H, W, coco_content, picture, square, write_coco


def examine(capsys, *arguments: str) -> tuple[str, str]:
    """What the doctor prints, and why it refuses the set ("" when it does not)."""
    refusal = ""
    try:
        main(arguments)
    except UserError as error:
        refusal = str(error)
    assert "\n" not in refusal
    return capsys.readouterr().out, refusal


def named(out: str) -> dict[str, str]:
    """The traps in a report, each with its lines."""
    found, trap = {}, ""
    for line in out.splitlines():
        word = line.strip().split(" ")[0]
        if line.startswith("  ") and word in TRAPS:
            trap = word
            found[trap] = ""
        elif trap and line.startswith("      "):
            found[trap] += line
        else:
            trap = ""
    return found


def test_clean_set_is_silent(tmp_path, capsys):
    spec = write_coco(tmp_path)
    out, refusal = examine(capsys, spec, "--strict")
    assert not refusal
    assert not named(out)
    first, *rest = out.splitlines()
    assert first == f"{spec}: clean, no known defect; 4 pictures and 8 annotations examined"
    assert "  8 objects in 4 scenes" in rest
    rows = [line.split()[:3] for line in rest]
    assert ["ship", "4", "0"] in rows
    assert ["all", "8", "0"] in rows


def test_objects_below_256_pixels_and_scenes_left_out_are_counted(tmp_path, capsys):
    content = coco_content()
    content["annotations"][0]["segmentation"] = [square(4, 4, 8)]
    content["annotations"] = content["annotations"][:-2]
    out, refusal = examine(capsys, write_coco(tmp_path, content))
    assert not refusal
    assert "6 objects in 3 scenes; 1 picture without objects" in out
    assert ["ship", "3", "1"] in [line.split()[:3] for line in out.splitlines()]


def truncated_png(images: Path) -> str:
    path = images / "b.png"
    path.write_bytes(path.read_bytes()[:-200])
    return "b.png"


def truncated_jpeg(images: Path) -> str:
    path = images / "c.jpg"
    path.write_bytes(path.read_bytes()[:-100])
    return "c.jpg"


def empty_file(images: Path) -> str:
    (images / "b.png").write_bytes(b"")
    return "b.png"


def zeroed_file(images: Path) -> str:
    (images / "b.png").write_bytes(bytes(9000))
    return "b.png"


def flipped_byte(images: Path) -> str:
    data = bytearray((images / "b.png").read_bytes())
    data[len(data) // 2] ^= 255
    (images / "b.png").write_bytes(data)
    return "b.png"


def web_page(images: Path) -> str:
    (images / "b.png").write_text("<html>404</html>")
    return "b.png"


def missing(images: Path) -> str:
    (images / "b.png").rename(images / "b.PNG")
    return "b.PNG"


def bmp_named_png(images: Path) -> str:
    cv2.imwrite(str(images / "b.bmp"), picture(1))
    (images / "b.bmp").rename(images / "b.png")
    return "b.png: is a BMP"


def jpeg_named_png(images: Path) -> str:
    (images / "c.jpg").replace(images / "b.png")
    cv2.imwrite(str(images / "c.jpg"), picture(9))
    return "b.png: is a JPEG"


def other_size(images: Path) -> str:
    cv2.imwrite(str(images / "b.png"), picture(1).transpose(1, 0, 2))
    return "height and width exchanged"


FILE_TRAPS = [
    ("truncated", truncated_png),
    ("truncated", truncated_jpeg),
    ("zero-bytes", empty_file),
    ("zero-bytes", zeroed_file),
    ("damaged", flipped_byte),
    ("unreadable", web_page),
    ("missing-file", missing),
    ("name-lies", bmp_named_png),
    ("name-lies", jpeg_named_png),
    ("size-differs", other_size),
]


@pytest.mark.parametrize(("trap", "plant"), FILE_TRAPS, ids=lambda x: getattr(x, "__name__", x))
def test_traps_in_picture_files(tmp_path, capsys, trap, plant):
    spec = write_coco(tmp_path)
    words = plant(tmp_path / "images")
    out, _ = examine(capsys, spec)
    assert list(named(out)) == [trap]
    assert words in named(out)[trap]
    assert "clean" not in out
    # The repaired copy: nothing is named, and no more than the one picture is lost.
    out, refusal = examine(capsys, spec, "--fix", str(tmp_path / "fixed"))
    assert not refusal
    fixed = out.strip().splitlines()[-1].partition(": ")[2]
    out, refusal = examine(capsys, fixed, "--strict")
    assert (named(out), refusal) == ({}, "")
    report = json.loads((tmp_path / "fixed" / "fix.json").read_text())
    assert report["pictures"] == (4 if trap == "name-lies" else 3)
    assert len(report["pictures_left_out"]) == 4 - report["pictures"]
    assert len(open_source(fixed)) == report["pictures"]


def change(key, index=0, **fields):
    def apply(content):
        content[key][index].update(fields)

    return apply


def several(*changes):
    def apply(content):
        for one in changes:
            one(content)

    return apply


def drop_size(content):
    del content["images"][1]["width"]


def drop_file_name(content):
    del content["images"][1]["file_name"]


JSON_TRAPS = [
    ("missing-size", drop_size, "b.png has no usable width"),
    ("malformed-entry", drop_file_name, "1 of 4 entries of 'images'"),
    ("image-id-twice", change("images", 1, id=1), "id 1 occurs 2 times"),
    ("image-listed-twice", change("images", 1, file_name="a.png"), "a.png is listed 2 times"),
    ("annotation-id-twice", change("annotations", 1, id=2), "id 2 occurs 2 times"),
    ("category-id-twice", change("categories", 1, id=1), "id 1 occurs 2 times"),
    ("annotation-without-image", change("annotations", image_id=77), "annotation 2 is of image 77"),
    ("no-mask", change("annotations", segmentation=[]), "annotation 2"),
    ("degenerate-polygon", change("annotations", segmentation=[[1, 1, 9, 9]]), "of 2 points"),
    (
        "degenerate-polygon",
        change("annotations", segmentation=[square(4, 4, 20), [1, 1, 9, 9]]),
        "parts with fewer than three points",
    ),
    (
        "degenerate-polygon",
        change("annotations", segmentation=[[*square(4, 4, 20), 7]]),
        "an odd number of coordinates",
    ),
    ("no-pixel", change("annotations", segmentation=[square(900, 900, 20)]), "annotation 2"),
    ("broken-segmentation", change("annotations", segmentation="x"), "annotation 2"),
    ("broken-segmentation", change("annotations", segmentation=[square(0, 0, 2_000_000)]), "far"),
    (
        "broken-segmentation",
        change("annotations", segmentation={"size": [3, 3], "counts": [9]}),
        "annotation 2",
    ),
    ("unknown-category", change("annotations", category_id=9), "category id 9"),
]


@pytest.mark.parametrize(
    ("trap", "plant", "words"), JSON_TRAPS, ids=lambda x: x if x in TRAPS else ""
)
def test_traps_in_the_json(tmp_path, capsys, trap, plant, words):
    content = coco_content()
    plant(content)
    spec = write_coco(tmp_path, content)
    out, _ = examine(capsys, spec)
    assert trap in named(out)
    assert words in named(out)[trap]
    assert "instances.json" in named(out)[trap]
    out, refusal = examine(capsys, spec, "--fix", str(tmp_path / "fixed"))
    fixed = out.strip().splitlines()[-1].partition(": ")[2]
    out, refusal = examine(capsys, fixed, "--strict")
    assert (named(out), refusal) == ({}, "")


@pytest.mark.parametrize(
    ("trap", "text"),
    [
        ("json-cut-off", json.dumps(coco_content())[:-300]),
        ("not-json", "images,annotations\n1,2"),
        ("not-coco", "[]"),
        ("not-coco", '{"images": []}'),
        ("zero-bytes", ""),
    ],
)
def test_json_that_cannot_be_read(tmp_path, capsys, trap, text):
    spec = write_coco(tmp_path, text)
    out, refusal = examine(capsys, spec)
    assert list(named(out)) == [trap]
    assert "instances.json" in named(out)[trap]
    assert "cannot be used as it is" in refusal
    _, refusal = examine(capsys, spec, "--fix", str(tmp_path / "fixed"))
    assert "nothing is left" in refusal
    assert not (tmp_path / "fixed").exists()


def test_ids_from_0_are_a_note(tmp_path, capsys):
    content = coco_content()
    for annotation in content["annotations"]:
        annotation["image_id"] -= 1
        annotation["id"] -= 2
        annotation["category_id"] -= 1
    for item in content["images"] + content["categories"]:
        item["id"] -= 1
    out, refusal = examine(capsys, write_coco(tmp_path, content), "--strict")
    assert "clean" in out
    assert not refusal
    for what in ("image", "annotation", "category"):
        assert f"{what} ids start at 0" in out


def test_exchanged_red_and_blue_is_a_doubt(tmp_path, capsys):
    spec = write_coco(tmp_path)
    for path in (tmp_path / "images").iterdir():
        cv2.imwrite(str(path), read_rgb(str(path)))
    out, refusal = examine(capsys, spec, "--strict")
    assert list(named(out)) == ["bgr-or-rgb"]
    assert "DOUBTS" in out
    assert not refusal


def test_against_another_split(tmp_path, capsys):
    content = coco_content()
    content["categories"][0]["id"], content["categories"][1]["id"] = 2, 1
    content["categories"].append({"id": 3, "name": "car"})
    one = write_coco(tmp_path / "one", content)
    other = write_coco(tmp_path / "other", seed=3)  # its first picture is the last of the one
    out, _ = examine(capsys, one, "--against", other)
    found = named(out)
    assert "'plane' is category 1 here and 2 there" in found["category-ids-differ"]
    assert "has no class 'car'" in found["class-in-one-split"]
    assert "d.png: is a.png of the other split" in found["picture-in-both-splits"]


def test_strict_refuses_what_can_be_used(tmp_path, capsys):
    content = coco_content()
    content["annotations"][0]["segmentation"] = []
    spec = write_coco(tmp_path, content)
    assert examine(capsys, spec)[1] == ""
    assert "1 defect (--strict)" in examine(capsys, spec, "--strict")[1]


def test_fix_writes_true_pngs_and_wants_a_new_folder(tmp_path, capsys):
    spec = write_coco(tmp_path)
    images = tmp_path / "images"
    jpeg_named_png(images)
    expected = read_rgb(str(images / "b.png"))
    fixed = tmp_path / "fixed"
    examine(capsys, spec, "--fix", str(fixed))
    assert (fixed / "images" / "b.png").read_bytes()[:4] == b"\x89PNG"
    np.testing.assert_array_equal(read_rgb(str(fixed / "images" / "b.png")), expected)
    assert (fixed / "images" / "c.jpg").read_bytes() == (images / "c.jpg").read_bytes()
    assert "is there already" in examine(capsys, spec, "--fix", str(fixed))[1]


def test_sheet_shows_random_objects(tmp_path, capsys):
    spec = write_coco(tmp_path)
    path = tmp_path / "out" / "sheet.png"
    out, _ = examine(capsys, spec, "--sheet", str(path))
    assert "8 random objects drawn" in out
    sheet = read_rgb(str(path))
    assert (sheet == [255, 225, 25]).all(-1).sum() > 8 * 100  # outlines
    again = tmp_path / "again.png"
    examine(capsys, spec, "--sheet", str(again))
    np.testing.assert_array_equal(sheet, read_rgb(str(again)))
    examine(capsys, spec, "--sheet", str(again), "--seed", "1")
    assert (sheet != read_rgb(str(again))).any()
    assert "end in .png" in examine(capsys, spec, "--sheet", "sheet.jpg")[1]


def test_generated_sets_and_wrong_specs(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("rsisrefiner_jax.data.doctor.census._GENERATED", 2)
    out, refusal = examine(capsys, "synthetic:val@64")
    assert "clean" in out
    assert "in 2 scenes of 200" in out
    assert not refusal
    assert "did you mean 'synthetic'" in examine(capsys, "synthetik")[1]
    assert "expected coco:" in examine(capsys, "coco:here")[1]
    assert "expected classes:" in examine(capsys, f"classes:{tmp_path},{tmp_path}")[1]
    assert "no such folder" in examine(capsys, f"instances:{tmp_path},{tmp_path / 'no'}")[1]
    assert "can be mended" in examine(capsys, "synthetic", "--fix", str(tmp_path / "f"))[1]
    assert "can be compared" in examine(capsys, "synthetic", "--against", "synthetic:val")[1]


ODD: list = [
    None,
    -1,
    0,
    1e300,
    "x",
    "",
    True,
    [],
    {},
    [[]],
    [None],
    {"size": [H, W], "counts": "zz"},
]


def test_odd_values_never_end_in_a_traceback(tmp_path, capsys):
    """Every field of the JSON, replaced by every odd value."""
    spec = write_coco(tmp_path)
    path = tmp_path / "instances.json"
    rng = np.random.default_rng(0)
    for key in ("images", "annotations", "categories"):
        for field in coco_content()[key][0]:
            for odd in rng.choice(len(ODD), 4, replace=False):
                content = coco_content()
                content[key][0][field] = ODD[odd]
                path.write_text(json.dumps(content))
                examine(capsys, spec)


def test_command_line(tmp_path):
    spec = write_coco(tmp_path)
    (tmp_path / "instances.json").write_text("{")
    command = [sys.executable, "-m", "rsisrefiner_jax.data.doctor", spec]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "json-cut-off" in done.stdout
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: coco:")


@pytest.mark.parametrize("module", ["doctor", "show"])
def test_help_imports_nothing_heavy(module):
    code = (
        "import runpy, sys; sys.argv = ['x', '--help']\n"
        f"try: runpy.run_module('rsisrefiner_jax.data.{module}', run_name='__main__')\n"
        "except SystemExit as e: assert e.code == 0\n"
        "assert not {'jax', 'cv2', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
