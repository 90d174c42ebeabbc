"""Runs that are stopped, killed and taken up by other numbers of processes, as people start them.

`python -m benchmarks.stops` and `benchmarks.layouts` do the same to the whole network, more often.
"""

from pathlib import Path

import pytest

from benchmarks import layouts, stops
from rsisrefiner_jax.config import to_json
from tests.test_many_processes import CONFIG

pytestmark = pytest.mark.slow


@pytest.fixture
def given(tmp_path) -> list[str]:
    """The command line of a check: where, of which network and configuration."""
    config = tmp_path / "config.py"
    config.write_text(
        f"from rsisrefiner_jax.config import from_json\nconfig = from_json({to_json(CONFIG)!r})\n"
    )
    program = Path(__file__).parent / "small_train.py"
    return ["--folder", str(tmp_path), "--program", str(program), "--config", str(config), "--set"]


def test_a_run_that_is_stopped_and_killed_equals_one_that_is_not(given):
    stops.main([*given, "train.csv=True", "--how", "term", "kill", "--times", "1"])


def test_a_run_of_four_processes_then_two_one_and_two_equals_one_device(given):
    settings = (f"train.samples_per_epoch={8 * layouts.STEPS}", "train.csv=True")
    layouts.main([*given, *settings, "--only", "chain"])
