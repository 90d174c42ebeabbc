"""Training samples a second on one core, and the cores that feed a device.

    python -m benchmarks.data --data synthetic:train coco:images,train.json --consumes 60

`--consumes`: samples a second that the device takes (`python -m benchmarks.train` says so).
"""

import dataclasses
import time
from typing import Any

import cv2

from benchmarks.measure import arguments, report
from rsisrefiner_jax.config import Config, load
from rsisrefiner_jax.data.pipeline import Samples
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import run_main


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--data", nargs="+", default=["synthetic:train"], metavar="SPEC")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--consumes", type=float, metavar="SAMPLES_S")
    args = parser.parse_args()
    config = load(args.config, args.set)
    rows = [one_core(config, spec, args.samples, args.consumes) for spec in args.data]
    size = config.model.image_size
    report(f"Training samples of {size} x {size} pixels", {"cores": 1}, rows, args.json)


def one_core(config: Config, spec: str, count: int, consumes: float | None) -> dict[str, Any]:
    """Reading, augmentation and first click in one thread."""
    cv2.setNumThreads(1)
    data = dataclasses.replace(config.data, train=(spec,), weights=())
    source = open_source(spec, Recipe.of(config.data))
    samples = Samples([source], dataclasses.replace(config, data=data))
    samples[0]
    start, busy = time.perf_counter(), time.process_time()
    for index in range(1, count + 1):
        samples[index]
    seconds, used = time.perf_counter() - start, time.process_time() - busy
    row = {
        "data": spec,
        "samples": count,
        "ms/sample": seconds / count * 1e3,
        "samples/s": count / seconds,
        "samples per second of CPU": count / used,
    }
    if consumes:
        row["cores for one device"] = consumes * used / count
    return row


if __name__ == "__main__":
    run_main(main)
