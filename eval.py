"""Evaluates a checkpoint by simulated clicks.

    python eval.py --checkpoint runs/base --data synthetic:val --out runs/base/eval

Writes results.json, objects.jsonl, table.md, miou.png and report.html into --out. Run again with
the same settings, it goes on where it stopped. --trajectories does so for the best, centre, random
and worst clicks, each in a directory of its own, and writes the gap between them
(docs/robustness.md).
"""

import argparse
import dataclasses
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rsisrefiner_jax.config import Config, apply_overrides
from rsisrefiner_jax.errors import require, run_main
from rsisrefiner_jax.protocol import PRESETS, Protocol, preset


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", required=True, metavar="DIR", help="what to evaluate")
    parser.add_argument("--data", nargs="+", metavar="SPEC", help="default: data.eval")
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        help=f"one of {', '.join(PRESETS)}; default: the checkpoint's own, else paper",
    )
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR")
    parser.add_argument("--limit", type=int, metavar="N", help="objects of each data set")
    parser.add_argument(
        "--trajectories",
        action="store_true",
        help="best, centre, random and worst clicks and the gap between them (docs/robustness.md)",
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    check(arguments)  # what is wrong is said at once, before anything slow
    if arguments.trajectories:
        run_trajectories(arguments)
    else:
        run(arguments)


def run_trajectories(arguments: argparse.Namespace) -> None:
    """An evaluation for each of the click strategies, and the gap between them."""
    import jax

    from rsisrefiner_jax.evaluation import trajectories

    for strategy, seeds in trajectories.STRATEGIES.items():
        print(f"{strategy} clicks")
        settings = [f"protocol.click_strategy={strategy}", f"eval.seeds={seeds}"]
        own = {"out": arguments.out / strategy, "set": [*arguments.set, *settings]}
        run(argparse.Namespace(**(vars(arguments) | own)))
    if jax.process_index() == 0:
        print(trajectories.write(arguments.out))


def run(arguments: argparse.Namespace) -> None:
    """One evaluation, into --out."""
    import jax

    from rsisrefiner_jax import parallel
    from rsisrefiner_jax.evaluation.report import Gallery, markdown, write_report
    from rsisrefiner_jax.evaluation.results import ResultLog, read_datasets, summarize

    parallel.initialize()
    rank, count = jax.process_index(), jax.process_count()
    setup = prepare(arguments)
    log = ResultLog(arguments.out, setup.settings(), rank, count)
    earlier = read_datasets(arguments.out)
    datasets, galleries, everything = {}, {}, []
    for name, source in setup.sources.items():
        gallery = Gallery(arguments.out / "gallery", name, setup.protocol)
        runs = click(setup, name, source, log, gallery)
        everything += [result for run in runs for result in run.results]
        gallery.complete(runs[0].results)
        datasets[name] = summarize(runs, setup.protocol)
        if datasets[name]["seconds_per_click"] is None:  # all of it was there
            datasets[name] |= timing_of(earlier.get(name, {}))
        galleries[name] = gallery
    if rank != 0:
        return
    log.finish(everything)
    results = setup.results() | {"datasets": datasets}
    write_report(arguments.out, results, galleries)
    print(markdown(results))
    print(f"Report: {arguments.out / 'report.html'}")


def check(arguments: argparse.Namespace) -> None:
    """Raises UserError: something on the command line cannot be meant."""
    choose_protocol(arguments.protocol or "paper", arguments.set)
    require(
        arguments.limit is None or arguments.limit > 0,
        f"--limit {arguments.limit}: at least one object is needed",
    )
    require(
        not arguments.out.exists() or arguments.out.is_dir(),
        f"--out {arguments.out}: is a file; name a directory",
    )


@dataclasses.dataclass(frozen=True)
class Setup:
    """What is evaluated: a loaded checkpoint on data sets, under a protocol."""

    checkpoint: str
    loaded: Any
    protocol: Protocol
    specs: Sequence[str]
    recipe: Any
    sources: Mapping[str, Any]
    limit: int | None

    def settings(self) -> dict[str, Any]:
        """What results belong to: those of other settings do not mix with them."""
        return {
            "weights": fingerprint(self.loaded.variables),
            "model": dataclasses.asdict(self.loaded.config.model),
            "protocol": self.protocol.to_json(),
            "data": list(self.specs),
            "recipe": dataclasses.asdict(self.recipe),
            "limit": self.limit,
            "seeds": self.loaded.config.eval.seeds,
        }

    def results(self) -> dict[str, Any]:
        """results.json without its data sets."""
        from rsisrefiner_jax.evaluation.environment import environment

        config, counts = self.loaded.config, self.loaded.parameters
        return {
            "protocol": self.protocol.to_json(),
            "model": {
                "kind": "rsisrefiner",
                "parameters": sum(counts[k] for k in ("frozen", "trainable", "unused")),
                "trainable": counts["trainable"],
            },
            "checkpoint": self.checkpoint,
            "environment": environment(config.model.dtype),
        }


def prepare(arguments: argparse.Namespace) -> Setup:
    """Loads the checkpoint and opens the data. Raises UserError."""
    from rsisrefiner_jax.checkpoint.loading import load_model
    from rsisrefiner_jax.data.spec import open_source
    from rsisrefiner_jax.data.stretch import Recipe

    loaded = load_model(arguments.checkpoint, arguments.set)
    config, protocol = loaded.config, loaded.config.protocol
    if arguments.protocol:
        protocol = choose_protocol(arguments.protocol, arguments.set)
    protocol.check(config.model.image_size)
    require(
        config.eval.seeds == 1 or protocol.click_strategy != "centre",
        f"eval.seeds={config.eval.seeds}: the centre click draws nothing at random; "
        "set protocol.click_strategy to random, jitter or human",
    )
    specs = arguments.data or config.data.eval
    recipe = Recipe.of(config.data)
    opened = [open_source(spec, recipe) for spec in specs]
    return Setup(
        checkpoint=str(arguments.checkpoint),
        loaded=loaded,
        protocol=protocol,
        specs=specs,
        recipe=recipe,
        sources=dict(zip(names(specs), opened, strict=True)),
        limit=config.eval.limit if arguments.limit is None else arguments.limit,
    )


def click(setup: Setup, name: str, source: Any, log: Any, gallery: Any) -> list[Any]:
    """Clicks every object of a data set, once for each seed; results go to `log` as they come."""
    import jax

    from rsisrefiner_jax.evaluation.evaluate import evaluate
    from rsisrefiner_jax.evaluation.processes import gather

    rank, settings = jax.process_index(), setup.loaded.config.eval

    def keep(index: int, result: Any, scene: Any, target: Any, trace: Any) -> None:
        log.append(result)
        if rank == 0 and result.seed == 0:
            gallery.add(index, result, scene, target, trace)

    runs = []
    for seed in range(settings.seeds):
        own = evaluate(
            setup.loaded.model,
            setup.loaded.variables,
            source,
            setup.protocol,
            dataset=name,
            batch_size=settings.batch_size,
            rows=settings.rows,
            rank=rank,
            count=jax.process_count(),
            seed=seed,
            limit=setup.limit,
            finished=log.of(name, seed),
            on_object=keep,
            progress=rank == 0,
        )
        runs.append(gather(own, partial(log.of, name, seed)))
    return runs


def timing_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an earlier results.json says of the time that a data set took."""
    keys = ("seconds_per_click", "objects_per_second", "answers_made", "answers_needed")
    return {key: entry.get(key) for key in keys}


def choose_protocol(name: str, overrides: Sequence[str]) -> Protocol:
    """The preset `name` with the `protocol.` overrides applied. Raises UserError."""
    return apply_overrides(Config(protocol=preset(name)), overrides).protocol


def names(specs: Iterable[str]) -> list[str]:
    """A short name for every data SPEC, made unique by a number."""
    unique: list[str] = []
    for spec in specs:
        name = candidate = short_name(spec)
        number = 2
        while candidate in unique:
            candidate, number = f"{name}-{number}", number + 1
        unique.append(candidate)
    return unique


def short_name(spec: str) -> str:
    """`nwpu` and `isaid:val` as they are; files by their stem, folder pairs by their parent."""
    kind, _, argument = spec.partition(":")
    paths = argument.split(",")
    if kind in ("coco", "geo") and len(paths) > 1:
        return Path(paths[1]).stem
    if kind in ("instances", "classes") and len(paths) > 1:
        return Path(paths[1]).resolve().parent.name or kind
    return spec


def fingerprint(variables: Any) -> str:
    """A checksum over all weights of a network, so that a resumed run is of the same one."""
    import jax
    import numpy as np

    checksum = 0
    for weights in jax.tree.leaves(variables):
        checksum = zlib.crc32(np.ascontiguousarray(weights).tobytes(), checksum)
    return f"crc32:{checksum:08x}"


if __name__ == "__main__":
    run_main(main)
