"""tableN.md: the paper's numbers beside ours."""

from collections.abc import Mapping, Sequence
from typing import Any

CAUTION = (
    "The paper's numbers are of ViT-B at 448 px, trained on iSAID and Potsdam: other data, other "
    "objects, another budget. What can be compared is the order of the rows."
)


def markdown(results: Mapping[str, Any]) -> str:
    """A table's results as Markdown."""
    lines = costs(results) if "trainable" in results["metrics"] else clicks(results)
    title = f"# {results['title']}"
    return "\n\n".join([title, _budget(results), _grid(lines), results["noise"], CAUTION]) + "\n"


def clicks(results: Mapping[str, Any]) -> list[list[str]]:
    """Rows of a table of NoC: the paper's, then ours with the difference from the reference.

    Ours end with the mean IoU after the last click, which tells rows apart that never reach a
    target.
    """
    columns = list(results["rows"][0]["paper"])
    datasets = list(results["rows"][0]["datasets"])
    names = results["metrics"]
    slashed = "/".join([names[0], *(name.removeprefix("NoC") for name in names[1:])])
    lines = [
        [
            "",
            "trainable",
            *(f"paper: {column} {slashed}" for column in columns),
            *(f"{dataset}: {name}" for dataset in datasets for name in (*names, _miou(results))),
        ]
    ]
    for row in results["rows"]:
        paper = (" / ".join(f"{x:.2f}" for x in row["paper"][c].values()) for c in columns)
        ours = (cell for dataset in datasets for cell in _reached(row["datasets"][dataset], names))
        lines.append([row["name"], _millions(row), *paper, *ours])
    return lines


def costs(results: Mapping[str, Any]) -> list[list[str]]:
    """Rows of the table of costs."""
    head = ["trainable", "GFLOP a pass", "ms a click"]
    lines = [["", *(f"paper: {h}" for h in head), *head, "parameters"]]
    for row in results["rows"]:
        (paper,) = row["paper"].values()
        time = "" if row["ms_per_click"] is None else f"{row['ms_per_click']:.1f}"
        lines.append(
            [
                row["name"],
                *(f"{paper['trainable']:g} M", f"{paper['GFLOP']:g}", f"{paper['ms']:g}"),
                *(_millions(row), f"{row['gflops']:.2f}", time),
                f"{row['parameters'] / 1e6:.2f} M",
            ]
        )
    return lines


def _miou(results: Mapping[str, Any]) -> str:
    entry = next(iter(results["rows"][-1]["datasets"].values()))
    return f"mIoU at {entry['miou']['clicks']}"


def _reached(entry: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The cells of a row for a data set."""
    means = [f"{entry['noc'][name.removeprefix('NoC')]['mean']:.2f}" for name in names]
    means.append(f"{entry['miou']['mean']:.3f}")
    return [
        _against(mean, entry["difference"].get(name))
        for mean, name in zip(means, [*names, "mIoU"], strict=True)
    ]


def _against(mean: str, difference: Mapping[str, Any] | None) -> str:
    """The mean; its difference from the reference with the interval, bold where outside noise."""
    if difference is None:
        return mean
    said = "{mean:+.3g} [{low:+.3g}, {high:+.3g}]".format(**difference)
    return f"{mean} (**{said}**)" if difference["outside_noise"] else f"{mean} ({said})"


def _millions(row: Mapping[str, Any]) -> str:
    return f"{row['trainable'] / 1e6:.2f} M"


def _budget(results: Mapping[str, Any]) -> str:
    budget = results["budget"]
    objects = ", ".join(
        f"{name} ({entry['objects']} objects)"
        for name, entry in results["rows"][-1]["datasets"].items()
    )
    return (
        f"Base `{results['base']}`, {results['seeds']} seed{'s' * (results['seeds'] > 1)}; every "
        f"trained row {budget['steps']} steps of {budget['batch_size']} pictures at "
        f"{budget['image_size']} px, {budget['clicks']:.2f} clicks a sample on average. Evaluated "
        f"on {objects}, protocol {results['protocol']['name']}. In brackets: the difference from "
        f"'{results['reference']}' with its 95 % interval over objects and seeds, bold where it is "
        "outside noise."
    )


def _grid(lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(lines[0]) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
