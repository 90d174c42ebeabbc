"""What compiling a configuration's programs comes to: memory, operations, bytes, code, time.

    python -m benchmarks.compile --topology v5e:4x4 --config configs/base.py
    python -m benchmarks.compile --config configs/base.py --set model.remat=True

Nothing runs. With --topology the programs are compiled for TPUs that need not be there (pip install
libtpu); without, for the devices at hand. Figures are those of one device. XLA's GFLOP and
those "by hand" have one round of every loop; "every round" has all where their number is known.
"""

import argparse
import dataclasses
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from benchmarks.measure import arguments, report
from rsisrefiner_jax import parallel
from rsisrefiner_jax.config import Config, load
from rsisrefiner_jax.errors import require, run_main
from rsisrefiner_jax.interaction import loop as click_loop
from rsisrefiner_jax.interaction import slots
from rsisrefiner_jax.interaction.loop import Loop
from rsisrefiner_jax.models.flops import flops
from rsisrefiner_jax.models.parameters import as_stored
from rsisrefiner_jax.models.registry import abstract_variables, make_model
from rsisrefiner_jax.training import step as training
from rsisrefiner_jax.weights import split

# By the name of a topology: of its accelerator type, and TensorCores that a chip counts for there.
KINDS = {"v5e": ("v5litepod", 1), "v6e": ("v6e", 1), "v5p": ("v5p", 2), "v4": ("v4", 2)}
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
SIZES = {"f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2, "s8": 1, "u8": 1, "pred": 1}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--topology", help="TPUs, as v5e:2x2, v5p:2x2x1 or v6e:4x4")
    parser.add_argument("--batch", type=int, help="samples over all devices; default: the config's")
    parser.add_argument("--only", choices=("train", "eval"), help="default: both")
    args = parser.parse_args()
    config, devices = load(args.config, args.set), topology_devices(args)
    batch = args.batch or config.train.batch_size
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, batch_size=batch))
    programs = [
        *(training_programs(config, devices) if args.only != "eval" else ()),
        *(evaluation_programs(config, devices) if args.only != "train" else ()),
    ]
    rows = []
    for program in programs:
        rows.append({"program": program.name, **figures(program)})
        print(f"{len(rows)} of {len(programs)}: {rows[-1]}", file=sys.stderr, flush=True)
    about = {
        "topology": args.topology or "at hand",
        "device": devices[0].device_kind,
        "devices": len(devices),
        "batch": batch,
        "dtype": config.model.dtype,
        "jax": jax.__version__,
    }
    report(f"Programs of {config.name}", about, rows, args.json)


def topology_devices(args: argparse.Namespace) -> list[Any]:
    """The devices that are compiled for. Raises UserError: a topology that is not known."""
    if not args.topology:
        return list(jax.devices())
    kind, _, shape = args.topology.partition(":")
    require(
        kind in KINDS and re.fullmatch(r"\d+(x\d+)+", shape) is not None,
        f"--topology {args.topology}: a kind ({', '.join(KINDS)}), a colon and its chips, v5e:2x2",
    )
    name, cores = KINDS[kind]
    chips = math.prod(map(int, shape.split("x")))
    os.environ |= {
        "TPU_SKIP_MDS_QUERY": "1",  # this is no machine of Google's
        "TPU_ACCELERATOR_TYPE": f"{name}-{chips * cores}",
        "TPU_WORKER_HOSTNAMES": "localhost",
    }
    jax.config.update("jax_platforms", "cpu")
    from jax.experimental import topologies

    return list(topologies.get_topology_desc(args.topology, platform="tpu").devices)


class Program(NamedTuple):
    """A program, and what one device takes for it as counted by hand."""

    name: str
    lower: Callable[[], Any]
    operations: Callable[[int | None], int]  # given the rounds of a loop, see `flops`
    given: int | None = None  # bytes of arguments


def training_programs(config: Config, devices: list[Any]) -> Iterator[Program]:
    """The compiled steps that a run of the configuration needs."""
    spread = parallel.DataParallel("shard_map", config.train.batch_size, devices)
    every = config.clicks.gradient == "every"
    make = training.make_click_step if every else training.make_step
    alike = make_model(config.model).first_passes == 1
    share = config.train.batch_size // len(devices)
    for first in (False,) if alike else (False, True):
        step = make(config, first)
        given = step_inputs(config, config.train.batch_size)

        def lower(step: Any = step, given: Any = given) -> Any:
            whole, rows = (NamedSharding(spread.mesh, spec) for spec in (P(), P(parallel.AXIS)))
            placed = [
                jax.tree.map(lambda x, s=s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), one)
                for one, s in zip(given, (whole, whole, rows, whole), strict=True)
            ]
            compiled: Any = spread.compile(step)
            return compiled.lower(*placed)

        def count(rounds: int | None, step: Any = step) -> int:
            mapped = jax.vmap(step, (None, None, 0, None), 0, axis_name=parallel.AXIS)
            state, frozen, batch, last = step_inputs(config, share)
            one = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), batch)
            return flops(mapped, state, frozen, one, last, rounds=rounds)

        kind = "a click with a gradient" if every else "training step"
        name = f"{kind}, {'first clicks' if first else 'any' if alike else 'later'}"
        yield Program(name, lower, count, None if every else step_bytes(config, share))


def step_bytes(config: Config, batch: int) -> int:
    """Bytes of a training step's arguments for so many pictures.

    Adam keeps two numbers beside each that is trained, and none beside a frozen one.
    """
    optim, side = config.optim, config.model.image_size
    variables = abstract_variables(config.model)
    frozen, trained = split(variables["params"], config.model.frozen)
    if config.model.frozen_dtype != "float32":
        frozen = jax.eval_shape(lambda tree: as_stored(config.model, tree), frozen)
    statistics = tree_bytes(variables["batch_stats"])
    weights = (3 + (optim.accumulate > 1)) * tree_bytes(trained) + statistics
    average = tree_bytes(trained) + statistics if optim.ema else 0
    pictures = batch * (3 * side**2 + config.data.targets * (side**2 + 8))
    return tree_bytes(frozen) + weights + average + pictures


def tree_bytes(tree: Any) -> int:
    """Bytes of all arrays of a tree, or of their shapes."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def step_inputs(config: Config, batch: int) -> tuple[Any, Any, Any, Any]:
    """Shapes of (state, frozen, batch, scalar) for so many pictures."""
    shape: Any = jax.ShapeDtypeStruct
    side, targets = config.model.image_size, batch * config.data.targets
    variables = abstract_variables(config.model)
    frozen, trainable = split(variables["params"], config.model.frozen)
    state = jax.eval_shape(
        lambda p, b: training.init_state(config, p, b), trainable, variables["batch_stats"]
    )
    if config.model.frozen_dtype != "float32":
        frozen = jax.eval_shape(lambda tree: as_stored(config.model, tree), frozen)
    samples = {
        "image": shape((batch, side, side, 3), jnp.uint8),
        "label": shape((targets, side, side), jnp.int8),
        "first_click": shape((targets, 2), jnp.float32),
    }
    if config.clicks.gradient == "every":
        model = make_model(config.model)
        begin = lambda f, b: training.begin(config, b) | training.fixed_features(model, f, b)  # noqa: E731
        samples |= jax.eval_shape(begin, frozen, samples)
    return state, frozen, samples, shape((), jnp.int32)


def evaluation_programs(config: Config, devices: list[Any]) -> Iterator[Program]:
    """The loop that evaluates pictures of 512 x 512 on one device."""
    size, shape = config.eval.batch_size, (512, 512)
    rows = config.eval.rows or (1 if devices[0].platform == "cpu" else size)
    loop = Loop(make_model(config.model), config.protocol, rows)
    here = SingleDeviceSharding(devices[0])

    def place(tree: Any) -> Any:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), tree)

    variables = abstract_variables(config.model)
    idle = jax.eval_shape(lambda v: click_loop.empty_slots(loop, v, max(size, 2), shape), variables)
    limits = jax.ShapeDtypeStruct((), jnp.int32)
    given = place((variables, *idle, limits, limits))
    run = slots.jitted(loop)

    def count(rounds: int | None) -> int:
        return flops(run, *given, rounds=rounds)

    yield Program(f"evaluation, {size} objects in flight", lambda: run.lower(*given), count)


def figures(program: Program) -> dict[str, Any]:
    """What compiling one program says."""
    start = time.perf_counter()
    lowered = program.lower()
    traced = time.perf_counter()
    compiled = lowered.compile()
    done = time.perf_counter()
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis() or {}
    return {
        "trace s": round(traced - start, 1),
        "compile s": round(done - traced, 1),
        "code MB": memory.generated_code_size_in_bytes / 1e6,
        "arguments GB": memory.argument_size_in_bytes / 1e9,
        "arguments GB by hand": program.given and program.given / 1e9,
        "donated GB": memory.alias_size_in_bytes / 1e9,
        "temporaries GB": memory.temp_size_in_bytes / 1e9,
        "GFLOP": cost.get("flops", 0) / 1e9,
        "by hand": program.operations(None) / 1e9,
        "by hand, every round": program.operations(1) / 1e9,
        "GB accessed": cost.get("bytes accessed", 0) / 1e9,
        "collective MB": collective_bytes(compiled.as_text()) / 1e6,
    }


def collective_bytes(text: str) -> int:
    """Bytes that a compiled program's collectives give, by their shapes."""
    total = 0
    for line in text.splitlines():
        found = re.match(rf"\s*%?\S+ = (.*?) ({'|'.join(COLLECTIVES)})(-start)?\(", line)
        for dtype, sides in re.findall(r"(\w+)\[([\d,]*)\]", found.group(1)) if found else ():
            total += SIZES.get(dtype, 4) * math.prod(int(n) for n in sides.split(",") if n)
    return total


if __name__ == "__main__":
    run_main(main)
