"""YOLO labels: names of classes in any spelling, names of files, objects beyond the border."""

import zipfile

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi")

from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.yolo_data_set import class_names, pictures_of
from rsisrefiner_jax.specs import split_specs
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
    '"names":\n  "0": "roof"\n  "1": "tank: small"\n"nc": "2"\n',
    "{names: {'0': roof, '1': 'tank: small'}, nc: 2}",
    "nc: 2\nnames:\n  ? 0\n  : roof\n  ? 1\n  : 'tank: small'\n",
    "---\nnames: [roof, 'tank: small']\n...\n",
    "names: class names.txt\nnc: 2\n",
    "nc: 2\nnames: 'lists/class names.txt'\n",
    "names: lists\\class names.txt\n",
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_names_in_any_spelling(tmp_path, text):
    (tmp_path / "data.yaml").write_text(text, encoding="utf-8", newline="")
    (tmp_path / "lists").mkdir()
    for folder in (tmp_path, tmp_path / "lists"):
        (folder / "class names.txt").write_text("roof\ntank: small\n")
    assert class_names(tmp_path / "data.yaml") == {0: "roof", 1: "tank: small"}


def test_names_stay_text(tmp_path):
    (tmp_path / "data.yaml").write_text("names: [no, 12, ~, 屋顶]", encoding="utf-8")
    assert class_names(tmp_path / "data.yaml") == {0: "no", 1: "12", 2: "~", 3: "屋顶"}


def test_without_names_classes_are_numbers(tmp_path):
    for text in ("nc: 2", "nc: '2'\nnames:\n"):
        (tmp_path / "data.yaml").write_text(text)
        assert class_names(tmp_path / "data.yaml") == {}


@pytest.mark.parametrize("text", ["names: roof, tank", "nc: x", "names: {a: roof}", "a: [", ""])
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


PLACES = [
    "train: images/train",
    "'train': \"images/train/\"",
    "train: ./images/train",
    "train: ../images/train",
    "train: images\\train",
    "train: ROOT/images/train",
    "train: [images/train]",
    "train:\n- ./images/train",
    "path: .\ntrain: images/train",
    "path: ROOT\ntrain: images/train",
    "path: ../set/images\ntrain: train",
    "path: ../elsewhere/images  # moved since\ntrain: train",
    "path: /nowhere/else\ntrain: images/train\nval:\n",
    "path: ''\ntrain: images/train\nval: images/val",
    "train: plain.txt",
    "train: ./dotted.txt",
    "path: images\ntrain: ROOT/whole.txt",
    "train: [windows.txt]",
]


@pytest.fixture
def data_set(tmp_path):
    """A folder of pictures, labels and lists, with a file of labels for each of three pictures."""
    root = tmp_path / "set"
    for split, stem in (("train", "a b"), ("val", "c"), ("val", "d")):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / "images" / split / f"{stem}.png"), np.zeros((H, W, 3), np.uint8))
        square = line([(10, 10), (30, 10), (30, 30), (10, 30)])
        (root / "labels" / split / f"{stem}.txt").write_text(square)
    lists = {
        "plain": "images/train/a b.png",
        "dotted": "./images/train/a b.png",
        "whole": f"{root}/images/train/a b.png",
        "windows": "\r\nimages\\train\\a b.png\r\n",
    }
    for name, text in lists.items():
        (root / f"{name}.txt").write_text(f"{text}\n", newline="")
    return root


def write_yaml(root, text):
    file = root / "data.yaml"
    file.write_text(f"{text.replace('ROOT', str(root))}\nnames: [roof]\n")
    return file


@pytest.mark.parametrize("text", PLACES)
def test_a_split_is_found_in_any_spelling(data_set, text):
    file = write_yaml(data_set, text)
    names = [picture.name for picture, labels in pictures_of(file, "train") if labels.is_file()]
    assert names == ["a b.png"]


def test_a_data_set_opens_by_its_yaml(data_set):
    file = write_yaml(data_set, "train: images/train\nvalidation: [images/train, images/val]")
    for spec, names in (
        (f"yolo:{file}", ["a b.png"]),
        (f"yolo:{file},split=val", ["train/a b.png", "val/c.png", "val/d.png"]),
    ):
        source = open_source(spec)
        assert [source[i].name for i in range(len(source))] == names
        (item,) = source[0].objects
        assert (item.category, source[0].mask(item).sum()) == ("roof", 400)
    (data_set / "labels" / "val" / "c.txt").write_text("")
    (data_set / "images" / "val" / "d.png").unlink()
    (data_set / "val.txt").write_text("./images/val/c.png\nimages/val/d.png\nimages/train/a b.png")
    source = open_source(f"yolo:{write_yaml(data_set, 'val: val.txt')},split=val")
    assert (len(source), source.pictures_without_objects) == (1, 1)
    assert source.left_out.number("picture") == 1
    assert split_specs("yolo:a.yaml,split=val,yolo:b.yml,yolo:i,l,synthetic") == [
        "yolo:a.yaml,split=val",
        "yolo:b.yml",
        "yolo:i,l",
        "synthetic",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("val: images/val", "no pictures of split=train; there are val"),
        ("nc: 1", "no pictures of split=train; there are none at all"),
        ("train: images/gone", "train: images/gone: no such folder or list of pictures"),
        ("train: labels", "no labels for its 0 pictures"),
    ],
)
def test_a_split_that_cannot_be_found(data_set, text, words):
    with pytest.raises(UserError, match=words):
        open_source(f"yolo:{write_yaml(data_set, text)}")
