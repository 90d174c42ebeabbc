"""A small training taken from one number of processes and devices to another.

    python -m benchmarks.layouts                 # both parts
    python -m benchmarks.layouts --only chain    # 4 processes, then 2, 1 and 2 again

`chain`: the losses, BatchNorm statistics and previews of four processes whose run two take up, then
one and two again, are those of one device. `open`: what two devices saved is resumed on 1, 2 and 8
of them and opened by every program on one, also where it names devices of another platform.

In float32 rounding may put a pixel on either side of a boundary (equation 9, the threshold of a
mask), after which losses differ by 1e-5 or more. With --float64 they agree to the last digits.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from benchmarks.annotator import Server, write_raster
from benchmarks.trainer import ROOT, SMALL, Trainer, metrics
from rsisrefiner_jax.checkpoint.runs import load_weights
from rsisrefiner_jax.errors import run_main

STEPS = 20
# Adam without eps would turn the rounding noise of a zero gradient into a full step.
SETTINGS = (*SMALL, f"train.samples_per_epoch={8 * STEPS}", "optim.lr=0.03", "optim.eps=1.0")
CHAIN = ((4, 1), (2, 2), (1, 4), (2, 1))  # (processes, devices of each), each for 5 steps
# Of losses; ten times that, relative to its largest, of each BatchNorm statistic.
SAME = {"float32": 1e-5, "float64": 1e-12}
FLAT = 1e-5  # a statistic no larger than this is compared with this
TPU = "TPU_0(process=0,(0,0,0,0))"
PREDICT = """
import sys
import numpy as np
from rsisrefiner_jax import Predictor
predictor = Predictor.from_checkpoint(sys.argv[1])
predictor.set_image(np.arange(96 * 96 * 3, dtype=np.uint8).reshape(96, 96, 3))
print(np.isfinite(predictor.click(40, 50, positive=True)).all())
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("chain", "open"))
    parser.add_argument("--float64", action="store_true", help="train in float64")
    parser.add_argument("--folder", type=Path, help="where runs and logs stay")
    parser.add_argument("--program", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--config", default="configs/quickstart.py")
    parser.add_argument("--set", nargs="+", default=list(SETTINGS), metavar="FIELD=VALUE")
    options = parser.parse_args(arguments)
    jax.config.update("jax_enable_x64", options.float64)  # weights are read here to be compared
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        check = Check(options, folder.absolute())
        check.run("one", 1, 1)
        if options.only != "open":
            check.chain()
        if options.only != "chain":
            check.open()
    if check.faults:
        raise SystemExit(1)


class Check:
    """Runs of the same training; faults: what went wrong."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._same = SAME["float64" if options.float64 else "float32"]
        self.faults: list[str] = []

    def run(self, name: str, processes: int, devices: int, until: int | None = None) -> None:
        """A start of the run of this name, to its end or until a step."""
        given = {"program": self._options.program} if self._options.program else {}
        flags = ["--config", self._options.config, "--set", *self._options.set]
        places = (self._folder / name, self._folder / "logs" / name, self._folder / "cache")
        run = Trainer(*places, flags, processes, devices, float64=self._options.float64, **given)
        run.start(*(["--set", f"train.max_steps={until}"] if until else []))
        codes, what = run.ends(), f"{name}: {processes} x {devices}"
        self._say(set(codes) == {0}, f"{what}, exit codes {codes}", run.said()[0][-2000:])
        print(f"     {what} from step {run.begun()} to {run.saved()}", flush=True)

    def chain(self) -> None:
        """One run by changing numbers of processes."""
        share = STEPS // len(CHAIN)
        for number, (processes, devices) in enumerate(CHAIN, 1):
            self.run("chain", processes, devices, share * number)
        self.compare("chain")

    def compare(self, name: str) -> None:
        """A run must equal that of one device."""
        one, other = self._folder / "one", self._folder / name
        losses = [{line["step"]: line["loss"] for line in metrics(run)} for run in (one, other)]
        same = losses[0].keys() == losses[1].keys() and len(losses[0]) == STEPS
        off = max(abs(losses[0][k] - losses[1][k]) for k in losses[0]) if same else np.inf
        self._say(off <= self._same, f"{name}: {len(losses[1])} losses differ by at most {off:.1e}")
        stats: list[dict[str, Any]] = [
            flatten_dict(load_weights(run).batch_stats, sep="/") for run in (one, other)
        ]
        off = max(
            float(np.abs(stats[0][k] - stats[1][k]).max() / max(np.abs(stats[0][k]).max(), FLAT))
            for k in stats[0]
        )
        self._say(
            off <= 10 * self._same, f"{name}: BatchNorm statistics differ by at most {off:.1e}"
        )
        sheets = {path.name for path in one.glob("previews/*")}
        found = {path.name for path in other.glob("previews/*")}
        self._say(sheets <= found, f"{name}: {len(found)} previews")

    def open(self) -> None:
        """A checkpoint of two devices on other numbers of them, and in other programs."""
        self.run("two", 1, 2, STEPS // 2)
        two, elsewhere = self._folder / "two", self._folder / "elsewhere"
        shutil.copytree(two, elsewhere)
        for path in (elsewhere / "checkpoints").rglob("_sharding"):
            names = json.loads(path.read_text())
            named = {"sharding_type": "SingleDeviceSharding", "device_str": TPU}
            path.write_text(json.dumps({name: json.dumps(named) for name in names}))
        for name, devices in (("two-1", 1), ("two-2", 2), ("two-8", 8), ("elsewhere-1", 1)):
            shutil.copytree(self._folder / name.split("-")[0], self._folder / name)
            self.run(name, 1, devices)
            self.compare(name)
        for run in (two, elsewhere):
            self._programs(run)

    def _programs(self, run: Path) -> None:
        """Everything that opens a checkpoint, on one device."""
        out = self._folder / f"{run.name}-out"
        clicks = ("--data", "synthetic:test@96", "--limit", "2", "--set", "protocol.max_clicks=2")
        commands: dict[str, Sequence[str | Path]] = {
            "eval.py": ("eval.py", "--checkpoint", run, *clicks, "--out", out / "eval"),
            "Predictor": ("-c", PREDICT, run),
            "export": ("-m", "rsisrefiner_jax.export", run, out / "export"),
            "export-checkpoint": ("-m", "rsisrefiner_jax.checkpoint.export", run, out / "weights"),
        }
        out.mkdir()
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
            "JAX_NUM_CPU_DEVICES": "1",
            "JAX_COMPILATION_CACHE_DIR": str(self._folder / "cache"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        for name, command in commands.items():
            done = subprocess.run(
                [sys.executable, *command],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
            )
            self._say(done.returncode == 0, f"{run.name}: {name}", done.stderr[-2000:])
        self._try(f"{run.name}: annotator", lambda: annotated(run, out))

    def _try(self, what: str, function: Callable[[], Any]) -> None:
        try:
            function()
        except Exception as error:
            self._say(False, what, repr(error))
        else:
            self._say(True, what)

    def _say(self, good: bool, what: str, why: str = "") -> None:
        print(f"{'good' if good else 'BAD '} {what}{'' if good else f': {why}'}", flush=True)
        if not good:
            self.faults.append(what)


def annotated(checkpoint: Path, folder: Path) -> None:
    """A click in the annotator. Raises RuntimeError: it was refused."""
    image = folder / "scene.tif"
    write_raster(image, 300)
    server = Server([str(image)], checkpoint, folder / "project")
    try:
        server.wait_until_ready()
        server.insist("POST", "/sessions", {"image_id": 1})
        server.insist("POST", "/sessions/1/clicks", {"x": 150, "y": 150, "positive": True})
    finally:
        server.end()


if __name__ == "__main__":
    run_main(main)
