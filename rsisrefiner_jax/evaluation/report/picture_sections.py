"""The sections of a data set that show objects (paper, figures 8 to 10)."""

from collections.abc import Iterator
from typing import Any

from rsisrefiner_jax.evaluation.report.drawing import LEGEND
from rsisrefiner_jax.evaluation.report.markup import escaped, figure, note, read_picture
from rsisrefiner_jax.evaluation.report.numbers import Numbers, Step

MODULATION = {"none": "before", "original": "modulated as in MFP", "improved": "as in the paper"}


def of(numbers: Numbers, name: str) -> Iterator[str]:
    """The sections as HTML."""
    yield from _panels(numbers, name)
    yield from _modulation(numbers, name)
    yield from _extremes(numbers, name)


def _panels(numbers: Numbers, name: str) -> Iterator[str]:
    """The same objects by every run, click by click."""
    at = ("datasets", name, "panels")
    drawn = numbers.at(*at)
    places = sorted({place for panels in drawn.values() for place in panels}, key=int)
    if not places:
        return
    yield f"<h3>Click by click</h3>{note(LEGEND)}"
    for place in places:
        runs = [run for run in drawn if place in drawn[run]]
        yield f"<h4>{_object(numbers, *at, runs[0], place)}</h4>"
        for run in runs:
            yield f"<p>{escaped(run)}</p>" if len(drawn) > 1 else ""
            for number, step in enumerate(drawn[run][place]["steps"]):
                path = (*at, run, place, "steps", number)
                clicks = f"{numbers.show(*path, 'clicks')} click{'s' * (step['clicks'] > 1)}"
                caption = f"{clicks}: IoU {numbers.show(*path, 'iou', form='.3f')}"
                yield figure(_picture(numbers, run, step["picture"]), caption, "small")


def _modulation(numbers: Numbers, name: str) -> Iterator[str]:
    """The previous mask that the network is given, and what modulation makes of it."""
    at = ("datasets", name, "panels")
    shown = [
        (run, place, panel["modulation"])
        for run, panels in numbers.at(*at).items()
        for place, panel in panels.items()
        if panel["modulation"]
    ]
    if not shown:
        return
    yield "<h3>Modulation of the probability map</h3>"
    yield note(
        "The map of the crop that the network sees, dark where it is sure of background and "
        "yellow where of the object, before and after the last of the clicks shown changes it."
    )
    for run, place, found in shown:
        path = (*at, run, place)
        sign = "positive" if found["positive"] else "negative"
        click = numbers.show(*path, "modulation", "click")
        yield f"<p>{escaped(run)}, {_object(numbers, *path)}: {sign} click {click}</p>"
        for kind, title in MODULATION.items():
            yield figure(_picture(numbers, run, found["pictures"][kind]), title, "small")


def _extremes(numbers: Numbers, name: str) -> Iterator[str]:
    """The best and the worst objects of each run."""
    for which in ("worst", "best"):
        yield f"<h3>{which.capitalize()} objects</h3>{note(LEGEND)}"
        runs = numbers.at("datasets", name, "extremes")
        for run, found in runs.items():
            yield f"<h4>{escaped(run)}</h4>" if len(runs) > 1 else ""
            for number, one in enumerate(found[which]):
                path = ("datasets", name, "extremes", run, which, number)
                iou, clicks = numbers.show(*path, "iou", form=".3f"), numbers.show(*path, "clicks")
                caption = f"{_object(numbers, *path)}: IoU {iou} after {clicks} clicks"
                yield figure(_picture(numbers, run, one["picture"]), caption)


def _object(numbers: Numbers, *path: Step) -> str:
    """An object in words."""
    one: dict[str, Any] = numbers.at(*path)
    number, area = numbers.show(*path, "object_id"), numbers.show(*path, "area_px")
    return f"{escaped(one['image'])}, object {number} {escaped(one['class'])}, {area} px"


def _picture(numbers: Numbers, run: str, name: str | None) -> bytes | None:
    return read_picture(numbers.at("runs", run, "directory"), name)
