"""A run that goes on says what has changed, and refuses what would make it another run."""

import dataclasses

import numpy as np
import pytest

from rsisrefiner_jax.checkpoint.changes import check_changes, check_frozen
from rsisrefiner_jax.checkpoint.runs import Saved
from rsisrefiner_jax.config import Config, apply_overrides
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.experiment import estimate
from rsisrefiner_jax.networks import FROZEN
from rsisrefiner_jax.weights import save_npz
from tests import tiny

SAVED = Saved(step=40, config=tiny.CONFIG, scenes=[300], weights={}, optimizer={})


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("seed=1", "seed: 0 -> 1"),
        ("optim.clip_norm=1.0", "optim.clip_norm: null -> 1.0"),
        ("model.f_hq=False", "model.f_hq: true -> false"),
        ("train.batch_size=8", "train.batch_size: 4 -> 8"),
        ("data.train=[synthetic:train]", 'data.train: ["synthetic:train@96"] -> '),
        ("parallel.sync_batch_norm=False", "parallel.sync_batch_norm: true -> false"),
    ],
)
def test_what_is_refused(override, part):
    config = apply_overrides(tiny.CONFIG, [override])
    with pytest.raises(UserError) as error:
        check_changes(SAVED, config, [300])
    assert part in str(error.value)
    assert "--accept-changes" in str(error.value)
    assert check_changes(SAVED, config, [300], accept=True)[0].startswith(part)


def test_other_scenes_under_the_same_name_are_refused():
    with pytest.raises(UserError, match=r"scenes of synthetic:train@96: 300 -> 299"):
        check_changes(SAVED, tiny.CONFIG, [299])
    earlier = dataclasses.replace(SAVED, scenes=[])  # of a version that did not write them down
    assert check_changes(earlier, tiny.CONFIG, [299]) == []


def test_what_no_step_depends_on_is_named_only():
    overrides = ["train.epochs=5", "train.log_every=7", "protocol.max_clicks=3", "data.workers=2"]
    lines = check_changes(SAVED, apply_overrides(tiny.CONFIG, overrides), [300])
    assert [line.partition(":")[0] for line in lines] == [
        *("data.workers", "train.epochs", "train.log_every", "protocol.max_clicks")
    ]
    assert check_changes(SAVED, tiny.CONFIG, [300]) == []


def test_another_backbone_is_refused(tmp_path):
    frozen = {"backbone": {"kernel": np.ones((2, 3), np.float32)}}
    check_frozen(tmp_path, frozen, tiny.CONFIG)  # a new run
    save_npz(tmp_path / FROZEN, frozen, {})
    check_frozen(tmp_path, frozen, tiny.CONFIG)
    other = {"backbone": {"kernel": np.full((2, 3), 2, np.float32)}}
    with pytest.raises(UserError, match="holds other weights than this run has had"):
        check_frozen(tmp_path, other, tiny.CONFIG)
    with pytest.raises(UserError, match="does not fit"):
        check_frozen(tmp_path, {"backbone": {"kernel": np.ones(6)}}, tiny.CONFIG)


def test_a_full_size_training_on_a_cpu_is_said_with_its_length(monkeypatch):
    monkeypatch.setattr(estimate, "matmul_rate", lambda: 1e11)
    said = estimate.cpu_warning(Config(), 138_800_000)
    # 112,500 steps of 16 samples, 784 patches, on average 3.85 passes
    assert "582 days for 112,500 steps" in said
    assert estimate.cpu_warning(Config(), 138_800_000, done=112_500) is None
    assert estimate.cpu_warning(tiny.CONFIG, 200_000) is None
