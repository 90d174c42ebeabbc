"""Evaluation: objects in batches on the device against one at a time with the host in the loop.

    python -m benchmarks.evaluate --limit 4
    python -m benchmarks.evaluate --checkpoint runs/quickstart --data synthetic:test@256 --limit 40
    python -m benchmarks.evaluate --protocol mfp simpleclick --batch 1 7 32
    python -m benchmarks.evaluate --dtype float32 bfloat16 --batch 1 32     # on a GPU

All rows are measured in one run, compilation excluded. "same" counts the objects whose clicks are
those of the sequential loop of the same type and protocol.
"""

import dataclasses
import itertools
import time
from functools import partial
from typing import Any

import numpy as np

from benchmarks.measure import arguments, machine, peak_memory, report
from benchmarks.network import pass_input, timed_model
from rsisrefiner_jax.checkpoint.loading import LoadedModel
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import run_main
from rsisrefiner_jax.evaluation.evaluate import evaluate
from rsisrefiner_jax.evaluation.plan import plan, read_items
from rsisrefiner_jax.interaction import loop as click_loop
from rsisrefiner_jax.interaction.loop import Loop
from rsisrefiner_jax.interaction.session import ClickSession, Programs
from rsisrefiner_jax.interaction.simulate import Trace, simulate
from rsisrefiner_jax.models.flops import flops
from rsisrefiner_jax.protocol import preset


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--data", default="synthetic:test", metavar="SPEC")
    parser.add_argument("--limit", type=int, default=8, metavar="N", help="objects")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8], help="objects in flight")
    parser.add_argument("--dtype", nargs="+", default=["float32"])
    parser.add_argument("--protocol", nargs="+", default=[""], metavar="NAME", help="presets")
    args = parser.parse_args()
    for dtype, name in itertools.product(args.dtype, args.protocol):
        args.set = [*args.set, f"model.dtype={dtype}"]
        model = with_protocol(timed_model(args), name)
        about = machine(dtype)
        rows = [sequential(model, args.data, args.limit)]
        for batch in args.batch:
            rows.append(batched(model, args.data, args.limit, batch))
        per_pass = pass_flops(model)
        for row in rows:
            row["of the limit"] = (
                row["answers"] * per_pass / row["seconds"] / (about["matmul_gflop_s"] * 1e9)
            )
            row["speed-up"] = row["objects/s"] / rows[0]["objects/s"]
            compare(row, rows[0]["traces"])
        for row in rows:
            del row["traces"]
        title = f"Evaluation of {args.limit} objects of {args.data}, protocol "
        report(title + model.config.protocol.name, about, rows, args.json)


def with_protocol(model: LoadedModel, name: str) -> LoadedModel:
    """The model with another preset, "" being its own; crops no larger than its input."""
    if not name:
        return model
    protocol = preset(name)
    if protocol.zoom_size:
        protocol = dataclasses.replace(
            protocol, zoom_size=min(protocol.zoom_size, model.model.image_size)
        )
    return dataclasses.replace(model, config=dataclasses.replace(model.config, protocol=protocol))


def compare(row: dict[str, Any], sequential: list[Trace]) -> None:
    """Adds how far the traces are those of the sequential loop."""
    pairs = list(zip(row["traces"], sequential, strict=True))
    row["same"] = sum(a.clicks == b.clicks for a, b in pairs)
    row["largest IoU difference"] = max(
        float(np.abs(a.ious - b.ious).max()) for a, b in pairs if len(a.ious) == len(b.ious)
    )


def sequential(model: LoadedModel, data: str, limit: int) -> dict[str, Any]:
    """One object after the other, the annotator on the host."""
    protocol = model.config.protocol
    programs = Programs(model.model, model.variables, protocol)
    source = open_source(data, Recipe.of(model.config.data))
    entries, _ = plan(source, protocol, limit, progress=False)
    items = list(read_items(source, entries, 0))
    shapes = {item.tag[0].shape: item for item in items}
    for item in shapes.values():  # compiles
        short = dataclasses.replace(protocol, max_clicks=2)
        simulate(ClickSession(programs, item.image), item.target, short)
    start = time.perf_counter()
    traces = [simulate(ClickSession(programs, i.image, False), i.target, protocol) for i in items]
    return _row(
        "sequential", 1, time.perf_counter() - start, traces, sum(len(t.clicks) for t in traces)
    )


def batched(model: LoadedModel, data: str, limit: int, batch: int) -> dict[str, Any]:
    """The compiled loop."""
    traces: dict[int, Trace] = {}
    run = evaluate(
        model.model,
        model.variables,
        open_source(data, Recipe.of(model.config.data)),
        model.config.protocol,
        batch_size=batch,
        rows=model.config.eval.rows,
        limit=limit,
        on_object=lambda index, result, scene, target, trace: traces.__setitem__(index, trace),
        progress=False,
    )
    in_order = [traces[index] for index in sorted(traces)]
    return _row("batched", batch, run.seconds, in_order, run.answers_made)


def _row(
    name: str, batch: int, seconds: float, traces: list[Trace], answers: int
) -> dict[str, Any]:
    clicks = sum(len(trace.clicks) for trace in traces)
    return {
        "loop": name,
        "in flight": batch,
        "objects/s": len(traces) / seconds,
        "ms/click": seconds / clicks * 1e3,
        "clicks": clicks,
        "answers": answers,
        "seconds": seconds,
        "peak GiB": (peak_memory() or 0) / 2**30 or None,
        "traces": traces,
    }


def pass_flops(model: LoadedModel) -> int:
    """Operations of a pass of one object on cached features."""
    loop = Loop(model.model, model.config.protocol, 1)
    image, given = pass_input(loop, 1)
    features = click_loop.encode(model.model, model.variables, image)
    answer = partial(click_loop.predict, model.model)
    return flops(answer, model.variables, features, given)


if __name__ == "__main__":
    run_main(main)
