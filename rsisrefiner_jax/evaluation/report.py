"""results.json, table.md, miou.png and report.html from the numbers of an evaluation."""

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsisrefiner_jax.data.scene import Scene
from rsisrefiner_jax.evaluation import published
from rsisrefiner_jax.evaluation.evaluate import ObjectResult
from rsisrefiner_jax.interaction.metrics import clicks_needed
from rsisrefiner_jax.interaction.simulate import Trace
from rsisrefiner_jax.protocol import Protocol

# RGB
GREEN, RED, YELLOW, WHITE = (40, 200, 80), (230, 60, 60), (250, 210, 60), (255, 255, 255)


class Gallery:
    """Pictures of the best and the worst objects of one data set, kept in a folder as PNG files.

    Only an object that is among the best or worst so far is drawn, so that the folder stays small
    and an evaluation that goes on after a crash finds the earlier pictures there. Objects are
    known by their place in the data set and may finish in any order.
    """

    def __init__(self, directory: Path, dataset: str, protocol: Protocol, size: int = 6) -> None:
        self._directory = directory / re.sub(r"[^\w.-]+", "_", dataset)
        self._protocol = protocol
        self._size = size
        self._results: dict[int, ObjectResult] = {}

    def add(
        self, index: int, result: ObjectResult, scene: Scene, target: np.ndarray, trace: Trace
    ) -> None:
        """Draws an object if it is among the best or worst so far (`on_object` of `evaluate`)."""
        self._results[index] = result
        shown = {*self.best(), *self.worst()}
        if index not in shown:
            return
        picture = draw_object(scene.image, target, trace.probs > self._protocol.pred_thr, result)
        self._directory.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(self._path(index)), picture[..., ::-1])
        for path in self._directory.glob("*.png"):
            if int(path.stem) not in shown and int(path.stem) in self._results:
                path.unlink()

    def complete(self, results: Sequence[ObjectResult]) -> None:
        """Takes the results of the whole data set, in order, those of earlier runs among them."""
        self._results = dict(enumerate(results))

    def best(self) -> list[int]:
        """Places of the best objects, best first."""
        return self._ranked()[: self._size]

    def worst(self) -> list[int]:
        """Places of the worst objects, worst first; none of the best."""
        return self._ranked()[self._size :][: -self._size - 1 : -1]

    def picture(self, index: int) -> tuple[ObjectResult, bytes]:
        """An object and its PNG picture, empty if there is none."""
        path = self._path(index)
        return self._results[index], path.read_bytes() if path.exists() else b""

    def _path(self, index: int) -> Path:
        return self._directory / f"{index:06d}.png"

    def _ranked(self) -> list[int]:
        """Few clicks to the highest target come first, then high final IoUs."""
        target, clicks = max(self._protocol.noc_targets), self._protocol.max_clicks

        def effort(index: int) -> tuple[int, float, int]:
            ious = self._results[index].ious
            return clicks_needed(ious, target, clicks + 1), -ious[-1], index

        return sorted(self._results, key=effort)


def draw_object(
    image: np.ndarray, target: np.ndarray, mask: np.ndarray, result: ObjectResult, side: int = 320
) -> np.ndarray:
    """uint8 RGB, longest side `side`: the object outlined (white), the prediction (yellow) and the
    clicks, green positive and red negative, the larger the earlier.

    image: uint8 [h, w, 3]. target: int8 [h, w]. mask: bool [h, w].
    """
    points = np.zeros(mask.shape, bool)
    for click in result.clicks:
        points[int(click.y), int(click.x)] = True
    x, y, columns, rows = cv2.boundingRect(((target == 1) | mask | points).astype(np.uint8))
    margin = 8 + max(columns, rows) // 6
    top, left = max(y - margin, 0), max(x - margin, 0)
    window = np.s_[top : y + rows + margin, left : x + columns + margin]
    height, width = image[window].shape[:2]
    scale = side / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    picture = cv2.resize(
        image[window], size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    )
    for region, color in ((target == 1, WHITE), (mask, YELLOW)):
        region = cv2.resize(region[window].astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(region, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, color, 1)
    for order, click in reversed(list(enumerate(result.clicks))):
        centre = round((click.x - left + 0.5) * scale), round((click.y - top + 0.5) * scale)
        radius = 6 if order == 0 else 4
        cv2.circle(picture, centre, radius + 1, WHITE, -1, cv2.LINE_AA)
        cv2.circle(picture, centre, radius, GREEN if click.positive else RED, -1, cv2.LINE_AA)
    return picture


Rows = list[list[str]]


def comparison(name: str, entry: Mapping[str, Any], nof: str) -> Rows:
    """A data set's table: a header, this run and, on the paper's data sets, the paper's methods.

    entry: a data set of results.json. nof: "strict" or "at_max", which NoF is shown.
    """
    failures = entry["nof" if nof == "strict" else "nof_at_max"]
    targets = list(entry["noc"])
    header = ["method", *(f"NoC@{t}" for t in targets), *(f"NoF@{t}" for t in targets), "s/click"]
    seconds = entry["seconds_per_click"]
    ours = [
        "this run",
        *(_noc(entry, t) for t in targets),
        *(f"{failures[t]:.4g}" for t in targets),
        "-" if seconds is None else f"{seconds:.3f}",
    ]
    return [header, ours, *_paper_rows(name.partition(":")[0], targets)]


def _noc(entry: Mapping[str, Any], target: str) -> str:
    """Mean and standard deviation over objects, and over several seeds the mean's 95 % interval."""
    text = f"{entry['noc'][target]:.2f} ± {entry['noc_std'][target]:.2f}"
    if "noc_ci95" in entry:
        low, high = entry["noc_ci95"][target]
        text += f" [{low:.2f}, {high:.2f}]"
    return text


def _paper_rows(dataset: str, targets: Sequence[str]) -> Rows:
    if dataset not in published.DATASETS:
        return []
    noc, nof = published.noc(dataset), published.nof(dataset)

    def cells(numbers: Sequence[float], form: str) -> list[str]:
        known = dict(zip(published.TARGETS, numbers, strict=True))
        return [format(known[t], form) if t in known else "-" for t in targets]

    return [
        [f"paper: {method}", *cells(noc[method], ".2f"), *cells(nof[method], ".0f"), "-"]
        for method in noc
    ]


def heading(name: str, entry: Mapping[str, Any]) -> str:
    """The title of a data set's table."""
    known = published.DATASETS.get(name.partition(":")[0])
    paper = f" (paper: {known[0]}, {known[1]} objects)" if known else ""
    return f"{name}: {entry['objects']} objects{paper}"


def markdown(results: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    parts = [f"Protocol: {results['protocol']['name']}\n"]
    for name, entry in results["datasets"].items():
        header, *rows = comparison(name, entry, results["protocol"]["nof"])
        lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts.append(f"## {heading(name, entry)}\n\n{table}\n\n{curve_in_words(entry)}\n")
    return "\n".join(parts)


def curve_in_words(entry: Mapping[str, Any], at: Sequence[int] = (1, 3, 5, 10, 20)) -> str:
    """The mean IoU after some numbers of clicks, as one line."""
    miou = entry["miou"]
    points = [f"{miou[k - 1]:.3f} at {k}" for k in at if k <= len(miou)]
    return f"Mean IoU by clicks: {', '.join(points)}{stopped(entry)}"


def stopped(entry: Mapping[str, Any]) -> str:
    """A remark where the curve is not that of the paper's figure 7; else empty."""
    if entry["miou_stops_at"] is None:
        return ""
    return (
        f" (objects stop once they reach {entry['miou_stops_at']}; for a curve to hold against "
        "figure 7, --set protocol.early_stop=none)"
    )


def plot_miou(datasets: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Mean IoU over the number of clicks, one curve a data set, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    figure, axes = plt.subplots(figsize=(6, 4), dpi=120, layout="constrained")
    for name, entry in datasets.items():
        stops = entry["miou_stops_at"]
        label = name if stops is None else f"{name}, stopped at {stops}"
        axes.plot(range(1, len(entry["miou"]) + 1), entry["miou"], marker=".", label=label)
    axes.set(xlabel="clicks", ylabel="mIoU", ylim=(0, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path)
    plt.close(figure)


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
tr.ours { font-weight: bold; background: #eef6ee }
figure { display: inline-block; margin: .4rem; vertical-align: top; width: 20rem }
img { max-width: 100% } figcaption, small { color: #555; font-size: .85rem }
pre { background: #f6f6f6; padding: 1rem; overflow-x: auto }
"""


def _html(results: Mapping[str, Any], curve: bytes, galleries: Mapping[str, Gallery]) -> str:
    settings = {key: results[key] for key in ("checkpoint", "model", "protocol")}
    title = f"Evaluation, protocol {html.escape(results['protocol']['name'])}"
    parts = [
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>",
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>",
        f"<p>{html.escape(results['checkpoint'])}</p>",
        f"<img alt='mean IoU over clicks' src='{_data_url(curve)}'>",
    ]
    for name, entry in results["datasets"].items():
        parts.append(f"<h2>{html.escape(heading(name, entry))}</h2>")
        parts.append(_html_table(comparison(name, entry, results["protocol"]["nof"])))
        parts.append(f"<p>{html.escape(curve_in_words(entry))}</p>")
        parts.append(
            f"<p><small>NoF: {html.escape(results['protocol']['nof'])}. Objects: "
            f"{entry['object_hash']}, {entry['left_out']} left out.</small></p>"
        )
        if name in galleries:
            parts.extend(_html_gallery("Best", galleries[name], galleries[name].best()))
            parts.extend(_html_gallery("Worst", galleries[name], galleries[name].worst()))
    parts.append(f"<h2>Settings</h2><pre>{html.escape(json.dumps(settings, indent=2))}</pre>")
    return "\n".join([*parts, "</body></html>\n"])


def _html_table(rows: Rows) -> str:
    header, ours, *others = [[html.escape(cell) for cell in row] for row in rows]
    lines = [f"<tr><th>{'</th><th>'.join(header)}</th></tr>"]
    lines.append(f"<tr class='ours'><td>{'</td><td>'.join(ours)}</td></tr>")
    lines.extend(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in others)
    return f"<table>{''.join(lines)}</table>"


def _html_gallery(title: str, gallery: Gallery, indices: Sequence[int]) -> list[str]:
    if not indices:
        return []
    parts = [
        f"<h3>{title} objects</h3><p><small>White: the object; yellow: the prediction; green and "
        "red dots: positive and negative clicks, the first one larger.</small></p>"
    ]
    for index in indices:
        result, png = gallery.picture(index)
        caption = (
            f"{result.image}, object {result.object_id} {result.category}: "
            f"IoU {result.ious[-1]:.3f} after {len(result.clicks)} clicks, {result.area_px} px"
        )
        image = f"<img alt='' src='{_data_url(png)}'>" if png else ""
        parts.append(f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>")
    return parts


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def write_report(
    directory: Path, results: Mapping[str, Any], galleries: Mapping[str, Gallery]
) -> None:
    """Writes results.json, table.md, miou.png and the self-contained report.html.

    results: as results.json holds it. galleries: data set name -> its pictures.
    """
    (directory / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    (directory / "table.md").write_text(markdown(results))
    plot_miou(results["datasets"], directory / "miou.png")
    curve = (directory / "miou.png").read_bytes()
    (directory / "report.html").write_text(_html(results, curve, galleries))
