"""IoU, NoC and NoF against recorded values."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.data.object_hash import object_hash
from rsisrefiner_jax.interaction import metrics

GOLDEN = np.load(Path(__file__).parent / "goldens" / "noc_iou.npz")
STUDIES = ("s0", "s1", "s2")
PAIRS = sorted({key.split("/")[0] for key in GOLDEN if key.startswith("iou")})


@pytest.mark.parametrize("study", STUDIES)
def test_counts_equal_the_reference(study):
    golden = {key: GOLDEN[f"{study}/{key}"] for key in ("ious", "max_clicks", "thresholds")}
    traces, max_clicks = golden["ious"].tolist(), int(golden["max_clicks"])
    nocs = [metrics.number_of_clicks(traces, t, max_clicks) for t in golden["thresholds"]]
    np.testing.assert_allclose([noc for noc, _ in nocs], GOLDEN[f"{study}/noc"])
    np.testing.assert_allclose([std for _, std in nocs], GOLDEN[f"{study}/noc_std"])
    strict = [metrics.number_of_failures(traces, t) for t in golden["thresholds"]]
    assert strict == GOLDEN[f"{study}/never_reached"].tolist()
    at_max = [
        metrics.number_of_failures_at_max(traces, t, max_clicks) for t in golden["thresholds"]
    ]
    assert at_max == GOLDEN[f"{study}/nof"].tolist()
    np.testing.assert_allclose(
        metrics.miou_curve(traces, max_clicks), GOLDEN[f"{study}/miou_curve"], rtol=1e-6
    )


@pytest.mark.parametrize("pair", PAIRS)
def test_iou_equals_the_reference(pair):
    target = GOLDEN[f"{pair}/gt"]
    mask = np.unpackbits(GOLDEN[f"{pair}/pred"])[: target.size].reshape(target.shape).astype(bool)
    found = float(metrics.iou(jnp.asarray(target[None]), jnp.asarray(mask[None]))[0])
    np.testing.assert_equal(found, float(np.float32(GOLDEN[f"{pair}/iou"])))


def test_targets_are_met_in_float32():
    assert metrics.reaches(0.85 - 1e-9, 0.85)
    assert not metrics.reaches(0.85 - 1e-6, 0.85)


def test_a_trace_that_stopped_early_keeps_its_last_iou():
    curve = metrics.miou_curve([[0.5, 0.9], [0.1, 0.2, 0.3, 0.5]], 4)
    np.testing.assert_allclose(curve, [0.3, 0.55, 0.6, 0.7], rtol=1e-6)


def test_reaching_the_target_with_the_last_click():
    traces = [[0.1, 0.2, 0.95]]
    assert metrics.number_of_failures(traces, 0.9) == 0
    assert metrics.number_of_failures_at_max(traces, 0.9, 3) == 1


def test_no_objects_is_not_a_number():
    assert np.isnan(metrics.number_of_clicks([], 0.9, 20)).all()
    assert np.isnan(metrics.miou_curve([], 3)).all()


def test_object_hash_depends_on_every_part_and_the_order():
    objects = [("a", 1, 10), ("b", 1, 20)]
    assert object_hash(objects) == (
        "sha256:48b8f02ff3aa9fb0643b1d37a98a062f0ef9a8f3bf534f6445cc348e9e229eda"
    )
    others = [[("a", 1, 10), ("b", 1, 21)], objects[::-1], [("a", 2, 10), ("b", 1, 20)]]
    assert len({object_hash(other) for other in [objects, *others]}) == 4


def test_confidence_interval():
    # Student's t of 0.975 with 2 degrees of freedom is 4.30265.
    low, high = metrics.confidence_interval([1.0, 2.0, 4.0])
    half = 4.30265 * np.std([1, 2, 4], ddof=1) / 3**0.5
    np.testing.assert_allclose([low, high], [7 / 3 - half, 7 / 3 + half], rtol=1e-5)
    assert metrics.confidence_interval([2.5, 2.5]) == [2.5, 2.5]
    narrow = metrics.confidence_interval([1.0, 2.0, 4.0], level=0.5)
    assert low < narrow[0] < 7 / 3 < narrow[1] < high


def test_confidence_intervals_hold_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = [
        low <= 5 <= high
        for low, high in (metrics.confidence_interval(rng.normal(5, 2, 4)) for _ in range(400))
    ]
    assert 0.92 < np.mean(held) < 0.98
