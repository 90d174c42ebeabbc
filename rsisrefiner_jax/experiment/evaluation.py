"""Clicks the objects of data sets with a network or another model, and writes what came of it."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax

from rsisrefiner_jax.data import spec as data
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.evaluated import Checkpoint, External
from rsisrefiner_jax.evaluation.processes import gather
from rsisrefiner_jax.evaluation.report.gallery import Gallery, folder_of
from rsisrefiner_jax.evaluation.report.panels import draw_panels
from rsisrefiner_jax.evaluation.report.write import write_report
from rsisrefiner_jax.evaluation.results import (
    Evaluation,
    ResultLog,
    read_datasets,
    summarize,
    write_results,
)
from rsisrefiner_jax.evaluation.runs import read_run
from rsisrefiner_jax.protocol import Protocol


@dataclasses.dataclass(frozen=True)
class Setup:
    """What is evaluated on which data sets, under a protocol."""

    subject: Checkpoint | External
    protocol: Protocol
    specs: Sequence[str]
    recipe: Any
    sources: Mapping[str, Any]
    limit: int | None

    def settings(self) -> dict[str, Any]:
        """What results belong to: those of other settings do not mix with them."""
        return self.subject.settings() | {
            "protocol": self.protocol.to_json(),
            "data": list(self.specs),
            "recipe": dataclasses.asdict(self.recipe),
            "limit": self.limit,
            "seeds": self.subject.config.eval.seeds,
        }

    def results(self) -> dict[str, Any]:
        """results.json without its data sets."""
        return {"protocol": self.protocol.to_json()} | self.subject.results(self.protocol)


def prepare(
    subject: Checkpoint | External,
    protocol: Protocol,
    specs: Sequence[str] | None = None,
    limit: int | None = None,
) -> Setup:
    """Opens the data sets.

    Args:
        specs: None = data.eval of the configuration.
        limit: objects of each data set; None = eval.limit.

    Raises:
        UserError: the protocol contradicts itself, or data that cannot be opened.
    """
    config, protocol = subject.config, subject.in_force(protocol)
    require(
        config.eval.seeds == 1 or protocol.click_strategy != "centre",
        f"eval.seeds={config.eval.seeds}: the centre click draws nothing at random; "
        "set protocol.click_strategy to random, jitter or human",
    )
    specs = specs or config.data.eval
    recipe = Recipe.of(config.data)
    opened = [data.open_source(spec, recipe) for spec in specs]
    return Setup(
        subject=subject,
        protocol=protocol,
        specs=specs,
        recipe=recipe,
        sources=dict(zip(names(specs), opened, strict=True)),
        limit=config.eval.limit if limit is None else limit,
    )


def run(setup: Setup, out: Path, devices: list[jax.Device] | None = None) -> str | None:
    """Evaluates into the directory `out`, going on where an earlier run stopped.

    devices: of one of our own networks; None = all local ones.

    Returns:
        The tables as Markdown; None in all processes but the first.

    Raises:
        UserError: the directory holds results of other settings, or cannot be written.
    """
    rank, count = jax.process_index(), jax.process_count()
    log = ResultLog(out, setup.settings(), rank, count)
    earlier = read_datasets(out)
    datasets, drawn, everything = {}, {}, []
    for name, source in setup.sources.items():
        gallery = Gallery(out / "gallery", name, setup.protocol)
        runs = click(setup, name, source, log, gallery, devices)
        everything += [result for run in runs for result in run.results]
        drawn[name] = runs[0]
        datasets[name] = summarize(runs, setup.protocol)
        if datasets[name]["seconds_per_click"] is None:  # all of it was there
            datasets[name] |= timing_of(earlier.get(name, {}))
    if rank != 0:
        return None
    log.finish(everything)
    write_results(out, setup.results() | {"datasets": datasets})
    log.close()
    draw(setup, drawn, out / "panels")
    return write_report(out, {"this run": read_run(out)})


def click(
    setup: Setup,
    name: str,
    source: Any,
    log: ResultLog,
    gallery: Gallery,
    devices: list[jax.Device] | None = None,
) -> list[Evaluation]:
    """Clicks every object of a data set, once for each seed; results go to `log` as they come."""
    rank = jax.process_index()

    def keep(index: int, result: Any, scene: Any, target: Any, trace: Any) -> None:
        log.append(result)
        if rank == 0 and result.seed == 0:
            gallery.add(index, result, scene, target, trace)

    runs, where = [], {"devices": devices} if devices else {}
    for seed in range(setup.subject.config.eval.seeds):
        own = setup.subject.evaluate(
            source,
            setup.protocol,
            dataset=name,
            rank=rank,
            count=jax.process_count(),
            seed=seed,
            limit=setup.limit,
            finished=log.of(name, seed),
            on_object=keep,
            progress=rank == 0,
            **where,
        )
        runs.append(gather(own, partial(log.of, name, seed)))
    return runs


def draw(setup: Setup, runs: Mapping[str, Evaluation], directory: Path) -> None:
    """Draws some objects of every data set click by click; a run for each."""
    subject, protocol = setup.subject, setup.protocol
    open_session = subject.sessions(protocol)  # compiled once for all
    for name, run in runs.items():
        draw_panels(
            directory / folder_of(name),
            run,
            setup.sources[name],
            protocol,
            subject.config.eval.panels,
            open_session,
            subject.modulation(protocol),
        )


def timing_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an earlier results.json says of the time that a data set took."""
    keys = ("seconds_per_click", "objects_per_second", "answers_made", "answers_needed")
    return {key: entry.get(key) for key in keys}


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
    """`nwpu` and `isaid:val` as they are; files by their stem, folder pairs by their parent, a part
    of a project by the project's folder."""
    kind, _, argument = spec.partition(":")
    paths = argument.split(",")
    if kind == "project" and "part=" in argument:
        return f"{Path(paths[0]).resolve().name}:{argument.rpartition('part=')[2].split(',')[0]}"
    if kind in ("coco", "geo") and len(paths) > 1:
        return Path(paths[1]).stem
    if kind in ("instances", "classes") and len(paths) > 1:
        return Path(paths[1]).resolve().parent.name or kind
    return spec
