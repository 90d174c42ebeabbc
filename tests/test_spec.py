"""Data SPEC strings: what they open, and what they say about bad ones."""

import numpy as np
import pytest

from rsisrefiner_jax.data.spec import open_source, split_spec
from rsisrefiner_jax.errors import UserError
from tests.doctor_sets import class_mask, write_coco, write_masks


def test_spec_opens_coco(tmp_path):
    assert len(open_source(write_coco(tmp_path))) == 4


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("isaid:train", "'isaid:train' is not prepared .* coco:IMAGES_DIR,ANNOTATIONS.json"),
        ("synthetik", "unknown data set 'synthetik'; did you mean 'synthetic'"),
        ("synthetic:trian", "did you mean 'train'"),
        ("coco:only_one", "expected coco:IMAGES_DIR,ANNOTATIONS.json"),
        ("", "unknown data set ''; known: "),
    ],
)
def test_spec_errors_say_the_way_out(spec, message):
    with pytest.raises(UserError, match=message):
        open_source(spec)


def test_a_bare_folder_is_asked_about(tmp_path):
    with pytest.raises(UserError, match="say what it holds, as in coco:IMAGES_DIR"):
        open_source(str(tmp_path))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("coco:a,b,c.json", ("a,b", "c.json", {})),
        ("classes:i,m,class=2", ("i", "m", {"class": "2"})),
        (
            "classes: i , m , ignore=0, class=#0000FF",
            ("i", "m", {"ignore": "0", "class": "#0000FF"}),
        ),
        ("geo:r.tif,v.gpkg|layername=a", ("r.tif", "v.gpkg|layername=a", {})),
        ("geo:r.tif,v.gpkg,class=kind", ("r.tif", "v.gpkg", {"class": "kind"})),
        ("classes:i,m", None),
        ("classes:i,class=2", None),
        ("classes:i,m,class=2,class=3", None),
        ("coco:i,class=2", None),
        ("instances:i,m,ignore=0", None),
        ("geo:r.tif", None),
    ],
)
def test_parts_and_options_of_a_spec(spec, expected):
    kind, _, argument = spec.partition(":")
    if expected:
        assert split_spec(kind, argument) == expected
    else:
        with pytest.raises(UserError, match=f"{kind}:.*expected {kind}:"):
            split_spec(kind, argument)


def test_ignored_pixels_of_class_masks(tmp_path):
    spec = write_masks(tmp_path, "classes", class_mask())
    scene = open_source(f"{spec},ignore=100")[0]
    np.testing.assert_array_equal(scene.ignore, class_mask() == 100)
    assert not open_source(spec)[0].ignore.any()
