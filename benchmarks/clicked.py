"""Clicks on objects of real rasters as a person gives them, and pictures of what comes of them.

    python -m benchmarks.clicked docs/clicked/objects.json --rasters DIR --checkpoint small \\
        --out DIR

Every raster is opened as the annotator opens it: its first recipe, native pixels, windows that
grow. The list says what is clicked:

    {"rasters": {"scene.tif": {"title": "Who made it, its licence", "publish": true}},
     "objects": [{"name": "pond", "raster": "scene.tif", "box": [left, top, right, bottom],
                  "clicks": [[x, y, 1], [x, y, 0], ...]}]}

in pixels of the raster; 1 adds and 0 takes away; the box is the object's, measured by eye. Written
are DIR/<raster>.jpg, three panels for each object (after 1, 3 and 5 clicks), and DIR/results.json:
area of the mask and side of the window in pixels, seconds, and whether the mask is cut off by its
window, after every click. With `--page DIR` the results and the sheets of rasters that may be
published are written there as well.
"""

import argparse
import dataclasses
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks.measure import machine
from rsisrefiner_jax.annotate import rasters
from rsisrefiner_jax.annotate.loading import load
from rsisrefiner_jax.annotate.pictures import RasterPicture
from rsisrefiner_jax.annotate.project import AT_FIRST
from rsisrefiner_jax.annotate.segmenter import Segmentation, SegmentationTask, Segmenter
from rsisrefiner_jax.annotate.windows import Click
from rsisrefiner_jax.console import add_overrides
from rsisrefiner_jax.data.raster import Window
from rsisrefiner_jax.data.sheet import PALETTE, grid, outline, write_sheet
from rsisrefiner_jax.errors import UserError, require, run_main
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.training.previews import draw_clicks

SHOWN = (1, 3, 5)  # clicks after which a panel is drawn
PANEL = 224  # pixels, its side
LOOK = 1.8  # how much wider than the object a panel is
LEAST = 48  # pixels of the raster in a panel


@dataclasses.dataclass(frozen=True)
class Thing:
    """An object to be clicked. box: (left, top, right, bottom), by eye."""

    name: str
    raster: str
    box: tuple[int, int, int, int]
    clicks: tuple[Click, ...]

    @property
    def size(self) -> str:
        left, top, right, bottom = self.box
        return f"{right - left} x {bottom - top} px"


class Clicked(NamedTuple):
    """What is shown of a thing: its panels (uint8 [h, w, 3]), two lines of text, numbers."""

    panels: np.ndarray
    caption: str
    numbers: dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("objects", type=Path, metavar="OBJECTS.json")
    parser.add_argument("--rasters", type=Path, required=True, metavar="DIR")
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="NAME_OR_DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--page", type=Path, metavar="DIR", help="also what may be published")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these objects alone")
    add_overrides(parser)
    options = parser.parse_args()
    about, things = read(options.objects)
    if options.only:
        require(not options.page, "--page shows all objects; leave --only away")
        things = [thing for thing in things if thing.name in options.only]
        require(bool(things), f"--only: no object of {options.objects} has one of these names")
    for name in {thing.raster for thing in things}:
        require((options.rasters / name).is_file(), f"{options.rasters / name}: no such raster")
    segmenter = load(options.checkpoint, options.set)
    for _ in segmenter.warm_up():  # so that no click waits for a program
        pass
    results = []
    with tempfile.TemporaryDirectory() as cache, tqdm(total=len(things), unit="object") as bar:
        for name, group in itertools.groupby(things, lambda thing: thing.raster):
            path = options.rasters / name
            picture = RasterPicture(rasters.open_source(path, Path(cache)), AT_FIRST)
            clicked = []
            for thing in group:
                clicked.append(click(segmenter, picture, thing))
                bar.update()
            sheet = f"{Path(name).stem}.jpg"
            places = [options.out]
            if options.page and about[name]["publish"]:
                places.append(options.page)
            for folder in places:
                write_sheet(
                    str(folder / sheet),
                    [one.panels for one in clicked],
                    [one.caption for one in clicked],
                    2,
                    about[name]["title"],
                )
            results += [one.numbers for one in clicked]
    network = {"checkpoint": options.checkpoint.name, "set": options.set}
    report = {"network": network, "machine": machine("float32"), "objects": results}
    for folder in filter(None, (options.out, options.page)):
        (folder / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    print(options.out)


def read(path: Path) -> tuple[dict[str, Any], list[Thing]]:
    """What the list says of rasters, and its objects, those of a raster in a row.

    Raises:
        UserError: it is missing or says something else.
    """
    try:
        content = json.loads(path.read_text())
        about = {
            name: {"title": str(given["title"]), "publish": bool(given["publish"])}
            for name, given in content["rasters"].items()
        }
        things = [
            Thing(
                str(given["name"]),
                str(given["raster"]),
                tuple(map(int, given["box"])),  # type: ignore[arg-type]
                tuple(Click(float(x), float(y), bool(sign)) for x, y, sign in given["clicks"]),
            )
            for given in content["objects"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: no list of objects to click ({error!r})") from error
    for thing in things:
        where = f"{path}: {thing.name}"
        require(thing.raster in about, f"{where}: its raster is not among the rasters")
        require(len(thing.clicks) >= max(SHOWN), f"{where}: give {max(SHOWN)} clicks")
        require(len(thing.box) == 4, f"{where}: its box has four numbers")
    names = list(about)
    return about, sorted(things, key=lambda thing: names.index(thing.raster))


def click(segmenter: Segmenter, picture: RasterPicture, thing: Thing) -> Clicked:
    """Gives the clicks one after the other."""
    task, view = SegmentationTask(picture), view_of(thing, picture)
    pixels = picture.read(view)
    panels = []
    numbers: dict[str, Any] = {"name": thing.name, "raster": thing.raster, "box": thing.box}
    after: list[dict[str, Any]] = []
    for count in range(1, len(thing.clicks) + 1):
        clicks = thing.clicks[:count]
        answer = segmenter.segment(task, clicks)
        after.append(
            {
                "area": answer.mask.area,
                "seconds": round(answer.seconds, 3),
                "window": max(answer.window.width, answer.window.height),
                "cut_off": cut_off(answer, picture),
            }
        )
        if count in SHOWN:
            panels.append(panel(pixels, view, answer.mask, clicks))
    numbers |= {key: [one[key] for one in after] for key in after[0]}
    areas = ", ".join(f"{numbers['area'][count - 1]:,}" for count in SHOWN)
    caption = f"{thing.name}, {thing.size}\n{areas} px after 1, 3, 5 clicks"
    return Clicked(grid(panels, len(panels), gap=2), caption, numbers)


def view_of(thing: Thing, picture: RasterPicture) -> Window:
    """The square that is drawn: the object and what is around it, moved into the raster."""
    left, top, right, bottom = thing.box
    side = max(int(LOOK * max(right - left, bottom - top)), LEAST)
    side = min(side, picture.width, picture.height)
    x = min(max((left + right - side) // 2, 0), picture.width - side)
    y = min(max((top + bottom - side) // 2, 0), picture.height - side)
    return Window(y, x, side, side)


def panel(pixels: np.ndarray, view: Window, mask: Mask, clicks: tuple[Click, ...]) -> np.ndarray:
    """uint8 [PANEL, PANEL, 3]: the picture, the outline of the mask, and the clicks."""
    scale = PANEL / view.width
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas = cv2.resize(pixels, (PANEL, PANEL), interpolation=how)
    inside = mask.within(view.x, view.y, view.width, view.height)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    part = cv2.resize(inside.astype(np.uint8) * 255, (PANEL, PANEL), interpolation=how) >= 128
    outline(canvas, part, (0, 0, 0), 3)
    outline(canvas, part, PALETTE[0], 1)
    places = [((c.y - view.y) * scale, (c.x - view.x) * scale) for c in clicks]
    draw_clicks(canvas, np.array(places), np.array([int(c.positive) for c in clicks]))
    return canvas


def cut_off(answer: Segmentation, picture: RasterPicture) -> bool:
    """Whether the mask reaches a border of its window beyond which the raster goes on."""
    y, x, height, width = answer.window
    part = answer.mask.within(x, y, width, height)
    sides = (part[0], y > 0), (part[-1], y + height < picture.height)
    ends = (part[:, 0], x > 0), (part[:, -1], x + width < picture.width)
    return any(beyond and border.any() for border, beyond in sides + ends)


if __name__ == "__main__":
    run_main(main)
