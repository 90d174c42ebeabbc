"""The sections of a data set that are tables: clicks, differences, groups of objects."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rsisrefiner_jax.evaluation.report.markup import Row, escaped, note, table
from rsisrefiner_jax.evaluation.report.numbers import Numbers


def of(numbers: Numbers, name: str) -> Iterator[str]:
    """The sections as HTML."""
    yield from _clicks(numbers, name)
    yield from _curve(numbers, name)
    yield from _differences(numbers, name)
    yield from _robustness(numbers, name)
    for key, title in (("sizes", "By size"), ("classes", "By class")):
        yield f"<h3>{title}</h3>{_strata(numbers, name, key)}"


def _clicks(numbers: Numbers, name: str) -> Iterator[str]:
    """NoC and NoF, beside what is published."""
    data = numbers.at("datasets", name)
    header = ["method", "objects", *_counts(data["targets"])]
    rows = [_run(numbers, name, run) for run in data["runs"]]
    methods = data["published"]["methods"] if data["published"] else ()
    yield table(header, [*rows, *(_published(numbers, name, method) for method in methods)])
    rules = {numbers.at("runs", run, "protocol", "nof") for run in data["runs"]}
    yield note(
        "NoC: mean number of clicks, in brackets its "
        f"{numbers.show('interval_level', form='.0f', scale=100)} % interval over objects "
        '(bootstrap); after "clicks", that over repetitions with other clicks.',
        f"NoF: objects that fail ({', '.join(sorted(rules))}).",
        _about_published(data["published"]),
        f"Objects: {'; '.join(_object_lists(numbers, name))}.",
    )


def _run(numbers: Numbers, name: str, run: str) -> Row:
    path = ("datasets", name, "runs", run)
    targets = numbers.at("datasets", name, "targets")
    cells = [escaped(run), numbers.show(*path, "objects")]
    for t in targets:
        text = numbers.show(*path, "noc", t, form=".2f")
        text += _interval(numbers, *path, "noc_interval", t)
        if numbers.at(*path, "noc_interval_of_clicks"):
            text += f"<br>clicks{_interval(numbers, *path, 'noc_interval_of_clicks', t)}"
        cells.append(text)
    return "ours", cells + [numbers.show(*path, "nof", t, form=".6g") for t in targets]


def _published(numbers: Numbers, name: str, method: str) -> Row:
    data: tuple[str, ...] = ("datasets", name, "published")
    path = (*data, "methods", method)
    targets = numbers.at("datasets", name, "targets")
    cells = [f"published: {escaped(method)}", numbers.show(*data, "objects")]
    cells += [numbers.show(*path, "noc", t, form=".2f") for t in targets]
    return "published", cells + [numbers.show(*path, "nof", t, form=".0f") for t in targets]


def _about_published(published: dict[str, Any] | None) -> str:
    if published is None:
        return ""
    return (
        f"Published: the paper's Tables I and II on {published['dataset']}. Its object lists are "
        "others and not public, so that small differences to them say nothing."
    )


def _object_lists(numbers: Numbers, name: str) -> list[str]:
    """The lists of objects that there are, and which runs have them."""
    lists: dict[str, list[str]] = {}
    for run, found in numbers.at("datasets", name, "runs").items():
        lists.setdefault(found["object_hash"], []).append(run)
    texts = []
    for object_hash, runs in lists.items():
        left_out = numbers.show("datasets", name, "runs", runs[0], "left_out")
        whose = f" ({escaped(', '.join(runs))})" if len(lists) > 1 else ""
        texts.append(f"{escaped(object_hash)}{whose}, {left_out} left out")
    return texts


def _interval(numbers: Numbers, *path: str) -> str:
    low, high = (numbers.show(*path, end, form=".2f") for end in (0, 1))
    return f" <small>[{low}, {high}]</small>"


def _counts(targets: Iterable[str]) -> list[str]:
    return [f"{what}@{t}" for what in ("NoC", "NoF") for t in targets]


def _curve(numbers: Numbers, name: str) -> Iterator[str]:
    """Mean IoU after some numbers of clicks."""
    runs = numbers.at("datasets", name, "runs")
    clicks = max((list(run["miou_at"]) for run in runs.values()), key=len)
    rows: list[Row] = []
    for run, found in runs.items():
        path = ("datasets", name, "runs", run)
        stops = "never" if found["miou_stops_at"] is None else numbers.show(*path, "miou_stops_at")
        cells = [numbers.show(*path, "miou_at", k, form=".3f") for k in clicks]
        rows.append(("", [escaped(run), *cells, stops]))
    yield "<h3>Mean IoU by clicks</h3>"
    yield table(["run", *clicks, "objects stop at IoU"], rows)
    if any(run["miou_stops_at"] is not None for run in runs.values()):
        yield note(
            "Objects that stop keep their IoU. For curves to hold against the paper's figure of "
            "mIoU, evaluate with --set protocol.early_stop=none."
        )


def _differences(numbers: Numbers, name: str) -> Iterator[str]:
    """What lies between the first run and the others, object by object."""
    data = numbers.at("datasets", name)
    if not data["differences"]:
        return
    targets = data["targets"]
    header = ["run", *(f"NoC@{t}" for t in targets), *(f"failing@{t}, %" for t in targets)]
    rows: list[Row] = []
    for run in data["differences"]:
        path = ("datasets", name, "differences", run)
        cells = [_paired(numbers, (*path, "noc", t), 1, "+.2f") for t in targets]
        cells += [_paired(numbers, (*path, "failing", t), 100, "+.1f") for t in targets]
        shared = numbers.show(*path, "objects")
        rows.append(("", [f"{escaped(run)} <small>{shared} objects</small>", *cells]))
    yield f"<h3>Difference to {escaped(data['differences_to'])}</h3>"
    yield table(header, rows)
    same = all(found["same_objects"] for found in data["differences"].values())
    yield note(
        "Over the objects that both have, in brackets the paired bootstrap interval; bold where "
        "it leaves zero out. Fewer clicks and fewer failing objects are better.",
        "" if same else "<b>The object lists differ.</b>",
    )


def _paired(numbers: Numbers, path: Sequence[str], scale: float, form: str) -> str:
    if numbers.at(*path) is None:
        return "-"
    mean, low, high = (
        numbers.show(*path, end, form=form, scale=scale) for end in ("mean", "low", "high")
    )
    text = f"{mean} <small>[{low}, {high}]</small>"
    return f"<b>{text}</b>" if numbers.at(*path, "beyond_noise") else text


def _robustness(numbers: Numbers, name: str) -> Iterator[str]:
    return iter(())


def _strata(numbers: Numbers, name: str, key: str) -> str:
    targets = numbers.at("datasets", name, "targets")
    header = [{"sizes": "size", "classes": "class"}[key], "run", "objects", *_counts(targets)]
    rows: list[Row] = []
    for title, runs in numbers.at("datasets", name, key).items():
        for place, run in enumerate(runs):
            path = ("datasets", name, key, title, run)
            cells = ["" if place else escaped(title), escaped(run)]
            cells.append(numbers.show(*path, "objects"))
            cells += [numbers.show(*path, "noc", t, form=".2f") for t in targets]
            cells += [numbers.show(*path, "nof", t, form=".6g") for t in targets]
            rows.append(("", [*cells, numbers.show(*path, "last_iou", form=".3f")]))
    return table([*header, "last IoU"], rows)
