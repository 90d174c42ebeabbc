"""Evaluates a checkpoint by simulated clicks.

    python eval.py --checkpoint runs/base --data synthetic:val --out runs/base/eval

Writes results.json, objects.jsonl, table.md, miou.png and report.html into --out. Run again with
the same settings, it goes on where it stopped.
"""

import argparse
import dataclasses
import json
import zlib
from collections.abc import Iterable, Sequence
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
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    # A wrong name is said at once, before anything slow.
    chosen = choose_protocol(arguments.protocol or "paper", arguments.set)
    require(
        arguments.limit is None or arguments.limit > 0,
        f"--limit {arguments.limit}: at least one object is needed",
    )
    require(
        not arguments.out.exists() or arguments.out.is_dir(),
        f"--out {arguments.out}: is a file; name a directory",
    )

    # Slow to import.
    import jax

    from rsisrefiner_jax import parallel
    from rsisrefiner_jax.data.spec import open_source
    from rsisrefiner_jax.data.stretch import Recipe
    from rsisrefiner_jax.evaluation.evaluate import evaluate
    from rsisrefiner_jax.evaluation.processes import gather
    from rsisrefiner_jax.evaluation.report import Gallery, markdown, write_report
    from rsisrefiner_jax.evaluation.results import ResultLog, summarize
    from rsisrefiner_jax.inference import load_model

    parallel.initialize()
    rank, count = jax.process_index(), jax.process_count()
    loaded = load_model(arguments.checkpoint, arguments.set)
    config = loaded.config
    if not arguments.protocol:
        chosen = config.protocol
    chosen.check(config.model.image_size)
    require(
        config.eval.seeds == 1 or chosen.click_strategy != "centre",
        f"eval.seeds={config.eval.seeds}: the centre click draws nothing at random; "
        "set protocol.click_strategy to random, jitter or human",
    )
    specs = arguments.data or config.data.eval
    limit = config.eval.limit if arguments.limit is None else arguments.limit
    recipe = Recipe.of(config.data)
    opened = [open_source(spec, recipe) for spec in specs]
    sources = dict(zip(names(specs), opened, strict=True))

    log = ResultLog(
        arguments.out,
        {
            "weights": fingerprint(loaded.variables),
            "model": dataclasses.asdict(config.model),
            "protocol": dataclasses.asdict(chosen),
            "data": list(specs),
            "recipe": dataclasses.asdict(recipe),
            "limit": limit,
            "seeds": config.eval.seeds,
        },
        rank,
        count,
    )
    earlier = read_datasets(arguments.out / "results.json")
    datasets: dict[str, Any] = {}
    galleries = {}
    everything = []
    for name, source in sources.items():
        gallery = Gallery(arguments.out / "gallery", name, chosen)

        def keep(index, result, scene, target, trace, gallery=gallery):
            log.append(result)
            if rank == 0 and result.seed == 0:
                gallery.add(index, result, scene, target, trace)

        runs = []
        for seed in range(config.eval.seeds):
            own = evaluate(
                loaded.network,
                loaded.variables,
                source,
                chosen,
                dataset=name,
                batch_size=config.eval.batch_size,
                rows=config.eval.rows,
                rank=rank,
                count=count,
                seed=seed,
                limit=limit,
                finished=log.of(name, seed),
                on_object=keep,
                progress=rank == 0,
            )
            runs.append(gather(own, partial(log.of, name, seed)))
        everything += [result for run in runs for result in run.results]
        gallery.complete(runs[0].results)
        datasets[name] = summarize(runs, chosen)
        if datasets[name]["seconds_per_click"] is None and name in earlier:
            timing = ("seconds_per_click", "objects_per_second", "passes_made", "passes_needed")
            datasets[name] |= {key: earlier[name].get(key) for key in timing}
        galleries[name] = gallery
    if rank != 0:
        return
    log.finish(everything)
    results = {
        "protocol": dataclasses.asdict(chosen),
        "model": {
            "kind": "rsisrefiner",
            "parameters": sum(loaded.parameters[k] for k in ("frozen", "trainable", "unused")),
            "trainable": loaded.parameters["trainable"],
        },
        "checkpoint": str(arguments.checkpoint),
        "datasets": datasets,
    }
    write_report(arguments.out, results, galleries)
    print(markdown(results))
    print(f"Report: {arguments.out / 'report.html'}")


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


def read_datasets(path: Path) -> dict[str, Any]:
    """The data sets of an earlier results.json in the same place, or nothing."""
    return json.loads(path.read_text())["datasets"] if path.exists() else {}


if __name__ == "__main__":
    run_main(main)
