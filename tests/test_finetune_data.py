"""Parts of a project as data: who is held out, what training may see, and projects in use."""

import itertools
import shutil

import numpy as np
import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax.data.project import division, events
from rsisrefiner_jax.data.project.division import divide
from rsisrefiner_jax.data.project.object_windows import window_about
from rsisrefiner_jax.data.project.source import read_state
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.specs import split_specs
from tests import annotating

HEIGHT, WIDTH = 120, 300


def test_the_last_quarter_along_the_longer_side_is_held_out():
    starts = [10, 200, 90, 40, 150, 60, 120, 30]
    boxes = [(x, 5, x + 25, 30) for x in starts]
    boxes[2] = (90, 5, 170, 30)  # reaches beyond 150, where the first that is held out begins
    for swapped in (False, True):
        turned = [(t, left, b, r) for left, t, r, b in boxes] if swapped else boxes
        size = (300, 100) if swapped else (100, 300)
        (found,) = divide([size], [turned])
        assert found.held_out == [1, 4]
        assert found.train == [0, 3, 5, 6, 7]
        assert found.seen == ((0, 0, 100, 150) if swapped else (0, 0, 150, 100))


def test_small_pictures_are_held_out_whole():
    one = [[(0, 0, 5, 5)]] * 12
    held = [i for i, d in enumerate(divide([(9, 9)] * 12, one)) if d.held_out]
    assert held == [1, 5, 9]
    sizes, boxes = [(9, 9)] * 8, [[(i, 0, i + 2, 2) for i in range(3)]] * 8
    held = [i for i, d in enumerate(divide(sizes, boxes)) if d.held_out]
    assert held == [1, 5]
    for found in divide(sizes, boxes):
        assert not (found.train and found.held_out)


def test_no_object_is_on_both_sides_and_about_a_quarter_is_held_out():
    rng = np.random.default_rng(0)
    for _ in range(40):
        counts = rng.integers(0, 12, rng.integers(1, 9))
        boxes = [
            [(x, y, x + w, y + h) for x, y, w, h in rng.integers(1, 90, (n, 4)).tolist()]
            for n in counts
        ]
        found = divide([(200, 200)] * len(boxes), boxes)
        held = sum(len(one.held_out) for one in found)
        assert abs(held - division.SHARE * counts.sum()) <= 3
        for one, own in zip(found, boxes, strict=True):
            assert not set(one.train) & set(one.held_out)
            for i, j in itertools.product(one.train, one.held_out):
                axis = 0  # the pictures are as wide as they are high
                assert own[i][axis + 2] <= own[j][axis]


@pytest.mark.parametrize(
    ("box", "region", "expected"),
    [
        ((100, 50, 110, 60), (0, 0, 300, 120), (23, 73, 64, 64)),  # in the middle
        ((2, 2, 6, 6), (0, 0, 300, 120), (0, 0, 64, 64)),  # moved into the picture
        ((100, 50, 160, 60), (0, 0, 300, 120), (0, 66, 120, 128)),  # doubled, and cut
        ((100, 50, 110, 60), (0, 0, 112, 120), (23, 48, 64, 64)),  # within its part
    ],
)
def test_windows(box, region, expected):
    assert window_about(box, region, 64) == expected


def squares(count=24, side=12):
    """Objects in rows of eight, in reading order."""
    found = []
    for i in range(count):
        pixels = np.zeros((HEIGHT, WIDTH), bool)
        y, x = 6 + 36 * (i // 8), 6 + 36 * (i % 8)
        pixels[y : y + side, x : x + side] = True
        found.append(Mask(0, 0, pixels).trimmed())
    return found


@pytest.fixture
def here(tmp_path):
    bands = np.random.default_rng(0).integers(1, 255, (3, HEIGHT, WIDTH), np.uint8)
    here = annotating.context(tmp_path)
    here.project.add_image(annotating.raster(tmp_path / "images", bands=bands))
    here.project.import_objects(1, annotating.items(squares(), **{"class": "roof"}))
    yield here
    here.project.close()


def test_windows_of_a_project_show_what_they_may(here, tmp_path):
    """Also while it is in use: nothing of what is held out is seen in training."""
    whole = open_source(f"project:{tmp_path / 'project'}")[0]
    spec = f"project:{tmp_path / 'project'},window=40"
    train, held_out = (open_source(f"{spec},part={part}") for part in ("train", "held-out"))
    ids = {scene.name: int(scene.name.rpartition("#")[2]) for scene in [*train, *held_out]}
    assert sorted(ids.values()) == list(range(1, 25))
    held = {ids[scene.name] for scene in held_out}
    assert held == {7, 8, 15, 16, 23, 24}  # the two columns on the right
    line = min(whole.mask(o).nonzero()[1].min() for o in whole.objects if o.id in held)
    for scene, source in [(s, train) for s in train] + [(s, held_out) for s in held_out]:
        about = next(o for o in whole.objects if o.id == ids[scene.name])
        y, x = placed(whole.image, scene.image)
        height, width = scene.labels.shape[:2]
        if source is train:
            assert x + width <= line
            shown = {o.id for o in scene.objects}
            assert shown == {
                o.id for o in whole.objects if whole.mask(o)[y : y + height, x : x + width].any()
            }
        else:
            assert [o.id for o in scene.objects] == [about.id]
        for item in scene.objects:
            assert item.category == "roof"
            own = next(o for o in whole.objects if o.id == item.id)
            expected = whole.mask(own)[y : y + height, x : x + width]
            np.testing.assert_array_equal(scene.mask(item), expected)
        own = next(o for o in scene.objects if o.id == about.id)
        assert scene.mask(own).sum() == whole.mask(about).sum()


def test_all_objects_of_a_project_that_nothing_was_trained_on(here, tmp_path):
    spec = f"project:{tmp_path / 'project'},window=40"
    held_out, everything = (open_source(f"{spec},part={part}") for part in ("held-out", "all"))
    assert [[o.id for o in scene.objects] for scene in everything] == [[i] for i in range(1, 25)]
    by_name = {scene.name: scene for scene in everything}
    for scene in held_out:
        np.testing.assert_array_equal(by_name[scene.name].image, scene.image)
        np.testing.assert_array_equal(by_name[scene.name].labels > 0, scene.labels > 0)


def placed(whole, part):
    """(y, x) of a part of a picture of noise."""
    height, width = part.shape[:2]
    for y, x in np.argwhere((whole == part[0, 0]).all(-1)).tolist():
        if np.array_equal(whole[y : y + height, x : x + width], part):
            return y, x
    raise AssertionError("not a part of it")


def test_objects_stay_the_same_while_an_annotator_goes_on(here, tmp_path):
    folder = tmp_path / "project"
    _, last = read_state(folder)
    spec = f"project:{folder},until={last}"
    before = [scene.name for scene in open_source(f"{spec},part=held-out")]
    here.project.delete_object(24)
    here.project.import_objects(1, annotating.items(squares(2, 9)[1:]))
    assert [scene.name for scene in open_source(f"{spec},part=held-out")] == before
    assert len(open_source(spec)[0].objects) == 24
    now = open_source(f"project:{folder}")[0]
    assert {o.id for o in now.objects} == {*range(1, 24), 25}


def test_an_export_is_divided_in_the_same_way(here, tmp_path):
    from rsisrefiner_jax.annotate.export.whole_project import export_project

    here.project.close()
    exported = export_project(tmp_path / "project", tmp_path / "out")
    for part in ("train", "held-out"):
        names = [
            [(scene.name, [o.id for o in scene.objects]) for scene in open_source(spec)]
            for spec in (
                f"{exported},part={part}",
                f"project:{tmp_path / 'project'},part={part}",
            )
        ]
        assert names[0] == names[1]
    with pytest.raises(UserError, match="an export knows no events"):
        open_source(f"{exported},until=3")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("part=test", "the parts are train, held-out, all"),
        ("part=train,window=big", "window is a whole number"),
        ("part=train,part=held-out", "part is given twice"),
    ],
)
def test_options_that_cannot_be_meant(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        open_source(f"project:{tmp_path},{options}")


def test_a_folder_with_commas_and_a_list_of_specs(here, tmp_path):
    here.project.close()
    (tmp_path / "project").rename(tmp_path / "a, b")
    assert len(open_source(f"project:{tmp_path / 'a, b'},part=held-out")) == 6
    assert split_specs("project:a,part=train,window=64,synthetic") == [
        "project:a,part=train,window=64",
        "synthetic",
    ]


def test_too_few_to_divide(tmp_path):
    here = annotating.context(tmp_path)
    here.project.add_image(annotating.raster(tmp_path / "images"))
    here.project.import_objects(1, annotating.items(annotating.shapes()[:1]))
    here.project.close()
    with pytest.raises(UserError, match="1 objects are too few to be divided"):
        open_source(f"project:{tmp_path / 'project'},part=held-out")


def test_a_copy_is_made_again_when_the_file_is_folded_meanwhile(here, tmp_path, monkeypatch):
    """What was copied before the journal was folded does not go with what was copied after."""
    monkeypatch.setattr(events, "PAUSE", 0)
    copy, copied = shutil.copyfile, []

    def fold_once(source, target):
        copied.append(source.name)
        copy(source, target)
        if len(copied) == 1:
            here.project.journal.fold()

    monkeypatch.setattr(events.shutil, "copyfile", fold_once)
    found = open_source(f"project:{tmp_path / 'project'}")[0]
    assert len(found.objects) == 24
    assert copied.count("project.sqlite") == 2


def test_a_file_that_never_rests(here, tmp_path, monkeypatch):
    monkeypatch.setattr(events, "PAUSE", 0)
    ticks = itertools.count()
    monkeypatch.setattr(events, "_written", lambda file: (next(ticks), 0))
    with pytest.raises(UserError, match="is being written to all the time"):
        open_source(f"project:{tmp_path / 'project'}")
