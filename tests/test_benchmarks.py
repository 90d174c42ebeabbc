"""Every benchmark runs on a small network and reports; its times are not looked at."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SMALL = [
    *("--config", "configs/quickstart.py", "--repeat", "1"),
    *("--set", "model.image_size=64", "model.depth=2", "model.early_blocks=1,2"),
]
RUNS = {
    "click": ["--objects", "2", "--image", "64", "64"],
    "compile": ["--only", "train"],
    "data": ["--data", "synthetic:train@96", "--samples", "2"],
    "evaluate": ["--data", "synthetic:test@96", "--limit", "2", "--batch", "1", "2"],
    "session": ["--data", "synthetic:test@96", "--pictures", "2", "--clicks", "2"],
}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", RUNS)
def test_it_reports(name, tmp_path):
    out = tmp_path / "out.json"
    more = ["protocol.max_clicks=3"] if name == "evaluate" else []
    command = [sys.executable, "-m", f"benchmarks.{name}", *SMALL, *more, *RUNS[name]]
    done = subprocess.run(
        [*command, "--json", str(out)],
        cwd=ROOT,
        env=os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},  # quick to compile
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    tables = json.loads(out.read_text())
    assert all(table["rows"] for table in tables)
    if name == "evaluate":
        assert [row["same"] for row in tables[0]["rows"]] == [2, 2, 2]
