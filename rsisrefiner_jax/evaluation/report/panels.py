"""Objects after some of their clicks (paper, figures 8 and 9), and modulation (figure 10).

An evaluation keeps only the last answer to each object, so a few objects are clicked once more,
where they were clicked in it. They are spread evenly over the data set, whatever the results: the
panels of several runs show the same objects.
"""

import functools
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from rsisrefiner_jax.atomic import atomic_file
from rsisrefiner_jax.config import Model
from rsisrefiner_jax.data.scene import Source
from rsisrefiner_jax.evaluation.plan import target_of
from rsisrefiner_jax.evaluation.report.drawing import (
    around,
    draw_clicks,
    draw_map,
    draw_object,
    png,
)
from rsisrefiner_jax.evaluation.report.gallery import file_of
from rsisrefiner_jax.evaluation.results import Evaluation, ObjectResult
from rsisrefiner_jax.interaction import loop as click_loop
from rsisrefiner_jax.interaction.clicks import Click, Clicks
from rsisrefiner_jax.interaction.loop import ClickState, Loop
from rsisrefiner_jax.interaction.padding import pad, padded_shape
from rsisrefiner_jax.interaction.session import in_slots
from rsisrefiner_jax.models.refiner.modulation import modulate
from rsisrefiner_jax.protocol import Protocol

MOMENTS = (1, 2, 3, 5, 10, 20)  # after so many clicks
SIDE = 200  # of a picture, pixels
# Of modulation; none: the map before it.
KINDS: tuple[Literal["none", "original", "improved"], ...] = ("none", "original", "improved")
MODULATED = 2  # the click whose modulation is shown: the first that has a map to modulate


class Session(typing.Protocol):
    """One object that can be clicked; `interaction.session.ClickSession` is one."""

    def click(self, y: float, x: float, positive: bool) -> np.ndarray: ...

    @property
    def probs(self) -> np.ndarray: ...

    @property
    def roi(self) -> tuple[int, ...] | None: ...


class Modulation(NamedTuple):
    """What it takes to show the modulation of a network. loop: how it is given crops."""

    loop: Loop
    config: Model


def draw_panels(
    directory: Path,
    run: Evaluation,
    source: Source,
    protocol: Protocol,
    count: int,
    open_session: Callable[[np.ndarray], Session],
    modulation: Modulation | None = None,
) -> None:
    """Writes the panels of up to `count` objects into a folder, but for those that are there.

    Shows progress.

    open_session: makes one of a picture, uint8 [h, w, 3]. modulation: None = the network is
    given no modulated mask.
    """
    places = chosen(len(run.objects), count)
    for index in tqdm(places, unit="object", desc="panels", leave=False):
        result = run.results[index]
        paths = [directory / file_of(index, k) for k in moments(len(result.clicks))]
        if all(path.exists() for path in paths):
            continue
        scene = source[run.scenes[index]]
        item = next(item for item in scene.objects if item.id == result.object_id)
        session = open_session(scene.image)
        target = target_of(scene, item)
        pictures = _replayed(session, scene.image, target, result, protocol.pred_thr, modulation)
        for what, picture in pictures.items():
            with atomic_file(directory / file_of(index, what)) as file:
                file.write(png(picture))


def chosen(objects: int, count: int) -> list[int]:
    """Places of up to `count` objects, spread evenly over so many."""
    places = (np.arange(min(count, objects)) + 0.5) * objects / max(min(count, objects), 1)
    return [int(place) for place in places]


def moments(clicks: int) -> list[int]:
    """After which clicks an object that got so many is drawn; the last one is among them."""
    return [k for k in MOMENTS if k < clicks] + [clicks]


def _replayed(
    session: Session,
    image: np.ndarray,
    target: np.ndarray,
    result: ObjectResult,
    pred_thr: float,
    modulation: Modulation | None,
) -> dict[Any, np.ndarray]:
    """Pictures by the number of clicks; by kind those of the modulation."""
    pictures: dict[Any, np.ndarray] = {}
    drawn, window = moments(len(result.clicks)), around(target == 1, result.clicks)
    for number, click in enumerate(result.clicks, 1):
        before = session.probs
        session.click(*click)
        clicks = result.clicks[:number]
        if number in drawn:
            pictures[number] = draw_object(
                image, target, session.probs > pred_thr, clicks, SIDE, window
            )
        if number == MODULATED and modulation is not None:
            roi = session.roi or (0, image.shape[0] - 1, 0, image.shape[1] - 1)
            now = _state(before, in_slots(clicks), roi)
            pictures |= _modulation_pictures(modulation, now, len(clicks))
    return pictures


def _state(probs: np.ndarray, clicks: Clicks, roi: Sequence[int]) -> ClickState:
    padded = pad(probs, padded_shape(*probs.shape))[None]
    cropped = jnp.ones(1, bool)
    return ClickState(jnp.asarray(padded), clicks, jnp.array([roi], jnp.int32), cropped)


def _modulation_pictures(
    modulation: Modulation, now: ClickState, clicks: int
) -> dict[Any, np.ndarray]:
    """The map of the crop before and after modulation by the last click, by kind."""
    maps, inside = _modulated(modulation, now)
    yx, label = np.asarray(inside.yx)[:clicks].tolist(), np.asarray(inside.label)[:clicks].tolist()
    spots = [Click(y, x, sign == 1) for (y, x), sign in zip(yx, label, strict=True)]
    drawn: dict[Any, np.ndarray] = {}
    for kind, prob in zip(KINDS, maps, strict=True):
        drawn[kind] = draw_map(np.asarray(prob), SIDE)
        draw_clicks(drawn[kind], spots, SIDE / len(prob))
    return drawn


@functools.partial(jax.jit, static_argnums=0)
def _modulated(modulation: Modulation, now: ClickState) -> tuple[list[jax.Array], Clicks]:
    """The crop's map by each of `KINDS`, float32 [s, s], and the clicks in the crop."""
    loop, config = modulation
    prev_mask, clicks = jax.tree.map(lambda x: x[:, 0], click_loop.model_input(now, loop))
    radii = config.r_max, config.r_min
    maps = [modulate(prev_mask, clicks, kind, *radii)[0] for kind in KINDS]
    return maps, jax.tree.map(lambda x: x[0], clicks)
