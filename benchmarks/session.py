"""One predictor over many pictures: memory, compilations and the time of a click.

    python -m benchmarks.session --checkpoint runs/quickstart --data synthetic:test@256
    python -m benchmarks.session --data coco:images,val.json --pictures 100 --clicks 20

Every picture gets the evaluation's clicks on its first object, then an undo and a reset. One row
for each tenth of the pictures: memory that grows or programs that are still compiled show there.
"""

import os
import statistics
import time
from typing import Any

from benchmarks.measure import arguments, machine, report
from benchmarks.network import timed_model
from rsisrefiner_jax import Predictor
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import run_main
from rsisrefiner_jax.evaluation.plan import plan, read_items
from rsisrefiner_jax.interaction.clicks import Click
from rsisrefiner_jax.interaction.simulate import next_click


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--data", default="synthetic:test", metavar="SPEC")
    parser.add_argument("--pictures", type=int, default=100, metavar="N")
    parser.add_argument("--clicks", type=int, default=20, metavar="N", help="on each picture")
    args = parser.parse_args()
    start = time.perf_counter()
    model = timed_model(args)
    predictor = Predictor(model, model.config.protocol)
    ready = time.perf_counter() - start
    source = open_source(args.data, Recipe.of(model.config.data))
    entries, _ = plan(source, model.config.protocol, None, progress=False)
    first = list({entry.image: entry for entry in reversed(entries)}.values())[::-1]
    rows: list[dict[str, Any]] = []
    seconds: list[float] = []
    items = list(read_items(source, first[: args.pictures], 0))  # reading takes memory of its own
    for number, item in enumerate(items, start=1):
        seconds += click(predictor, item.image, item.target, args.clicks)
        if number % max(args.pictures // 10, 1) == 0:
            rows.append(
                {
                    "pictures": number,
                    "clicks": len(seconds),
                    "compiled": predictor.compilations,
                    "RSS MiB": resident() / 2**20,
                    "ms/click": statistics.median(seconds) * 1e3,
                    "slowest ms": max(seconds) * 1e3,
                }
            )
    about = machine(model.config.model.dtype) | {"ready after s": round(ready, 1)}
    report(f"One predictor, {args.data}", about, rows, args.json)


def click(predictor: Predictor, image: Any, target: Any, count: int) -> list[float]:
    """The seconds of every click on a picture."""
    predictor.set_image(image)
    clicks: list[Click] = []
    mask = target > 1  # nothing yet
    seconds = []
    for _ in range(count):
        clicks.append(next_click(target, mask, tuple(clicks)))
        start = time.perf_counter()
        mask = predictor.click(*clicks[-1]) > 0.5
        seconds.append(time.perf_counter() - start)
    predictor.undo()
    predictor.reset()
    return seconds


def resident() -> int:
    """Bytes of memory that this process holds now (Linux)."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    run_main(main)
