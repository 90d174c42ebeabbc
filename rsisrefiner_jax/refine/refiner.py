"""One object after the other: where to click, what the network answers, how sure it is.

A polygon goes in as the previous mask, as a person corrects an object in the annotator, with a
click on its innermost pixel; a box says where to look and is clicked in its middle. Where the
answer contradicts what was drawn beyond doubt, up to `MORE` clicks correct it (`correction`).
Points are the clicks themselves.

What a raster does not show cannot be corrected: there a polygon stays as it was drawn.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from rsisrefiner_jax.annotate.prompts import centre
from rsisrefiner_jax.annotate.segmenter import (
    Picture,
    Segmentation,
    SegmentationTask,
    Segmenter,
)
from rsisrefiner_jax.annotate.windows import LARGEST, Click, Windows, require_reach
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.data.windows import LOOK, Window
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats import geometry, remote
from rsisrefiner_jax.formats.label_image import components
from rsisrefiner_jax.formats.masks import Mask, union_box
from rsisrefiner_jax.formats.raster_info import Raster
from rsisrefiner_jax.refine.answer import Answer
from rsisrefiner_jax.refine.correction import Drawing, correction, drawing, innermost
from rsisrefiner_jax.refine.pictures import RegionPicture, UpsideDown
from rsisrefiner_jax.refine.placing import Block, Prompt

MORE = 4  # clicks after the first one
SHAKEN = 2  # answers to clicks that are a little off
SHAKE = 2.0  # pixels, standard deviation on each axis


@dataclasses.dataclass(frozen=True)
class _Asked:
    """An object as the network is asked for it. drawn: None for points."""

    prompt: Prompt
    task: SegmentationTask
    clicks: tuple[Click, ...]
    drawn: Drawing | None


class Refiner:
    """Answers blocks of prompts; the answers depend on nothing that was asked before.

    Args:
        keep_below: a polygon with which the answer has a lower IoU stays as it was drawn.
    """

    def __init__(
        self, segmenter: Segmenter, rasters: Sequence[Raster], recipe: Recipe, keep_below: float
    ) -> None:
        self._segmenter = segmenter
        self._rasters = rasters
        self._recipe = recipe
        self._keep_below = keep_below

    def answers(self, block: Block, go_on: Callable[[], None] = lambda: None) -> list[Answer]:
        """One for each prompt of a block. go_on: called before each; may raise to end it.

        Raises:
            UserError: a raster at an address cannot be read.
        """
        info = self._rasters[block.raster]
        picture: RegionPicture | None = None
        found = []
        for prompt in block.prompts:
            go_on()
            try:
                picture = picture or RegionPicture(info, self._recipe, self._region(block, info))
                found.append(self._answer(prompt, picture))
            except UserError:
                if remote.is_allowed(info.path):  # a line that is down, and nothing for ever
                    raise
                found.append(Answer(prompt.number, "unreadable"))
        return found

    def _region(self, block: Block, info: Raster) -> Window:
        """What is looked at first of all objects together."""
        windows = Windows(info.width, info.height, self._segmenter.image_size, LARGEST)
        boxes = []
        for prompt in block.prompts:
            left, top, right, bottom = _inside(prompt.box, info)
            middle = Click(*centre((left, top, right, bottom)), True)
            y, x, height, width = windows.at_first((left, top, right, bottom), middle)
            boxes.append((x, y, x + width, y + height))
        left, top, right, bottom = union_box(boxes)
        left, top = max(left - 1, 0), max(top - 1, 0)  # upside down a middle rounds otherwise
        right, bottom = min(right + 1, info.width), min(bottom + 1, info.height)
        return Window(top, left, bottom - top, right - left)

    def _answer(self, prompt: Prompt, picture: RegionPicture) -> Answer:
        asked = self._asked(prompt, picture)
        if isinstance(asked, str):
            return Answer(prompt.number, asked)
        segmentation = self._segmenter.segment(asked.task, asked.clicks)
        while asked.drawn and len(asked.clicks) <= MORE:
            window = segmentation.window
            visible = picture.valid(window)
            click = correction(asked.drawn, segmentation.mask, window, visible, asked.clicks)
            if click is None:
                break
            asked = dataclasses.replace(asked, clicks=(*asked.clicks, click))
            segmentation = self._segmenter.segment(asked.task, asked.clicks)
        return self._judged(asked, segmentation, picture)

    def _judged(self, asked: _Asked, found: Segmentation, picture: RegionPicture) -> Answer:
        """What becomes of the last answer, and how sure the network is of it."""
        prompt, drawn = asked.prompt, asked.drawn
        mask = _seen(found.mask, picture, drawn)
        others = [_seen(other, picture, drawn) for other in self._others(asked, found.mask)]
        agreement = float(np.mean([_iou(mask, other) for other in others]))
        answer = Answer(prompt.number, "empty", None, agreement, None, len(asked.clicks))
        if not mask.area:
            return answer
        status = _status(prompt, mask, found.window, picture)
        if drawn is not None and prompt.kind == "polygon":
            mask = _stays(mask, drawn, picture)
            iou = _iou(mask, drawn.pixels)
            answer = dataclasses.replace(answer, iou=iou)
            if iou < self._keep_below:
                return dataclasses.replace(answer, status="kept")
        return dataclasses.replace(answer, status=status, mask=mask.encode())

    def _asked(self, prompt: Prompt, picture: RegionPicture) -> _Asked | str:
        """What the network is asked, or the status of a prompt that it cannot be asked."""
        if prompt.kind == "points":
            return _clicked(prompt, picture)
        left, top, right, bottom = _inside(prompt.box, picture)
        if LOOK * max(right - left, bottom - top) > LARGEST:
            return "too large"
        pixels = geometry.rasterise(prompt.shape, picture.width, picture.height)
        if not pixels.area:
            return "too small"
        visible = Mask(pixels.x, pixels.y, pixels.pixels & _valid(pixels, picture))
        first = innermost(visible)
        if first is None:
            return "no data"
        middle = Click(*centre((left, top, right, bottom)), True)
        if prompt.kind == "box" and visible.within(int(middle.x), int(middle.y), 1, 1).all():
            first = middle
        task = SegmentationTask(picture, (left, top, right, bottom))
        if prompt.kind == "polygon":
            task = dataclasses.replace(task, start=pixels, start_name=f"polygon {prompt.number}")
        return _Asked(prompt, task, (first,), drawing(pixels, prompt.kind == "box"))

    def _others(self, asked: _Asked, answer: Mask) -> Iterator[Mask]:
        """What the network answers to the same question asked a little otherwise."""
        task, start = asked.task, asked.task.start
        mirror, height = UpsideDown(task.picture), task.picture.height
        assert task.box is not None
        left, top, right, bottom = task.box
        box = left, height - bottom, right, height - top
        turned = SegmentationTask(mirror, box, start and mirror.mask(start), task.start_name)
        clicks = [click._replace(y=height - 1 - int(click.y)) for click in asked.clicks]
        yield mirror.mask(self._segmenter.segment(turned, clicks).mask)
        rng = np.random.default_rng(asked.prompt.number)  # its own, wherever it is answered
        for _ in range(SHAKEN):
            shaken = [_shaken(click, answer, task.picture, rng) for click in asked.clicks]
            yield self._segmenter.segment(task, shaken).mask


def _clicked(prompt: Prompt, picture: RegionPicture) -> _Asked | str:
    """Points, those without data left out."""
    seen = [
        click
        for click in prompt.clicks
        if picture.valid(Window(int(click.y), int(click.x), 1, 1)).all()
    ]
    if not seen or not seen[0].positive:
        return "no data"
    try:
        require_reach(seen, (picture.width, picture.height))
    except UserError:
        return "too large"
    first = seen[0]
    # Where to look first does not move with a shaken click.
    task = SegmentationTask(picture, (first.x, first.y, first.x, first.y))
    return _Asked(prompt, task, tuple(seen), None)


def _inside(
    box: tuple[float, float, float, float], size: Raster | RegionPicture
) -> tuple[float, float, float, float]:
    """What of a box lies on a raster."""
    left, top, right, bottom = box
    return max(left, 0.0), max(top, 0.0), min(right, size.width), min(bottom, size.height)


def _seen(answer: Mask, picture: RegionPicture, drawn: Drawing | None) -> Mask:
    """An answer where there are data; of a drawn object without what the drawing does not touch."""
    if not answer.area:
        return answer
    pixels = answer.pixels & _valid(answer, picture)
    if drawn is not None:
        parts = components(pixels)
        frame = answer.x, answer.y, answer.width, answer.height
        touched = np.unique(parts[drawn.pixels.within(*frame)])
        pixels &= np.isin(parts, touched[touched > 0])
    return Mask(answer.x, answer.y, pixels).trimmed()


def _stays(mask: Mask, drawn: Drawing, picture: RegionPicture) -> Mask:
    """With what was drawn where the raster has no data."""
    pixels = drawn.pixels
    return mask.joined(Mask(pixels.x, pixels.y, pixels.pixels & ~_valid(pixels, picture)))


def _valid(mask: Mask, picture: RegionPicture) -> np.ndarray:
    """Where the raster shows something, of the box of a mask."""
    return picture.valid(Window(mask.y, mask.x, mask.height, mask.width))


def _status(prompt: Prompt, mask: Mask, window: Window, picture: RegionPicture) -> str:
    """Of an answer with pixels."""
    left, top, right, bottom = mask.box
    if prompt.cut or min(left, top) == 0 or right == picture.width or bottom == picture.height:
        return "at border"
    # The mask's surroundings, one pixel wide, which lie on the raster.
    around = Window(top - 1, left - 1, bottom - top + 2, right - left + 2)
    pixels = mask.within(around.x, around.y, around.width, around.height)
    near = cv2.dilate(pixels.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if (near & ~picture.valid(around)).any():
        return "at no data"
    edges = window.x, window.y, window.x + window.width, window.y + window.height
    return "cut off" if any(a == b for a, b in zip(edges, mask.box, strict=True)) else "refined"


def _shaken(click: Click, answer: Mask, picture: Picture, rng: np.random.Generator) -> Click:
    """A click a little off, unless that is where the answer says something else."""
    away = rng.normal(0, SHAKE, 2)
    x, y = math.floor(click.x + away[0]), math.floor(click.y + away[1])
    inside = 0 <= x < picture.width and 0 <= y < picture.height
    alike = bool(answer.within(x, y, 1, 1)) == click.positive
    return Click(x, y, click.positive) if inside and alike else click


def _iou(one: Mask, other: Mask) -> float:
    """Of two masks; 1 where both are empty."""
    shared = one.shared(other)
    union = one.area + other.area - shared
    return shared / union if union else 1.0
