"""The batched click loop equals the plain one, whatever the batch, the rows and the padding."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.interaction import metrics
from rsisrefiner_jax.interaction.clicks import Click
from rsisrefiner_jax.interaction.session import ClickSession
from rsisrefiner_jax.interaction.simulate import simulate
from rsisrefiner_jax.interaction.slots import Item
from rsisrefiner_jax.protocol import PRESETS
from tests import tiny
from tests.fakes import (
    SHORT,
    Bright,
    Disks,
    Mixed,
    evaluation,
    noise,
    plain_trace,
    programs,
    rectangle,
    same,
    scene,
    slots,
    smooth_object,
    traces,
)

SIZES = [(100, 120), (64, 64), (33, 47), (17, 240), (255, 201), (150, 133)]
OBJECTS = [smooth_object(h, w, i) for i, (h, w) in enumerate(SIZES)]
LARGE = [smooth_object(h, w, 9 + i) for i, (h, w) in enumerate([(301, 257), (380, 350), (99, 371)])]
# The network's input and the pictures are small, so are their crops.
PROTOCOLS = {
    name: dataclasses.replace(
        protocol, max_clicks=6, zoom_min_crop=60, zoom_size=57 if protocol.zoom_size else None
    )
    for name, protocol in PRESETS.items()
}
NARROW = dataclasses.replace(SHORT, zoom_min_crop=20, early_stop=None)
RESTLESS = dataclasses.replace(
    NARROW, zoom_refresh="always", zoom_outside="zero", flip=False, min_clicks=3, early_stop=0.9
)


def assert_equals_the_plain_loop(protocol, objects, shape, optimized=False):
    """So do the clicks of the sequential loop; optimized, it has the same probabilities too."""
    model = Mixed()
    run = slots(model, protocol, batch=3, shape=shape, optimized=optimized)
    shared = programs(model, protocol, optimized)
    batched = traces(run, objects)
    for (image, target), trace in zip(objects, batched, strict=True):
        expected = plain_trace(model, image, target, protocol)
        assert same(trace, expected)
        np.testing.assert_allclose(trace.probs, expected.probs, atol=2e-6)
        with tiny.compilation(optimized):
            sequential = simulate(ClickSession(shared, image), target, protocol)
        assert same(trace, sequential)
        np.testing.assert_allclose(trace.probs, sequential.probs, atol=0 if optimized else 1e-6)
    assert max(len(trace.clicks) for trace in batched) == 6
    assert len({click.positive for trace in batched for click in trace.clicks}) == 2
    moved = [trace for trace in batched if len(set(trace.rois)) > 1]
    assert moved


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_equals_the_plain_loop(name):
    assert_equals_the_plain_loop(PROTOCOLS[name], OBJECTS, (256, 256))


def test_a_crop_that_always_moves_equals_the_plain_loop():
    assert_equals_the_plain_loop(RESTLESS, OBJECTS, (256, 256))


def test_large_images_equal_the_plain_loop():
    assert_equals_the_plain_loop(SHORT, LARGE, (384, 384), optimized=True)


MANY = [smooth_object(40 + 9 * i, 200 - 7 * i, 50 + i) for i in range(20)]


@pytest.fixture(scope="module")
def one_by_one():
    return traces(slots(Mixed(), NARROW, batch=1, optimized=True), MANY)


def assert_same_traces(got, expected):
    for trace, other in zip(got, expected, strict=True):
        assert same(trace, other)
        np.testing.assert_array_equal(trace.probs, other.probs)


@pytest.mark.parametrize(("batch", "rows"), [(7, 1), (32, 1), (7, 4), (32, 4)])
def test_the_batch_changes_nothing(one_by_one, batch, rows):
    run = slots(Mixed(), NARROW, batch, rows, optimized=True)
    assert_same_traces(traces(run, MANY), one_by_one)


def test_the_order_changes_nothing(one_by_one):
    again = traces(slots(Mixed(), NARROW, 7, optimized=True), MANY[::-1])
    assert_same_traces(again[::-1], one_by_one)


def test_padding_changes_nothing(one_by_one):
    run = slots(Mixed(), NARROW, shape=(384, 260), optimized=True)
    assert_same_traces(traces(run, MANY), one_by_one)


def test_the_number_of_devices_changes_nothing():
    data = [scene(str(i), [(5 * i, 5 * i + 20, 10, 40), (60, 80, 3 * i, 90)]) for i in range(6)]
    one = evaluation(data)
    four = evaluation(data, devices=jax.local_devices(), batch_size=4)
    assert len(jax.local_devices()) == 4
    assert four.results == one.results
    assert len(one.results) == 12
    assert four.answers_made == four.answers_needed == one.answers_made


def answers(run, objects):
    """What the batched loop made of the objects, and the answers that it computed and needed."""
    made, needed = run.made, run.needed
    found = traces(run, objects)
    return found, run.made - made, run.needed - needed


@pytest.mark.parametrize("protocol", [NARROW, SHORT], ids=["whole", "early stop"])
def test_finished_objects_cost_nothing(protocol):
    """One answer a click."""
    found, made, needed = answers(slots(Mixed(), protocol, 7, optimized=protocol == NARROW), MANY)
    assert made == needed == sum(len(trace.clicks) for trace in found)


def test_rows_that_no_object_needs_are_counted():
    found, made, needed = answers(slots(Mixed(), SHORT, batch=7, rows=4), MANY[:9])
    assert needed == sum(len(trace.clicks) for trace in found)
    assert made > needed
    assert made % 4 == 0


class Drafting(Bright):
    """Drafts what is bright, then answers with a larger probability wherever there was any."""

    def predict(self, features, prev_mask, clicks, *, group=1):
        drafted = jnp.where(features > 0.5, 0.95, 0.05)
        empty = (prev_mask == 0).all((1, 2), keepdims=True)
        seen = jnp.where(empty, drafted, prev_mask)
        return jnp.where(seen > 0.7, 6.0, jnp.where(seen > 0.03, -1.5, -5.0))


def test_an_empty_previous_mask_is_seen_for_each_object():
    targets = [rectangle((5 * i, 5 * i + 30, 20, 60)) for i in range(8)]
    images = [np.repeat(200 * target.astype(np.uint8)[..., None], 3, -1) for target in targets]
    # A target that cannot be reached keeps its slot while others come and go.
    targets[1], targets[4] = 1 - targets[1], 1 - targets[4]
    objects = list(zip(images, targets, strict=True))
    found, made, needed = answers(slots(Drafting(), SHORT, batch=3), objects)
    for (image, target), trace in zip(objects, found, strict=True):
        assert same(trace, plain_trace(Drafting(), image, target, SHORT))
        seen = np.unique(trace.probs.round(4))
        # 6 and -1.5: the answer to a draft, then to an answer; -5 would come of an empty mask.
        np.testing.assert_allclose(seen[[0, -1]], [0.1824, 0.9975], atol=1e-4)
    assert [len(trace.clicks) for trace in found] == [1, 6, 1, 1, 6, 1, 1, 1]
    assert made == needed == 2 * 6 + 6


def test_clicks_are_spent_until_the_target_is_reached():
    found = traces(slots(Mixed(), SHORT, batch=7), MANY)
    assert len({len(trace.clicks) for trace in found}) > 2
    for trace in found:
        assert len(trace.clicks) == metrics.clicks_needed(trace.ious, 0.9, 6)


WHITE = np.full((100, 120, 3), 255, np.uint8)
ENDLESS = dataclasses.replace(SHORT, early_stop=None)


def test_early_stop():
    target = rectangle((0, 100, 0, 60))

    def ious(protocol):
        return traces(slots(Bright(), protocol), [(WHITE, target)])[0].ious.tolist()

    assert ious(SHORT) == ious(ENDLESS) == [0.5] * 6
    stop = dataclasses.replace(SHORT, early_stop=0.5, noc_targets=(0.5,))
    assert ious(stop) == [0.5]
    later = dataclasses.replace(stop, min_clicks=4)
    assert ious(later) == [0.5] * 4


def test_the_target_is_met_in_float32():
    target = rectangle((0, 9, 0, 10), 10, 10)
    trace = traces(slots(Bright(), SHORT), [(WHITE[:10, :10], target)])[0]
    assert trace.ious.tolist() == [np.float32(0.9)]


def edge(model, image, target, protocol=SHORT, shape=(256, 256)):
    """The trace of one object, which is that of the plain loop."""
    (trace,) = traces(slots(model, protocol, shape=shape), [(image, target)])
    assert same(trace, plain_trace(model, image, target, protocol))
    assert np.isfinite(trace.ious).all()
    return trace


def test_ignored_pixels_do_not_count():
    target = rectangle((0, 100, 0, 60))
    target[:, 60:] = -1
    assert edge(Bright(), WHITE, target).ious.tolist() == [1.0]
    target[10:30, 10:30] = -1  # inside the object
    assert edge(Bright(), WHITE, target).ious.tolist() == [1.0]
    for click in edge(Disks(), noise(), target).clicks:
        assert target[int(click.y), int(click.x)] != -1


def test_a_single_pixel():
    trace = edge(Disks(), noise(), rectangle((50, 51, 70, 71)))
    assert trace.clicks[0] == Click(50, 70, True)
    assert not trace.clicks[1].positive
    assert trace.ious[0] > 0
    assert len(trace.ious) == 6


@pytest.mark.parametrize("y", [0, 99])
@pytest.mark.parametrize("x", [0, 119])
def test_a_single_pixel_in_a_corner(y, x):
    trace = edge(Disks(), noise(), rectangle((y, y + 1, x, x + 1)))
    assert trace.clicks[0] == Click(y, x, True)
    assert trace.ious[0] > 0
    assert len(trace.ious) == 6


@pytest.mark.parametrize("box", [(0, 40, 0, 50), (60, 100, 70, 120), (0, 100, 50, 70)])
def test_an_object_at_the_border(box):
    trace = edge(Disks(), noise(), rectangle(box))
    assert trace.clicks[0].positive
    assert trace.ious[-1] > trace.ious[0]


def test_an_object_that_fills_the_image():
    whole = np.ones((100, 120), np.int8)
    assert edge(Bright(), WHITE, whole).ious.tolist() == [1.0]
    trace = edge(Disks(), noise(), whole)
    assert {click.positive for click in trace.clicks} == {True}
    assert (np.diff(trace.ious) > 0).all()


def test_an_image_of_one_pixel():
    trace = edge(Bright(), WHITE[:1, :1], np.ones((1, 1), np.int8))
    assert trace.ious.tolist() == [1.0]
    assert trace.clicks == (Click(0, 0, True),)
    # Never found: the pixel is clicked once, then there is nothing left to click.
    black = edge(Bright(), np.zeros((1, 1, 3), np.uint8), np.ones((1, 1), np.int8))
    assert black.clicks == (Click(0, 0, True), *[Click(0, 0, False)] * 5)
    assert black.ious.tolist() == [0.0] * 6


def test_a_long_image():
    target = rectangle((20, 40, 3000, 3900), 64, 4000)
    picture = np.repeat(200 * target.astype(np.uint8)[..., None], 3, -1)
    trace = edge(Bright(), picture, target, shape=(256, 4096))
    assert trace.rois[0] == (0, 63, 0, 3999)
    assert trace.ious[-1] > 0.9


def test_no_error_left_is_a_negative_click_in_the_corner():
    """Where nothing stops the clicks of a perfect prediction."""
    trace = edge(Bright(), WHITE, np.ones((100, 120), np.int8), ENDLESS)
    assert trace.clicks[1:] == (Click(0, 0, False),) * 5
    assert trace.ious.tolist() == [1.0] * 6


def test_random_clicks_belong_to_the_object():
    """Not to its slot, its neighbours or its place in the data set."""
    protocol = dataclasses.replace(SHORT, click_strategy="random")
    run = slots(Mixed(), protocol, batch=7)
    objects = MANY[:9]
    first = traces(run, objects, seed=5)
    assert_same_traces(traces(run, objects[::-1], seed=5)[::-1], first)
    assert_same_traces(traces(run, objects[:1], seed=5), first[:1])
    other = traces(run, objects, seed=6)
    assert not any(same(a, b) for a, b in zip(other, first, strict=True))


def test_a_lane_takes_items_as_it_has_room():
    """What is not needed yet is not read."""
    taken = []

    def items():
        for i, item in enumerate(MANY):
            taken.append(i)
            yield item

    stream = slots(Mixed(), SHORT, 7).run(Item(i, *pair, 0) for i, pair in enumerate(items()))
    next(stream)
    assert len(taken) == 7
    assert len(list(stream)) == len(MANY) - 1
