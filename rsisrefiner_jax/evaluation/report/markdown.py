"""table.md: the clicks of each data set, beside what is published."""

from typing import Any


def markdown(document: dict[str, Any]) -> str:
    """All tables of report.json as Markdown."""
    runs = document["runs"]
    protocols = {run["protocol"]["name"]: None for run in runs.values()}
    parts = [f"Protocol: {'; '.join(protocols)}\n"]
    for name, data in document["datasets"].items():
        header, *rows = _rows(document, data)
        lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        curves = "\n".join(_curve(run, found) for run, found in data["runs"].items())
        parts.append(f"## {_heading(name, data)}\n\n{table}\n\n{curves}\n")
    return "\n".join(parts)


def _heading(name: str, data: dict[str, Any]) -> str:
    counts = {str(found["objects"]) for found in data["runs"].values()}
    paper = data["published"]
    beside = f" (paper: {paper['dataset']}, {paper['objects']} others)" if paper else ""
    return f"{name}: {' or '.join(sorted(counts))} objects{beside}"


def _rows(document: dict[str, Any], data: dict[str, Any]) -> list[list[str]]:
    """A header, the runs and, on the paper's data sets, the paper's methods."""
    targets = data["targets"]
    rows = [["method", *(f"NoC@{t}" for t in targets), *(f"NoF@{t}" for t in targets), "s/click"]]
    for run, found in data["runs"].items():
        seconds = found["seconds_per_click"]
        counts = [_noc(found, t) for t in targets] + [
            _cell(found["nof"], t, ".6g") for t in targets
        ]
        rows.append([run, *counts, "-" if seconds is None else f"{seconds:.3f}"])
    for method, found in (data["published"] or {"methods": {}})["methods"].items():
        counts = [_cell(found["noc"], t, ".2f") for t in targets]
        counts += [_cell(found["nof"], t, ".0f") for t in targets]
        rows.append([f"paper: {method}", *counts, "-"])
    return rows


def _cell(numbers: dict[str, float], target: str, form: str) -> str:
    return format(numbers[target], form) if target in numbers else "-"


def _noc(found: dict[str, Any], target: str) -> str:
    """Mean and standard deviation over objects, and over several seeds the mean's interval."""
    if target not in found["noc"]:
        return "-"
    text = f"{found['noc'][target]:.2f} ± {found['noc_std'][target]:.2f}"
    if found["noc_interval_of_clicks"]:
        low, high = found["noc_interval_of_clicks"][target]
        text += f" [{low:.2f}, {high:.2f}]"
    return text


def _curve(run: str, found: dict[str, Any]) -> str:
    """The mean IoU after some numbers of clicks, as one line."""
    points = ", ".join(f"{iou:.3f} at {k}" for k, iou in found["miou_at"].items())
    stops = found["miou_stops_at"]
    remark = (
        ""
        if stops is None
        else (
            f" (objects stop once they reach {stops}; for a curve to hold against figure 7, "
            "--set protocol.early_stop=none)"
        )
    )
    return f"Mean IoU by clicks, {run}: {points}{remark}"
