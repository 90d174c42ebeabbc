"""The figure of mean IoU over the number of clicks (paper, figure 7)."""

from pathlib import Path
from typing import Any

COLUMNS = 3


def plot_miou(document: dict[str, Any], path: Path) -> None:
    """Writes a PNG: a plot for each data set of report.json, a curve for each run."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    datasets = document["datasets"]
    columns = min(len(datasets), COLUMNS)
    rows = -(-len(datasets) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(5 * columns, 3.75 * rows), dpi=120, layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for axes in grid.flat[len(datasets) :]:
        axes.set_axis_off()
    for axes, (name, data) in zip(grid.flat, datasets.items(), strict=False):
        for run, found in data["runs"].items():
            stops = found["miou_stops_at"]
            label = run if stops is None else f"{run} (stopped at {stops})"
            axes.plot(range(1, len(found["miou"]) + 1), found["miou"], marker=".", label=label)
        axes.set(title=name, xlabel="clicks", ylabel="mIoU", ylim=(0, 1))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    figure.savefig(path)
    plt.close(figure)
