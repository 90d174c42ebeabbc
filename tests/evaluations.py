"""Output directories as eval.py leaves them, without a network."""

import dataclasses
from pathlib import Path

import numpy as np

from rsisrefiner_jax.evaluation.report.drawing import png
from rsisrefiner_jax.evaluation.report.gallery import file_of, folder_of
from rsisrefiner_jax.evaluation.report.panels import KINDS, moments
from rsisrefiner_jax.evaluation.results import (
    Evaluation,
    ObjectResult,
    ResultLog,
    summarize,
    write_results,
)
from rsisrefiner_jax.interaction.clicks import Click
from rsisrefiner_jax.protocol import PRESETS, Protocol

PAPER = PRESETS["paper"]


def traced(needed: int, seed: int = 0) -> tuple[float, ...]:
    """IoUs of an object that reaches 0.9 with this click; 21 = with none of 20."""
    rng = np.random.default_rng([needed, seed])
    ious = np.sort(rng.uniform(0.2, 0.895, 20)).astype(np.float32)
    if needed > 20:
        return tuple(float(str(iou)) for iou in ious)
    return (*(float(str(iou)) for iou in ious[: needed - 1]), 0.9375)


def results(dataset: str, needed: list[int], seed: int = 0) -> tuple[ObjectResult, ...]:
    """Objects that need so many clicks each; areas and classes differ."""
    return tuple(
        ObjectResult(
            dataset,
            f"<{i}>.png",
            i + 1,
            "ship" if i % 3 else "plane",
            500 * (i + 1),
            traced(n, i),
            tuple(Click(5 + k, 7, k % 2 == 0) for k in range(len(traced(n, i)))),
            seed,
        )
        for i, n in enumerate(needed)
    )


def folder(
    directory: Path,
    datasets: dict[str, list[list[int]]],
    protocol: Protocol = PAPER,
    flops: int | None = 2_000_000_000,
) -> Path:
    """datasets: name -> for each seed the clicks that its objects need."""
    log = ResultLog(directory, {})
    everything, entries = [], {}
    for name, seeds in datasets.items():
        runs = []
        for seed, needed in enumerate(seeds):
            found = results(name, needed, seed)
            objects = tuple((one.image, one.object_id) for one in found)
            runs.append(Evaluation(found, objects, 1, found, 2.5 + len(name)))
            everything += found
        entries[name] = summarize(runs, protocol)
        draw(directory, name, results(name, seeds[0]))
    log.finish(everything)
    log.close()
    model = {"kind": "rsisrefiner", "parameters": 12_345_678, "trainable": 1_234_567}
    if flops is not None:
        model["flops"] = {"first_click": 2 * flops, "later_click": flops}
    write_results(
        directory,
        {
            "protocol": dataclasses.asdict(protocol),
            "model": model,
            "checkpoint": "runs/<x>",
            "environment": {"device": "cpu", "code": "abc"},
            "datasets": entries,
        },
    )
    return directory


def draw(directory: Path, name: str, found: tuple[ObjectResult, ...]) -> None:
    """A panel of the second object, and pictures of all for the best and the worst."""
    picture = png(np.full((4, 6, 3), 90, np.uint8))
    clicks = len(found[1].clicks)
    panel = [file_of(1, what) for what in [*moments(clicks), *(KINDS if clicks > 1 else ())]]
    for kind, names in (("panels", panel), ("gallery", map(file_of, range(len(found))))):
        place = directory / kind / folder_of(name)
        place.mkdir(parents=True)
        for file in names:
            (place / file).write_bytes(picture)
