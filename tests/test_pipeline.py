"""The stream of training batches: content, determinism, resuming, sharing out, mixing."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rsisrefiner_jax.config import Augment, Config, Data, Model, Train
from rsisrefiner_jax.data.coco import read_rgb
from rsisrefiner_jax.data.pipeline import Samples, training_dataset, training_iterator
from rsisrefiner_jax.data.preview import training_sheet
from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.errors import UserError
from tests.doctor_sets import H, W, coco_content, write_coco

SIZE = 64


class Rectangles:
    """Scenes of one value of red, with one rectangle each and a strip to ignore."""

    def __init__(self, red: int, length: int = 10, side: int = 30) -> None:
        self.red, self.length, self.side = red, length, side

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Scene:
        image = np.full((80, 90, 3), (self.red, 100, 100), np.uint8)
        labels = np.zeros((80, 90, 1), np.int32)
        labels[30 : 30 + self.side, 20 + index : 20 + index + self.side] = index + 1
        ignore = np.zeros((80, 90), bool)
        ignore[:, 70:] = True
        return Scene(f"{index}", image, labels, (SceneObject(index + 1, 0),), ignore)


PLAIN = Augment(brightness_contrast=0, rgb_shift=0)


def make_config(batch_size=4, seed=0, **data) -> Config:
    weights = data.get("weights", ())
    return Config(
        seed=seed,
        model=Model(image_size=SIZE),
        data=dataclasses.replace(
            Data(augment=PLAIN, min_object_area=100),
            train=("synthetic",) * max(len(weights), 1),
            **data,
        ),
        train=Train(batch_size=batch_size),
    )


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)


def take(iterator, count):
    batches = [next(iterator) for _ in range(count)]
    iterator.close()
    return batches


def test_a_batch_is_what_the_trainer_expects():
    batch = training_dataset(make_config(), sources=[Rectangles(200)])[0]
    shapes = {key: (value.shape, value.dtype.name) for key, value in batch.items()}
    assert shapes == {
        "image": ((4, SIZE, SIZE, 3), "uint8"),
        "label": ((4, SIZE, SIZE), "int8"),
        "first_click": ((4, 2), "float32"),
    }
    assert set(np.unique(batch["label"])) == {-1, 0, 1}
    for label, (y, x) in zip(batch["label"], batch["first_click"], strict=True):
        assert label[int(y), int(x)] == 1


def test_a_sample_depends_on_seed_and_number_alone():
    sources = [Rectangles(200)]
    samples = Samples(sources, make_config())
    assert_equal(samples[5], Samples(sources, make_config(batch_size=2))[5])
    assert (samples[5]["label"] != samples[6]["label"]).any()
    other = Samples(sources, make_config(seed=1))
    assert (samples[5]["label"] != other[5]["label"]).any()


def test_threads_do_not_change_the_stream():
    sources = [Rectangles(200)]
    expected = training_dataset(make_config(), sources=sources)
    for threads in (0, 1, 3):
        batches = take(training_iterator(make_config(threads=threads), sources=sources), 4)
        for number, batch in enumerate(batches):
            assert_equal(batch, expected[number])


def test_a_restored_iterator_goes_on_exactly():
    sources = [Rectangles(200)]
    iterator = training_iterator(make_config(), sources=sources)
    for _ in range(3):
        next(iterator)
    state = iterator.get_state()
    expected = take(iterator, 3)
    restored = training_iterator(make_config(threads=1), sources=sources)
    next(restored)  # a used iterator can be set back or forth
    restored.set_state(state)
    for first, second in zip(expected, take(restored, 3), strict=True):
        assert_equal(first, second)


def test_the_state_goes_through_grains_checkpoint(tmp_path):
    import grain.checkpoint
    from etils import epath

    handler = grain.checkpoint.CheckpointHandler()
    iterator = training_iterator(make_config(), sources=[Rectangles(200)])
    next(iterator)
    handler.save(epath.Path(tmp_path), iterator)
    restored = training_iterator(make_config(), sources=[Rectangles(200)])
    restored = handler.restore(epath.Path(tmp_path), restored)
    assert_equal(take(iterator, 1)[0], take(restored, 1)[0])


def test_two_sources_by_weight_resume_in_the_middle_of_an_epoch(tmp_path):
    import grain.checkpoint
    from etils import epath

    sources = [Rectangles(50), Rectangles(250)]
    config = make_config(weights=(1.0, 3.0), threads=2)
    assert config.train.steps_per_epoch > 37
    handler = grain.checkpoint.CheckpointHandler()
    iterator = training_iterator(config, sources=sources)
    for _ in range(37):
        next(iterator)
    handler.save(epath.Path(tmp_path), iterator)
    expected = take(iterator, 25)  # 100 samples
    fresh = training_iterator(config, sources=[Rectangles(50), Rectangles(250)])
    restored = take(handler.restore(epath.Path(tmp_path), fresh), 25)
    for first, second in zip(expected, restored, strict=True):
        assert_equal(first, second)
    reds = np.concatenate([batch["image"][..., 0].max((1, 2)) for batch in expected])
    assert 10 < (reds < 150).sum() < 45  # both sources, 1 to 3
    assert len({batch["label"].tobytes() for batch in expected}) == 25


def test_processes_share_each_batch_out():
    sources = [Rectangles(200)]
    whole = training_dataset(make_config(), sources=sources)
    parts = [training_dataset(make_config(), i, 2, sources) for i in range(2)]
    for number in (0, 7):
        for i in range(2):
            rows = slice(2 * i, 2 * i + 2)
            expected = {key: value[rows] for key, value in whole[number].items()}
            assert_equal(parts[i][number], expected)
    with pytest.raises(UserError, match=r"train\.batch_size=4 is not a multiple of the 3"):
        training_dataset(make_config(), 0, 3, sources)


def test_processes_mix_their_sources_alike():
    sources = [Rectangles(50), Rectangles(250)]
    config = make_config(weights=(1.0, 1.0), batch_size=6)
    whole = training_dataset(config, sources=sources)[3]
    iterators = [training_iterator(config, i, 3, sources) for i in range(3)]
    for i, iterator in enumerate(iterators):
        iterator.set_state({"next_batch": 3})
        rows = slice(2 * i, 2 * i + 2)
        assert_equal(take(iterator, 1)[0], {key: value[rows] for key, value in whole.items()})


def share_of_first(config, sources, count=400):
    samples = Samples(sources, config)
    return np.mean([samples[k]["image"][..., 0].max() < 150 for k in range(count)])


def test_sources_are_mixed_by_weight_or_by_length():
    sources = [Rectangles(50, length=2), Rectangles(250, length=8)]
    assert share_of_first(make_config(weights=(3.0, 1.0)), sources) == pytest.approx(0.75, abs=0.07)
    assert share_of_first(make_config(), sources) == pytest.approx(0.2, abs=0.07)
    assert share_of_first(make_config(weights=(0.0, 1.0)), sources, 50) == 0
    with pytest.raises(UserError, match=r"data\.weights=\(0\.0, 0\.0\)"):
        training_dataset(make_config(weights=(0.0, 0.0)), sources=sources)


def test_scenes_without_a_target_are_drawn_again():
    sources = [Rectangles(50, side=5), Rectangles(250)]
    config = make_config(weights=(0.9, 0.1))
    assert share_of_first(config, sources, 20) == 0  # 5 x 5 px is below min_object_area


class Broken(Rectangles):
    """Some of its scenes cannot be read."""

    def __getitem__(self, index: int) -> Scene:
        if index < self.side % 10:
            raise UserError(f"{index}.png ends early")
        return super().__getitem__(index)


def test_scenes_that_cannot_be_read_are_told_once_and_drawn_anew(capsys):
    samples = Samples([Broken(200, length=4, side=32)], make_config())  # scenes 0 and 1
    drawn = [samples[k] for k in range(30)]
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("note: training without scene (1 so far): ")
    assert second.startswith("note: training without scene (2 so far): ")
    assert {line[-16:] for line in (first, second)} == {"0.png ends early", "1.png ends early"}
    again = Samples([Broken(200, length=4, side=32)], make_config())
    for k in range(30):
        assert_equal(drawn[k], again[k])
    with pytest.raises(UserError, match=r"\['synthetic'\]: nothing can be drawn; .*ends early"):
        Samples([Broken(200, length=3, side=33)], make_config())[0]


def test_the_bands_of_the_configuration_are_those_that_are_trained_on(tmp_path):
    pytest.importorskip("rasterio")
    from rsisrefiner_jax.data.spec import open_source
    from rsisrefiner_jax.data.stretch import Recipe
    from tests.rasters import write_raster

    across, down = np.meshgrid(np.arange(W), np.arange(H))
    bands = 1000 + 50 * np.stack([across, -across, across, down]).astype(np.int16)
    bands[:, :10] = -1
    content = coco_content()
    for image in content["images"]:
        image["file_name"] = "16 bits.tif"
    spec = write_coco(tmp_path, content)
    write_raster(tmp_path / "images" / "16 bits.tif", bands, nodata=-1)

    data = dataclasses.replace(make_config().data, train=(spec,), bands=(4,), stretch=(0, 50))
    config = dataclasses.replace(make_config(), data=data)
    recipe = Recipe.of(data)
    scene = open_source(spec, recipe)[0]
    np.testing.assert_array_equal(scene.ignore, down < 10)
    assert (scene.image == scene.image[:, :1, :1]).all()  # the fourth band differs by row only
    assert (np.diff(scene.image[10:, 0, 0].astype(int)) >= 0).all()
    assert (scene.image[30:] == 255).all()  # from half of them on
    assert (open_source(spec)[0].image[20] != scene.image[20]).any()
    expected = training_dataset(config, sources=[open_source(spec, recipe)])
    assert_equal(training_dataset(config)[0], expected[0])
    plain = dataclasses.replace(config, data=dataclasses.replace(data, bands=()))
    assert (training_dataset(plain)[0]["image"] != expected[0]["image"]).any()
    wrong = dataclasses.replace(config, data=dataclasses.replace(data, bands=(9,)))
    with pytest.raises(UserError, match=r"data\.bands=\[9\] but the file has only 4"):
        training_dataset(wrong)[0]


def test_hopeless_data_are_named():
    iterator = training_iterator(make_config(), sources=[Rectangles(50, side=5)])
    with pytest.raises(UserError, match=r"data\.train=\['synthetic'\]: no object .*100 pixels"):
        next(iterator)
    iterator.close()
    with pytest.raises(UserError, match="seed=-1"):
        training_dataset(make_config(seed=-1), sources=[Rectangles(50)])
    nothing = dataclasses.replace(make_config(), data=Data(train=()))
    with pytest.raises(UserError, match=r"data\.train is empty"):
        training_dataset(nothing)


def test_reading_data_does_not_import_jax():
    """All but the pipeline itself: grain imports jax."""
    code = (
        "import sys; from rsisrefiner_jax.data import augment, coco, first_click, preview, spec; "
        "sys.exit('jax' in sys.modules or 'grain' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


WORKERS = """
import multiprocessing
import os
import signal
import numpy as np
from rsisrefiner_jax.data.pipeline import training_dataset, training_iterator
from rsisrefiner_jax.errors import UserError
from tests.test_pipeline import Rectangles, make_config

if __name__ == "__main__":
    config = make_config(workers=1, threads=1)
    hopeless = training_iterator(config, sources=[Rectangles(200, side=5)])
    try:
        next(hopeless)
    except UserError as error:
        print(error)
    hopeless.close()
    config, sources = make_config(workers=2, threads=1), [Rectangles(200)]
    expected = training_dataset(config, sources=sources)
    iterator = training_iterator(config, sources=sources)
    for number in range(3):
        np.testing.assert_array_equal(next(iterator)["image"], expected[number]["image"])
    print(multiprocessing.active_children()[0].pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_worker_processes_give_the_same_stream_and_end_with_a_killed_run(tmp_path, pytestconfig):
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    # Pipes would be held open by the worker.
    with (tmp_path / "said").open("w") as out, (tmp_path / "errors").open("w") as errors:
        done = subprocess.run(
            [sys.executable, str(script)],
            env={**os.environ, "PYTHONPATH": str(pytestconfig.rootpath)},
            stdout=out,
            stderr=errors,
            timeout=120,
        )
    assert done.returncode == -signal.SIGKILL, (tmp_path / "errors").read_text()
    said = (tmp_path / "said").read_text()
    assert "no object of at least" in said
    worker = int(said.split()[-1])
    end = time.monotonic() + 30
    while alive(worker) and time.monotonic() < end:
        time.sleep(0.05)
    if alive(worker):
        os.kill(worker, signal.SIGKILL)
        pytest.fail("the worker went on")


def alive(pid: int) -> bool:
    """Whether it runs; one that has ended may stay in the list of processes."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_training_sheet_shows_outline_click_and_ignored(tmp_path):
    batch = training_dataset(make_config(batch_size=6), sources=[Rectangles(10)])[0]
    path = tmp_path / "previews" / "sheet.png"
    training_sheet(batch, str(path), tiles=5)
    sheet = read_rgb(str(path))
    assert sheet.shape == (2 * SIZE, 4 * SIZE, 3)
    y, x = batch["first_click"][1].astype(int)
    assert sheet[y, SIZE + x].tolist() == [255, 60, 60]
    assert (sheet[:SIZE, :SIZE] == [60, 220, 60]).all(axis=-1).sum() > 60
    assert not sheet[SIZE:, SIZE:].any()  # five tiles: the rest of the second row is empty
