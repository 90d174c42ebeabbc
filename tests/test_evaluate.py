"""The evaluation of a data set: which objects, in which order, what is taken over and timed."""

import dataclasses
import random

import jax
import numpy as np
import pytest

from rsisrefiner_jax.config import Config
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation.plan import plan, read_items, target_of
from rsisrefiner_jax.protocol import PRESETS, preset
from tests.fakes import SHORT, Disks, Mixed, evaluation, plain_trace, scene, source

RANDOM = dataclasses.replace(SHORT, click_strategy="random")


def names(results):
    return [(result.image, result.object_id) for result in results]


def test_every_object_in_order():
    seen = []
    run = evaluation(
        source(),
        on_object=lambda index, result, scene, target, trace: seen.append(
            (index, result, scene.name, target, trace)
        ),
    )
    assert [(r.image, r.object_id, r.area_px) for r in run.results] == [
        ("a", 1, 100),
        ("a", 2, 600),
        ("b", 1, 1),
        ("b", 3, 200),
    ]
    assert run.objects == tuple(names(run.results))
    assert run.left_out == 1  # all of it ignored
    assert {result.category for result in run.results} == {"ship"}
    assert {result.dataset for result in run.results} == {"mini"}
    # Objects finish in any order; each is told with its place, scene, target and trace.
    assert sorted(index for index, *_ in seen) == [0, 1, 2, 3]
    scenes = {scene.name: scene for scene in source()}
    for index, result, name, target, trace in seen:
        assert result == run.results[index]
        assert result.image == name
        expected = target_of(scenes[name], scenes[name].objects[result.object_id - 1])
        np.testing.assert_array_equal(target, expected)
        plain = plain_trace(Disks(), scenes[name].image, target, SHORT)
        assert result.clicks == trace.clicks == plain.clicks
        assert result.ious == tuple(plain.ious.tolist())
    assert run.timed == tuple(result for _, result, *_ in seen)
    assert run.seconds > 0
    assert run.answers_made == run.answers_needed == sum(len(r.clicks) for r in run.results)


def test_images_of_several_sizes_keep_their_order():
    sizes = [(300, 120), (100, 120), (60, 400), (290, 110), (90, 90)]
    data = [scene(str(i), [(10, 30, 10, 50)], h=h, w=w) for i, (h, w) in enumerate(sizes)]
    results = evaluation(data).results
    assert names(results) == [(str(i), 1) for i in range(len(sizes))]
    for one, result in zip(data, results, strict=True):
        target = target_of(one, one.objects[0])
        assert result.clicks == plain_trace(Disks(), one.image, target, SHORT).clicks


def test_limit_and_minimum_area():
    two = evaluation(source(), limit=2)
    assert names(two.results) == [("a", 1), ("a", 2)]
    assert two.objects == (("a", 1), ("a", 2))
    large = dataclasses.replace(SHORT, min_area=150)
    entries, left_out = plan(source(), large, None, progress=False)
    assert [entry.area_px for entry in entries] == [600, 200]
    assert left_out == 3


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(UserError, match=r"'void' holds no object to evaluate \(0 left out\)"):
        evaluation([scene("a", [])], dataset="void")
    ignore = np.ones((100, 120), bool)
    with pytest.raises(UserError, match=r"\(1 left out\)"):
        evaluation([scene("a", [(1, 5, 1, 5)], ignore)])


def test_target():
    only = source()[2]
    target = target_of(only, only.objects[2])
    assert target.dtype == np.int8
    assert (target[45, 45], target[55, 45], target[5, 5]) == (1, -1, 0)


class Counting(list):
    """A data set that tells how often each scene was read."""

    def __init__(self, scenes):
        super().__init__(scenes)
        self.read = [0] * len(scenes)

    def __getitem__(self, index):
        self.read[index] += 1
        return super().__getitem__(index)


def test_a_scene_is_read_once_for_all_its_objects():
    data = Counting(source())
    entries, _ = plan(data, SHORT, None, progress=False)
    assert data.read == [1, 1, 1]
    items = list(read_items(data, entries, seed=0))
    assert data.read == [2, 1, 2]
    assert [item.tag[0] for item in items] == entries
    assert [item.target.sum(where=item.target == 1) for item in items] == [100, 600, 1, 200]


@pytest.mark.parametrize("seed", range(3))
def test_it_goes_on_from_what_is_finished_in_any_order(seed):
    whole = evaluation(source(), RANDOM, Mixed())
    finished = random.Random(seed).sample(whole.results, 1 + seed)
    seen = []
    rest = evaluation(
        source(), RANDOM, Mixed(), finished=finished,
        on_object=lambda index, *_: seen.append(index),
    )  # fmt: skip
    assert rest.results == whole.results
    assert set(names(rest.timed)) == set(names(whole.results)) - set(names(finished))
    assert sorted(seen) == [i for i, r in enumerate(whole.results) if r not in finished]
    assert 0 < rest.answers_needed < whole.answers_needed


def test_what_is_complete_is_not_repeated():
    whole = evaluation(source())
    again = evaluation(source(), finished=whole.results[::-1])
    assert again.results == whole.results
    assert (again.timed, again.seconds, again.answers_made) == ((), 0.0, 0)


def test_changed_data_are_refused():
    whole = evaluation(source())
    for other in ([source()[2]], source()[:1]):
        with pytest.raises(UserError, match="'mini' has changed"):
            evaluation(other, finished=whole.results)


def test_processes_share_the_objects():
    whole = evaluation(source())
    shares = [evaluation(source(), rank=rank, count=3) for rank in range(3)]
    assert [names(share.results) for share in shares] == [
        [("a", 1), ("b", 3)],
        [("a", 2)],
        [("b", 1)],
    ]
    together = [result for share in shares[::-1] for result in share.results]
    assert shares[0].in_order(together) == whole.results


def test_random_clicks_depend_on_seed_and_object_only():
    whole = evaluation(source(), RANDOM, Mixed())
    part = evaluation(source(), RANDOM, Mixed(), rank=1, count=2)
    assert set(part.results) <= set(whole.results)
    other = evaluation(source(), RANDOM, Mixed(), seed=1)
    assert {result.seed for result in other.results} == {1}
    large = [i for i, result in enumerate(whole.results) if result.area_px > 1]
    assert all(whole.results[i].clicks != other.results[i].clicks for i in large)
    seeds = {entry.seed(s) for entry in plan(source(), SHORT, None, False)[0] for s in (0, 1)}
    assert len(seeds) == 8


class Broken(Counting):
    """A scene cannot be read a second time."""

    def __getitem__(self, index):
        if self.read[index] == 1 and index == 2:
            raise OSError("disk gone")
        return super().__getitem__(index)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("devices", [1, 2])
def test_a_picture_that_cannot_be_read_ends_it(devices):
    with pytest.raises(OSError, match="disk gone"):
        evaluation(Broken(source()), devices=jax.devices()[:devices])


@pytest.mark.timeout(60)
@pytest.mark.parametrize("devices", [1, 2])
def test_an_interruption_ends_it(devices):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluation(source(), devices=jax.devices()[:devices], on_object=stop)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noc_targets": (0.8, 0.95)}, "early_stop=0.9 would hide NoC at 0.95"),
        ({"min_clicks": 21}, "min_clicks=21"),
        ({"zoom_size": 100}, r"zoom_size=100 must lie in 2\.\.64"),
        ({"noc_targets": (85.0,)}, "noc_targets"),
    ],
)
def test_contradicting_settings_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        evaluation(source(), dataclasses.replace(SHORT, **changes))


def test_presets():
    for name, protocol in PRESETS.items():
        assert protocol.name == name
        assert preset(name) is protocol
        assert protocol.click_strategy == "centre"
        protocol.check(Config().model.image_size)
    with pytest.raises(UserError, match="did you mean 'simpleclick'"):
        preset("simple-click")
