"""Which pictures of an evaluation there are, and of what."""

from typing import Any

from rsisrefiner_jax.evaluation.report.gallery import best_and_worst, file_of, folder_of
from rsisrefiner_jax.evaluation.report.panels import KINDS, MODULATED, moments
from rsisrefiner_jax.evaluation.runs import Line, Run


def extremes(run: Run, dataset: str) -> dict[str, list[dict[str, Any]]]:
    """{"best", "worst"}: those objects with their pictures (`gallery.Gallery`)."""
    lines, protocol = _drawn_from(run, dataset), run.results["protocol"]
    ious = {index: line["ious"] for index, line in enumerate(lines)}
    ranked = best_and_worst(ious, max(protocol["noc_targets"]), protocol["max_clicks"])

    def shown(index: int) -> dict[str, Any]:
        picture = f"gallery/{folder_of(dataset)}/{file_of(index)}"
        return _object(lines[index]) | {"picture": _if_there(run, picture)}

    best, worst = ([shown(index) for index in places] for places in ranked)
    return {"best": best, "worst": worst}


def panels(run: Run, dataset: str) -> dict[str, Any]:
    """Place -> an object that was drawn click by click (`panels.draw_panels`)."""
    lines, folder = _drawn_from(run, dataset), f"panels/{folder_of(dataset)}"
    drawn = sorted({int(p.name[:6]) for p in (run.directory / folder).glob("*.png")})
    return {str(index): _panel(run, lines[index], folder, index) for index in drawn}


def _panel(run: Run, line: Line, folder: str, index: int) -> dict[str, Any]:
    steps = [
        {
            "clicks": k,
            "iou": line["ious"][k - 1],
            "picture": _if_there(run, f"{folder}/{file_of(index, k)}"),
        }
        for k in moments(len(line["ious"]))
    ]
    modulation = {kind: _if_there(run, f"{folder}/{file_of(index, kind)}") for kind in KINDS}
    if all(modulation.values()):
        about = {"click": MODULATED, "positive": line["clicks"][MODULATED - 1][2]}
        return _object(line) | {"steps": steps, "modulation": about | {"pictures": modulation}}
    return _object(line) | {"steps": steps, "modulation": None}


def _drawn_from(run: Run, dataset: str) -> list[Line]:
    """The objects as they were clicked with seed 0, by their place."""
    lines = run.objects[dataset]
    return [line for (_, _, seed), line in lines.items() if seed == 0]


def _object(line: Line) -> dict[str, Any]:
    about = {key: line[key] for key in ("image", "object_id", "class", "area_px")}
    return about | {"clicks": len(line["clicks"]), "iou": line["ious"][-1]}


def _if_there(run: Run, picture: str) -> str | None:
    return picture if (run.directory / picture).exists() else None
