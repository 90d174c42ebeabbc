"""What differs between two evaluations, setting by setting and object by object.

    python -m rsisrefiner_jax.evaluation.compare runs/a/eval runs/b/eval

A and B are directories that eval.py wrote.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rsisrefiner_jax.console import program
from rsisrefiner_jax.errors import run_main
from rsisrefiner_jax.evaluation.runs import Key, read_run

SHOWN = 10  # objects of each data set


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; see `--help`. Raises UserError: a directory holds no evaluation."""
    parser = argparse.ArgumentParser(
        prog=program("compare"),
        description="Lists what differs between two evaluations: settings, environment, counts, "
        "and the objects whose clicks or IoUs are others, the largest difference first.",
    )
    parser.add_argument("a", metavar="A", type=Path, help="a directory that eval.py wrote")
    parser.add_argument("b", metavar="B", type=Path, help="another one")
    options = parser.parse_args(arguments)
    lines = list(compare(options.a, options.b))
    print("\n".join(lines or ["no difference"]))


def compare(a: Path, b: Path) -> Iterator[str]:
    """The differences as lines of text. Raises UserError."""
    runs = [read_run(directory) for directory in (a, b)]
    results = [run.results for run in runs]
    one, other = ({k: v for k, v in r.items() if k != "datasets"} for r in results)
    for name, old, new in differences(one, other):
        yield f"{name}: {old} | {new}"
    objects = [run.objects for run in runs]
    for name in sorted({*objects[0], *objects[1]}):
        found = [each.get(name, {}) for each in objects]
        yield from _counts(name, *(r["datasets"].get(name) for r in results))
        yield from _objects_that_differ(name, *found)


def differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted name, old value, new value) of every field in which two JSON values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            inner = f"{name}.{key}" if name else key
            yield from differences(old.get(key), new.get(key), inner)
    elif old != new:
        yield name, old, new


def _counts(name: str, a: dict[str, Any] | None, b: dict[str, Any] | None) -> Iterator[str]:
    if a is None or b is None:
        yield f"{name}: only in {'B' if a is None else 'A'}"
        return
    timing = ("seconds_per_click", "objects_per_second", "answers_made", "answers_needed", "miou")
    one, other = ({k: v for k, v in entry.items() if k not in timing} for entry in (a, b))
    for field, old, new in differences(one, other):
        yield f"{name}: {field}: {old} | {new}"


def _objects_that_differ(
    name: str, a: dict[Key, dict[str, Any]], b: dict[Key, dict[str, Any]]
) -> Iterator[str]:
    both = [key for key in a if key in b]
    for side, only in (("A", a.keys() - b.keys()), ("B", b.keys() - a.keys())):
        if only:
            yield f"{name}: {len(only)} objects only in {side}, such as {_named(min(only))}"
    rows = [(_largest(a[key]["ious"], b[key]["ious"]), key) for key in both]
    other_clicks = {key for key in both if a[key]["clicks"] != b[key]["clicks"]}
    rows = [row for row in rows if row[0] > 0 or row[1] in other_clicks]
    if not rows:
        return
    yield (
        f"{name}: {len(rows)} of {len(both)} objects differ, {len(other_clicks)} of them in their "
        f"clicks; largest difference of an IoU after the same click {max(rows)[0]:.2g}"
    )
    for difference, key in sorted(rows, reverse=True)[:SHOWN]:
        first = _first_other(a[key]["clicks"], b[key]["clicks"])
        clicks = f"clicks differ from the {first}. on" if first else "the same clicks"
        yield (
            f"  {_named(key)}: IoU by up to {difference:.4f}, {clicks}; "
            f"{len(a[key]['clicks'])} | {len(b[key]['clicks'])} clicks, "
            f"last IoU {a[key]['ious'][-1]:.4f} | {b[key]['ious'][-1]:.4f}"
        )


def _largest(a: Sequence[float], b: Sequence[float]) -> float:
    return max(abs(x - y) for x, y in zip(a, b, strict=False))


def _first_other(a: Sequence[Any], b: Sequence[Any]) -> int | None:
    """The number (from 1) of the first click that is another, or that one of them lacks."""
    for number, (x, y) in enumerate(zip(a, b, strict=False), 1):
        if x != y:
            return number
    return None if len(a) == len(b) else min(len(a), len(b)) + 1


def _named(key: Key) -> str:
    image, object_id, seed = key
    return f"{image}, object {object_id}" + (f", seed {seed}" if seed else "")


if __name__ == "__main__":
    run_main(main)
