"""The whole evaluation loop with the full-size network against the recorded reference."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rsisrefiner_jax.interaction.session import ClickSession
from rsisrefiner_jax.protocol import PRESETS
from tests import full_size
from tests.fakes import RecordingPrograms
from tests.goldens import make_inputs
from tests.plain_annotator import next_click
from tests.plain_session import iou

GOLDEN = np.load(Path(__file__).parent / "goldens" / "e2e_evaluate_sample.npz")
CASES = sorted({key.split("/")[0] for key in GOLDEN})
PROTOCOL = dataclasses.replace(PRESETS["paper"], early_stop=None, max_clicks=6)


def ordered_points(points):
    """The reference's rows (positive half, negative half) as yx [B, n, 2], label [B, n]."""
    order = points[0, :, 2]
    rows = np.argsort(np.where(order < 0, np.inf, order), kind="stable")[: (order >= 0).sum()]
    return points[:, rows, :2], (rows < points.shape[1] // 2).astype(np.int32)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_click_loop_equals_the_reference(case):
    golden = {
        key.removeprefix(f"{case}/"): GOLDEN[key] for key in GOLDEN if key.startswith(f"{case}/")
    }
    mode = case.split("_")[0]
    network, variables = full_size.full_size_network(mode, float(golden["bias_shift"]))
    seed, (height, width) = int(golden["image_seed"]), golden["size"].tolist()
    target = make_inputs.blob_mask(seed, height, width)
    programs = RecordingPrograms(network, variables, PROTOCOL)
    session = ClickSession(programs, make_inputs.image(seed, height, width))
    for step, expected in enumerate(golden["clicks_y_x_pos_idx"].tolist()):
        click = next_click(target, session.mask, session.clicks)
        assert [click.y, click.x, int(click.positive), step] == expected
        programs.calls.clear()
        probs = session.click(*click)
        assert session.roi == tuple(golden["rois"][step].tolist())
        ((prev_mask, (yx, label)),) = programs.calls
        assert prev_mask.any() == (golden["passes"][step] == 1)
        points, signs = ordered_points(golden[f"step{step}/points"])
        np.testing.assert_allclose(yx[:, : step + 1], points, atol=1e-4)
        assert (label[:, : step + 1] == signs).all()
        np.testing.assert_allclose(
            probs.flat[golden[f"step{step}/prob_idx"]], golden[f"step{step}/prob_val"], atol=2e-4
        )
        assert iou(target, session.mask) == pytest.approx(golden["ious"][step], abs=2e-3)
