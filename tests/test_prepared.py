"""PreparedSource and the SPECs that name prepared data."""

import concurrent.futures
import pickle
import subprocess
import sys
from pathlib import Path

import grain
import numpy as np
import pytest
from absl import flags

from rsisrefiner_jax.data.builders.preparation import prepare
from rsisrefiner_jax.data.prepared import PreparedSource, prepared_root
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.errors import UserError
from tests import official_layouts

REPOSITORY = Path(__file__).parent.parent


def whu_with_more(source: Path, count: int) -> None:
    """WHU tiles, one a split and `count` more in train."""
    official_layouts.whu(source)
    for i in range(count):
        for kind, pixels in (
            ("image", official_layouts.picture(i, 64, 64)),
            ("label", official_layouts.blobs(i, 64, 64, 1)),
        ):
            official_layouts.save(source / "train" / kind / f"{i + 8}.tif", pixels)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """WHU tiles, one a split and ten in train; returns the root of prepared data."""
    source, root = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("prepared")
    whu_with_more(source, 9)
    prepare("whu_building", str(source), str(root))
    return root


@pytest.fixture(autouse=True)
def root(tiles, monkeypatch):
    monkeypatch.setenv("RSISREFINER_DATA", str(tiles))


def test_order_is_that_of_the_source():
    names = [scene.name for scene in PreparedSource("whu_building", "train")]
    assert names == ["0", *(str(i + 8) for i in range(9))]  # 8, 9, 10 ...: not as text


def test_many_shards(tmp_path, monkeypatch):
    source, root = tmp_path / "source", tmp_path / "prepared"
    whu_with_more(source, 5)
    monkeypatch.setattr("rsisrefiner_jax.data.builders.base.SHARD_BYTES", 30_000)
    monkeypatch.setenv("RSISREFINER_DATA", str(root))
    prepare("whu_building", str(source))
    assert len(list(root.glob("whu_building/1.0.0/*train.array_record*"))) > 1
    names = [scene.name for scene in PreparedSource("whu_building", "train")]
    assert names == ["0", "8", "9", "10", "11", "12"]


def test_splits():
    assert len(open_source("whu_building:test")) == 1
    assert len(open_source("whu_building")) == 12
    assert len(open_source("whu_building:train[:30%]")) == 3
    with pytest.raises(UserError, match=r"whu_building:dev': no such split; .* test, train, val"):
        open_source("whu_building:dev")
    with pytest.raises(UserError, match=r"cannot be read"):
        open_source("whu_building:train[nonsense]")


def test_pictures_come_back_as_rgb():
    scene = PreparedSource("whu_building", "test")[0]
    left, right = scene.image[:, :20].mean((0, 1)), scene.image[:, -20:].mean((0, 1))
    assert left[0] > left[2] + 100  # red
    assert right[2] > right[0] + 100  # blue
    assert scene.image.dtype == np.uint8
    assert scene.labels.dtype == np.int32
    assert scene.ignore.dtype == bool
    assert scene.image.flags.c_contiguous


def test_index_outside():
    with pytest.raises(IndexError, match=r"scenes 0..11, not 12"):
        PreparedSource("whu_building")[12]


def test_pickled_copies_and_threads_read_the_same():
    source = PreparedSource("whu_building")
    copy = pickle.loads(pickle.dumps(source))
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        scenes = list(threads.map(copy.__getitem__, list(range(len(copy))) * 3))
    for i, scene in enumerate(scenes):
        assert scene.name == source[i % len(source)].name
        assert np.array_equal(scene.labels, source[i % len(source)].labels)


def test_grain_threads_and_workers():
    source = PreparedSource("whu_building")
    names = [scene.name for scene in source]
    dataset = grain.MapDataset.source(source).map(lambda scene: scene.name)
    threaded = dataset.to_iter_dataset(grain.ReadOptions(num_threads=3))
    assert list(threaded) == names
    flags.FLAGS.mark_as_parsed()
    workers = grain.MultiprocessingOptions(num_workers=1)
    iterator = iter(dataset.to_iter_dataset(grain.ReadOptions(num_threads=1)).mp_prefetch(workers))
    assert list(iterator) == names
    iterator.close()


def test_tensorflow_jax_and_network_are_not_needed():
    code = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('network')\n"
        "socket.socket.connect = refuse\n"
        "from rsisrefiner_jax.data.spec import open_source\n"
        "assert open_source('whu_building:val')[0].objects\n"
        "assert not {'tensorflow', 'jax', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)


def test_unprepared_names_say_how_to_prepare_them(monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"data\.prepare isaid --from DIR"):
        open_source("isaid:val")
    with pytest.raises(UserError, match=r"unknown data set 'potsdan'; did you mean 'potsdam'"):
        open_source("potsdan")
    monkeypatch.delenv("RSISREFINER_DATA")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert prepared_root() == tmp_path / ".local/share/rsisrefiner_jax/data"


@pytest.mark.parametrize(
    ("spec", "form"),
    [
        ("coco:images", "coco:IMAGES_DIR,ANNOTATIONS.json"),
        ("instances:images", "instances:IMAGES_DIR,MASKS_DIR"),
        ("classes:images,masks", "classes:IMAGES_DIR,MASKS_DIR,class=2"),
        ("classes:images,class=2", "classes:IMAGES_DIR,MASKS_DIR,class=2"),
        ("geo:raster.tif", "geo:RASTER.tif,VECTORS.gpkg"),
    ],
)
def test_specs_that_lack_a_part_show_the_form(spec, form):
    with pytest.raises(UserError, match=f"expected {form}"):
        open_source(spec)


def test_records_that_are_gone(tmp_path, monkeypatch):
    monkeypatch.setenv("RSISREFINER_DATA", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "about.json").write_text('{"splits": {"train": {}}}')
    with pytest.raises(UserError, match=r"the records are gone"):
        open_source("mine")
    (tmp_path / "mine" / "about.json").write_text("{")
    with pytest.raises(UserError, match=r"about.json: cannot be read"):
        open_source("mine")
