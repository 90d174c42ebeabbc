"""Best and worst clicks: what the search finds, and what is made of it."""

import copy
import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation import trajectories
from rsisrefiner_jax.interaction import simulate
from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.interaction.search import Search, extreme_click
from rsisrefiner_jax.interaction.session import ClickSession
from tests.fakes import PAPER, SIZE, Disks, noise, programs, rectangle, slots, smooth_object, traces

ONE = dataclasses.replace(PAPER, max_clicks=1, flip=False, click_candidates=40)
# Crops that move with the clicks.
SHORT = dataclasses.replace(
    PAPER,
    max_clicks=4,
    early_stop=None,
    zoom_min_crop=24,
    zoom_refresh="always",
    click_candidates=9,
)


class UpToTheClick(ClickModel):
    """Answers "object" in all columns up to that of the first click."""

    image_size: int = SIZE

    def encode_image(self, image):
        return image[..., 0]

    def predict(self, features, prev_mask, clicks, *, group=1):
        columns = jnp.arange(SIZE) <= clicks.yx[:, :1, 1]
        return jnp.where(columns[:, None], 8.0, -7.0) + 0 * features


@pytest.mark.parametrize(("strategy", "column", "iou"), [("best", 3, 1.0), ("worst", 0, 0.25)])
def test_the_click_is_where_the_iou_is_known_to_be_extreme(strategy, column, iou):
    target = rectangle((0, SIZE, 0, 4), SIZE, SIZE)
    protocol = dataclasses.replace(ONE, click_strategy=strategy)
    (trace,) = traces(slots(UpToTheClick(), protocol), [(noise(SIZE, SIZE), target)])
    assert trace.clicks[0].x == column
    assert trace.clicks[0].positive
    assert trace.ious.tolist() == [iou]


def search(sign, depth, candidates=30, margin=0.0, seed=0, wanted=(20, 45)):
    """Looks for the pixel that is nearest to a wanted one, or farthest from it."""
    centre = jnp.array([[16.0, 30.0]])
    keys = jax.random.split(jax.random.key(seed), 1)

    def nearness(yx):
        return -((yx - jnp.array(wanted)) ** 2).sum(1)

    found = extreme_click(nearness, depth[None], centre, keys, Search(sign, candidates, margin))
    return found[0].tolist(), float(nearness(found)[0])


def test_more_candidates_come_nearer_and_draws_depend_on_the_key_alone():
    depth = jnp.ones((40, 60))
    found = {n: search(1, depth, n) for n in (1, 12, 60)}
    assert found[1][0] == [16, 30]  # the centre is the first
    assert found[1][1] < found[12][1] < found[60][1]
    assert found[60][1] >= -8
    assert search(1, depth, 12) == found[12]
    assert search(1, depth, 12, seed=1) != found[12]


def test_clicks_stay_in_the_error_and_off_its_rim():
    depth = jnp.zeros((40, 60)).at[10:30, 20:40].set(1).at[15:25, 25:35].set(16)
    (_, x), _ = search(1, depth)
    assert 35 <= x < 40
    (_, x), _ = search(1, depth, margin=0.5)
    assert 30 < x < 35
    (_, x), _ = search(-1, depth, 60)
    assert 20 <= x <= 24


@pytest.mark.parametrize(("strategy", "sign"), [("best", 1), ("worst", -1)])
def test_never_on_the_wrong_side_of_the_centre_click(strategy, sign):
    image, target = smooth_object(200, 240, 1)
    protocol = dataclasses.replace(SHORT, click_strategy=strategy)
    (trace,) = traces(slots(Disks(), protocol), [(image, target)])
    session = ClickSession(programs(Disks(), SHORT), image, keep_history=False)
    moved, gains = 0, []
    for click, iou, roi in zip(trace.clicks, trace.ious, trace.rois, strict=True):
        other = copy.copy(session)
        centre = simulate.next_click(target, session.mask, session.clicks)
        assert click.positive == centre.positive
        error = (target == 1) & ~session.mask if click.positive else (target == 0) & session.mask
        assert error[int(click.y), int(click.x)]
        other.click(*centre)
        moved += session.roi != roi
        # What the loop tried is what a session answers.
        session.click(*click)
        assert session.roi == roi
        assert simulate.iou(target, session.mask) == iou
        gains.append(sign * (iou - simulate.iou(target, other.mask)))
    assert min(gains) >= 0
    assert max(gains) > 0
    assert moved > 1


def test_the_answers_that_were_tried_are_counted():
    protocol = dataclasses.replace(SHORT, click_strategy="best")
    run = slots(Disks(), protocol)
    before = run.made, run.needed
    traces(run, [(noise(), rectangle((30, 70, 20, 90)))])
    assert (run.made - before[0], run.needed - before[1]) == (4 * 10, 4)


IOUS = {
    "best": [(0.5, 0.9), (0.8, 0.8)],
    "centre": [(0.4, 0.8), (0.4, 0.7)],
    "random": [(0.4, 0.6), (0.2, 0.8), (0.2, 0.8), (0.4, 0.6)],  # two seeds
    "worst": [(0.1, 0.3), (0.2, 0.2)],
}


def written(directory, ious=IOUS):
    """What eval.py leaves of two objects; an object that stops has fewer IoUs."""
    for strategy, rows in ious.items():
        protocol = {"name": "paper", "max_clicks": 2, "click_candidates": 9, "click_margin": 0.0}
        entry = {
            "object_hash": "x",
            "noc": {"80": 2.0},
            "nof": {"80": 1},
            "miou": np.mean(rows, 0).tolist(),
            "miou_stops_at": 0.9,
        }
        if strategy == "random":
            entry["noc_ci95"] = {"80": [1.5, 2.5]}
        results = {"checkpoint": "runs/x", "protocol": protocol, "datasets": {"d": entry}}
        (directory / strategy).mkdir(parents=True)
        (directory / strategy / "results.json").write_text(json.dumps(results))
        lines = []
        for i, row in enumerate(rows):
            line = {"dataset": "d", "image": "a", "object_id": 1 + i % 2, "seed": i // 2}
            line |= {"class": ("ship", "pier")[i % 2], "area_px": (1023, 9216)[i % 2]}
            lines.append(json.dumps(line | {"ious": row, "clicks": []}))
        (directory / strategy / "objects.jsonl").write_text("\n".join(lines) + "\n")
    return directory


def test_the_gap_is_the_mean_over_clicks_and_objects(tmp_path):
    entry = trajectories.summarize(written(tmp_path))["datasets"]["d"]
    # Objects: (.4 + .6) / 2 and (.6 + .6) / 2.
    assert entry["gap"]["mean"] == pytest.approx(0.55)
    assert entry["gap"]["after_click"] == pytest.approx([0.5, 0.6])
    # Student's interval of two values: 12.706 times half their difference.
    assert entry["gap"]["ci95"] == pytest.approx([0.55 - 12.706 * 0.05, 0.55 + 12.706 * 0.05], 1e-3)
    assert entry["strategies"]["random"]["mean_iou"] == pytest.approx(0.5)
    assert entry["classes"]["pier"]["gap"] == pytest.approx(0.6)
    sizes = {name.split()[0]: group["objects"] for name, group in entry["sizes"].items()}
    assert sizes == {"small": 1, "large": 1}


def test_several_models_in_one_table(tmp_path, capsys):
    one, two = written(tmp_path / "one"), written(tmp_path / "two")
    trajectories.main([str(one), str(two)])
    text = capsys.readouterr().out
    assert text.count("**gap**") == 2
    assert f"| {one} | random | 2.00 [1.50, 2.50] | 0.300 | 0.500 |" in text
    assert trajectories.write(one).count("**gap**") == 1
    assert json.loads((one / "trajectories.json").read_text()) == trajectories.summarize(one)


def test_a_missing_strategy_is_named(tmp_path):
    directory = written(tmp_path)
    (directory / "worst" / "results.json").unlink()
    with pytest.raises(UserError, match="worst: holds no finished evaluation"):
        trajectories.summarize(directory)
