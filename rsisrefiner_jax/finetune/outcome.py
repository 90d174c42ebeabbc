"""What a fine-tuning has brought: clicks before and after on objects that it has not seen."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from rsisrefiner_jax.atomic import atomic_file
from rsisrefiner_jax.evaluation.report import per_object
from rsisrefiner_jax.evaluation.report.write import write_report
from rsisrefiner_jax.evaluation.runs import Run
from rsisrefiner_jax.finetune.plan import Plan

FILE = "outcome.json"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """before, after, difference: by target, "90" for 0.9: NoC, NoC, and after - before with its
    paired bootstrap interval over the objects held out, as `paired_bootstrap` gives it."""

    network: str
    steps: int
    objects: dict[str, int]  # trained, held_out, left_out
    object_hash: str  # of those held out
    before: dict[str, float]
    after: dict[str, float]
    difference: dict[str, dict[str, Any]]
    runs: tuple[Run, Run]

    def as_json(self) -> dict[str, Any]:
        """Without the runs, which lie in directories of their own."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in fields.items() if name != "runs"}


def outcome_of(plan: Plan, before: Run, after: Run, objects: dict[str, int]) -> Outcome:
    """Compares two evaluations of one data set, object by object."""
    (name,) = before.results["datasets"]
    entries = [run.results["datasets"][name] for run in (before, after)]
    found = per_object.difference(before, after, name)
    assert found["same_objects"]
    assert plan.steps is not None
    return Outcome(
        network=plan.network,
        steps=plan.steps,
        objects=objects,
        object_hash=entries[0]["object_hash"],
        before=entries[0]["noc"],
        after=entries[1]["noc"],
        difference=found["noc"],
        runs=(before, after),
    )


def write(outcome: Outcome, out: Path) -> None:
    """outcome.json, and the report of both evaluations side by side in `out`/report."""
    with atomic_file(out / FILE) as file:
        file.write((json.dumps(outcome.as_json(), indent=2) + "\n").encode())
    write_report(out / "report", dict(zip(("before", "after"), outcome.runs, strict=True)))


def table(outcome: Outcome) -> str:
    """For a person, as Markdown."""
    lines = [
        f"| {outcome.objects['held_out']} objects held out | before | after "
        "| difference, 95 % interval |",
        "|---|---|---|---|",
    ]
    for target, before in outcome.before.items():
        found = outcome.difference[target]
        lines.append(
            f"| NoC@{target} | {before:.2f} | {outcome.after[target]:.2f} | {found['mean']:+.2f} "
            f"[{found['low']:+.2f}, {found['high']:+.2f}] |"
        )
    return "\n".join(lines)


def verdict(outcome: Outcome) -> str:
    """Whether it takes fewer clicks now, as far as these objects can tell."""
    target, found = list(outcome.difference.items())[-1]
    to = f"to {target} % IoU"
    if not found["beyond_noise"]:
        return (
            f"No difference {to} that the {outcome.objects['held_out']} objects held out could "
            "prove: the interval holds 0. More finished objects tell more."
        )
    if found["mean"] < 0:
        return f"It takes {-found['mean']:.1f} clicks fewer an object {to}."
    return f"It takes {found['mean']:.1f} clicks more an object {to}: keep the network you have."


def note(outcome: Outcome) -> str:
    """In a line, beside the network."""
    target, found = list(outcome.difference.items())[-1]
    return (
        f"{outcome.objects['trained']} objects: {outcome.before[target]:.1f} -> "
        f"{outcome.after[target]:.1f} clicks to {target} % on {outcome.objects['held_out']} others "
        f"({found['low']:+.1f} to {found['high']:+.1f})"
    )
