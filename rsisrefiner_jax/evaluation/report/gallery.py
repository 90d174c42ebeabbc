"""Pictures of the best and the worst objects, drawn while an evaluation runs."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsisrefiner_jax.data.scene import Scene
from rsisrefiner_jax.evaluation.report.drawing import draw_object, png
from rsisrefiner_jax.evaluation.results import ObjectResult
from rsisrefiner_jax.interaction.metrics import clicks_needed
from rsisrefiner_jax.interaction.simulate import Trace
from rsisrefiner_jax.protocol import Protocol

SHOWN = 6  # best and worst objects of a data set


class Gallery:
    """Pictures of the best and the worst objects of one data set, kept in a folder as PNG files.

    Only an object that is among the best or worst so far is drawn, so that the folder stays small
    and an evaluation that goes on after a crash finds the earlier pictures there. Objects are
    known by their place in the data set and may finish in any order.
    """

    def __init__(
        self, directory: Path, dataset: str, protocol: Protocol, size: int = SHOWN
    ) -> None:
        self._directory = directory / folder_of(dataset)
        self._protocol = protocol
        self._size = size
        self._ious: dict[int, Sequence[float]] = {}

    def add(
        self, index: int, result: ObjectResult, scene: Scene, target: np.ndarray, trace: Trace
    ) -> None:
        """Draws an object if it is among the best or worst so far (`on_object` of `evaluate`)."""
        self._ious[index] = result.ious
        targets, clicks = self._protocol.noc_targets, self._protocol.max_clicks
        best, worst = best_and_worst(self._ious, max(targets), clicks, self._size)
        if index not in (shown := {*best, *worst}):
            return
        mask = trace.probs > self._protocol.pred_thr
        picture = draw_object(scene.image, target, mask, result.clicks)
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / file_of(index)).write_bytes(png(picture))
        for path in self._directory.glob("*.png"):
            if int(path.stem) not in shown and int(path.stem) in self._ious:
                path.unlink()


def best_and_worst(
    ious: Mapping[int, Sequence[float]], target: float, max_clicks: int, size: int = SHOWN
) -> tuple[list[int], list[int]]:
    """Places of the best objects, best first, and of the worst, worst first; none is both.

    ious: place in the data set -> IoU after each click. Few clicks to `target` come first, then
    high final IoUs.
    """

    def effort(index: int) -> tuple[int, float, int]:
        return clicks_needed(ious[index], target, max_clicks + 1), -ious[index][-1], index

    ranked = sorted(ious, key=effort)
    return ranked[:size], ranked[size:][: -size - 1 : -1]


def folder_of(dataset: str) -> str:
    """The name of a data set as that of a folder."""
    return re.sub(r"[^\w.-]+", "_", dataset)


def file_of(index: int, what: Any = "") -> str:
    """The name of a picture of the object at a place of its data set."""
    return f"{index:06d}{what and f'-{what}'}.png"
