"""report.html: one page without anything outside of it, from report.json and the runs' pictures."""

import json
from collections.abc import Iterator
from typing import Any

from rsisrefiner_jax.evaluation.report import picture_sections, table_sections
from rsisrefiner_jax.evaluation.report.markup import STYLE, Row, escaped, figure, note, table
from rsisrefiner_jax.evaluation.report.numbers import Numbers

# The browser itself refuses to load anything from elsewhere.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(document: dict[str, Any], curves: bytes) -> str:
    """The HTML. document: report.json. curves: the figure of mean IoU, PNG."""
    numbers = Numbers(document)
    title = "Evaluation" if len(document["runs"]) == 1 else "Evaluations side by side"
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        f"<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>",
        *_runs(numbers),
        figure(curves, "Mean IoU over the number of clicks.", "whole"),
    ]
    for name in document["datasets"]:
        parts.append(f"<h2>{escaped(name)}</h2>")
        parts += [*table_sections.of(numbers, name), *picture_sections.of(numbers, name)]
    parts += ["<h2>Cost</h2>", *_cost(numbers), "<h2>Settings</h2>", *_settings(numbers)]
    return "\n".join([*parts, "</body></html>\n"])


def _runs(numbers: Numbers) -> Iterator[str]:
    rows: list[Row] = []
    protocols = set()
    for name, run in numbers.at("runs").items():
        code = run["environment"].get("code", "-")
        cells = (name, run["checkpoint"], run["protocol"]["name"], code)
        rows.append(("", [escaped(cell) for cell in cells]))
        protocols.add(json.dumps(run["protocol"]))
    yield table(["run", "checkpoint", "protocol", "code"], rows)
    if len(protocols) > 1:
        yield "<p><b>The protocols differ, so that the clicks cannot be compared.</b></p>"


def _cost(numbers: Numbers) -> Iterator[str]:
    """The runs as they were measured while they ran, and the paper's Table IV."""
    show = numbers.show
    rows: list[Row] = []
    for name, run in numbers.at("runs").items():
        path = ("runs", name)
        cells = [
            escaped(name),
            show(*path, "parameters", form=".2f", scale=1e-6),
            show(*path, "trainable", form=".2f", scale=1e-6),
            show(*path, "flops", "later_click", form=".2f", scale=1e-9),
            show(*path, "flops", "first_click", form=".2f", scale=1e-9),
            show(*path, "seconds_per_click", form=".1f", scale=1e3),
            escaped(run["environment"].get("device", "-")),
        ]
        rows.append(("ours", cells))
    for name in numbers.at("published_costs"):
        path = ("published_costs", name)
        cells = [
            f"published: {name}",
            "-",
            show(*path, "trainable", form=".2f"),
            show(*path, "gflops", form=".2f"),
            "-",
            show(*path, "milliseconds", form=".1f"),
            "authors' GPU",
        ]
        rows.append(("published", cells))
    header = ["method", "parameters, M", "trainable, M", "GFLOP a pass", "GFLOP a first click"]
    yield table([*header, "ms a click", "device"], rows)
    yield note(
        "GFLOP: matrix products and convolutions of one picture at the network's own input side, "
        "two operations a multiply-add, without mirroring. The published ones are counted by thop, "
        "which leaves attention out and takes some transposed convolutions fourfold.",
        "ms a click: wall time of the evaluation over its clicks, with mirroring, crops and the "
        "simulated annotator, mean over data sets.",
    )


def _settings(numbers: Numbers) -> Iterator[str]:
    kept = ("protocol", "environment")
    for name, run in numbers.at("runs").items():
        settings = json.dumps({key: run[key] for key in kept}, indent=2)
        yield f"<h3>{escaped(name)}</h3><pre>{escaped(settings)}</pre>"
