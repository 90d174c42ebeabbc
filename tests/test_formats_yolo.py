"""YOLO labels: names of classes in any spelling, names of files, objects beyond the border."""

import zipfile

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi")

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.yolo import class_names
from tests.both_readers import alike, areas, imported, read, trained

H, W = 60, 90
SPELLINGS = [
    "names:\n  0: roof\n  1: 'tank: small'\n",
    "names: ['roof', \"tank: small\"]\n",
    "names:\n- roof\n- 'tank: small'\n",
    "names:\n  - roof\n  - 'tank: small'\n",
    "names: {0: roof, 1: 'tank: small'}\n",
    "names:\n  '0': roof  # a comment\n  \"1\": 'tank: small'\n",
    "names: [roof,\n  'tank: small']\nnc: 2\n",
    '{"names": ["roof", "tank: small"], "nc": 2}',
    "# first\r\nnames:\r\n  0: roof\r\n  1: 'tank: small'\r\n",
    "\ufeffnames:\n  1: 'tank: small'\n  0: roof\n",
    "path: x\nnames:\n    0: &a roof\n    1: 'tank: small'\n",
    "names: !!seq [roof, 'tank: small']",
    "names:\n  0: |-\n    roof\n  1: >-\n    tank:\n    small\n",
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_names_in_any_spelling(tmp_path, text):
    (tmp_path / "data.yaml").write_text(text, encoding="utf-8", newline="")
    assert class_names(tmp_path / "data.yaml") == {0: "roof", 1: "tank: small"}


def test_names_stay_text(tmp_path):
    (tmp_path / "data.yaml").write_text("names: [no, 12, ~, 屋顶]", encoding="utf-8")
    assert class_names(tmp_path / "data.yaml") == {0: "no", 1: "12", 2: "~", 3: "屋顶"}


@pytest.mark.parametrize("text", ["nc: 2", "names: roof, tank", "names: {a: roof}", "a: [", ""])
def test_names_that_cannot_be_read(tmp_path, text):
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(UserError, match=r"data\.yaml: no"):
        class_names(tmp_path / "data.yaml")


@pytest.fixture
def scene(tmp_path):
    def write(name, lines, names="names: [roof]"):
        for folder in ("images", "labels"):
            (tmp_path / folder).mkdir(exist_ok=True)
        picture = tmp_path / "images" / f"{name}.png"
        cv2.imwrite(str(picture), np.zeros((H, W, 3), np.uint8))
        label = tmp_path / "labels" / f"{name}.txt"
        label.write_text("".join(lines))
        (tmp_path / "data.yaml").write_text(names)
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            archive.write(label, f"labels/{name}.txt")
            archive.writestr("labels/other.txt", "")
            archive.write(tmp_path / "data.yaml", "data.yaml")
        return picture, tmp_path / "all.zip"

    return write


def line(corners, number=0):
    fractions = (np.array(corners) / [W, H]).ravel()
    return f"{number} {' '.join(f'{value:.6f}' for value in fractions)}\n"


@pytest.mark.parametrize("name", ["scene", "Los Angeles 1", "屋顶", "a.b[c]"])
def test_objects_of_a_picture_by_its_own_name(scene, name):
    square = [(10, 10), (30, 10), (30, 30), (10, 30)]
    beyond = [(-40, -10), (60, 30), (-40, 70)]
    picture, zipped = scene(name, [line(square), line(beyond, 3)])
    found = trained(f"yolo:{picture.parent},{picture.parents[1] / 'labels'}")
    alike(found, imported(picture, zipped))
    assert areas(found)[1] == 400
    assert [category for category, _ in found.values()] == ["roof", "3"]


def test_labels_of_another_picture(scene, tmp_path):
    _, zipped = scene("one", [])
    other, _ = scene("two", [])
    with zipfile.ZipFile(zipped, "w") as archive:
        for name in ("one", "three"):
            archive.writestr(f"labels/{name}.txt", "")
    with pytest.raises(UserError, match=r"no labels called two\.txt"):
        read(other, zipped)
