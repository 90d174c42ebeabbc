"""What eval.py wrote into its output directory, read back."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsisrefiner_jax.errors import UserError, require

Key = tuple[str, int, int]  # image, object id, seed
Line = dict[str, Any]  # of objects.jsonl


@dataclasses.dataclass(frozen=True)
class Run:
    """One evaluation.

    results: results.json. objects: data set -> object -> its line of objects.jsonl, in the order
    of the data set. robustness: trajectories.json, where it is there.
    """

    directory: Path
    results: dict[str, Any]
    objects: dict[str, dict[Key, Line]]
    robustness: dict[str, Any] | None = None


def read_run(directory: Path) -> Run:
    """Raises UserError: the directory holds no finished evaluation."""
    results, objects = _results(directory), _objects(directory)
    for name in results["datasets"]:
        require(
            name in objects,
            f"{directory}: results.json has the data set {name!r} and objects.jsonl no object of "
            "it; run the evaluation again",
        )
    return Run(directory, results, objects, _robustness(directory))


def names_of(directories: Sequence[Path]) -> list[str]:
    """A name for each: the end of its path, as long as it takes to tell them apart.

    Raises:
        UserError: one is named twice.
    """
    paths = [path.resolve() for path in directories]
    require(
        len(set(paths)) == len(paths),
        "an evaluation is named twice: " + ", ".join(map(str, directories)),
    )
    length = 1
    while len(set(names := ["/".join(path.parts[-length:]) for path in paths])) < len(paths):
        length += 1
    return names


def _results(directory: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((directory / "results.json").read_text())
        found["datasets"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{directory}: holds no finished evaluation (results.json)") from error
    return found


def _objects(directory: Path) -> dict[str, dict[Key, Line]]:
    found: dict[str, dict[Key, Line]] = {}
    path = directory / "objects.jsonl"
    try:
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            key = entry["image"], entry["object_id"], entry.get("seed", 0)
            found.setdefault(entry["dataset"], {})[key] = entry
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as the objects of an evaluation") from error
    return found


def _robustness(directory: Path) -> dict[str, Any] | None:
    path = directory / "trajectories.json"
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON; write it anew or delete it") from error
