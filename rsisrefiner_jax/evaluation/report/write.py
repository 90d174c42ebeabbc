"""Writes a report on one or several evaluations into a directory."""

import json
from collections.abc import Mapping
from pathlib import Path

from rsisrefiner_jax.atomic import atomic_file
from rsisrefiner_jax.evaluation.report.curves import plot_miou
from rsisrefiner_jax.evaluation.report.document import document
from rsisrefiner_jax.evaluation.report.markdown import markdown
from rsisrefiner_jax.evaluation.report.page import page
from rsisrefiner_jax.evaluation.runs import Run


def write_report(
    directory: Path, runs: Mapping[str, Run], published_as: Mapping[str, str] | None = None
) -> str:
    """Writes report.json, table.md, miou.png and the self-contained report.html.

    runs, published_as: as `document` takes them.

    Returns:
        table.md.

    Raises:
        UserError: `published_as` names what is not there.
        OSError: the directory cannot be written.
    """
    numbers = document(runs, published_as)
    plot = directory / "miou.png"
    directory.mkdir(parents=True, exist_ok=True)
    plot_miou(numbers, plot)
    tables = markdown(numbers)
    files = {
        "report.json": json.dumps(numbers, indent=2) + "\n",
        "table.md": tables,
        "report.html": page(numbers, plot.read_bytes()),
    }
    for name, text in files.items():
        with atomic_file(directory / name) as file:
            file.write(text.encode())
    return tables
