"""What a fine-tuning is of. It is written down at the start, so that the same one goes on later."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from rsisrefiner_jax.atomic import atomic_file
from rsisrefiner_jax.data.project.events import NAME
from rsisrefiner_jax.data.project.source import EXPORTED, read_state
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.networks import DEFAULT, PACKAGED

FILE = "finetune.json"  # in the directory that a fine-tuning writes
FIXED = ("data.train", "data.weights", "data.eval")  # by the project; --set may not change them


@dataclasses.dataclass(frozen=True)
class Plan:
    """project: its folder, or that of an export. until: number of its last event that counts; None
    for an export. network: a packaged one's name or a path. changes: as `--set` has them. steps:
    None until it is known how many fit into `minutes`."""

    project: str
    until: int | None
    network: str
    changes: tuple[str, ...]
    minutes: float
    steps: int | None

    def spec(self, part: str, window: int) -> str:
        """The data SPEC of a part of the objects, in windows of so many pixels."""
        until = f",until={self.until}" if self.until else ""
        return f"project:{self.project}{until},part={part},window={window}"


def make_plan(
    project: Path,
    out: Path,
    network: str | None,
    changes: Sequence[str],
    minutes: float,
    steps: int | None,
) -> Plan:
    """The plan of a new fine-tuning; or that of the one which `out` holds.

    Args:
        network: a checkpoint to continue from; None: the one in use in the project.

    Raises:
        UserError: no project, `out` holds another fine-tuning or anything else, or a change is of
            the data.
    """
    for change in changes:
        changed = change.partition("=")[0]
        require(
            changed not in FIXED,
            f"--set {changed}: the objects of the project are trained on and held out; "
            "`rsisrefiner train` takes other data",
        )
    in_use, last = _in_use(project)
    if network is not None:
        in_use = network if network in PACKAGED else str(Path(network).resolve())
    plan = Plan(str(project.resolve()), last, in_use, tuple(changes), minutes, steps)
    known = written(out)
    if known is None:
        require(
            not out.exists() or (out.is_dir() and not any(out.iterdir())),
            f"--out {out}: there is something else already; name a new directory",
        )
        return plan
    # Objects finished since are not in it, and the network in use may be another one by now.
    plan = dataclasses.replace(
        plan,
        until=known.until,
        network=known.network if network is None else plan.network,
        steps=known.steps if steps is None else steps,
    )
    for field in dataclasses.fields(Plan):
        before, now = getattr(known, field.name), getattr(plan, field.name)
        require(
            before == now,
            f"--out {out}: holds another fine-tuning ({field.name} was {before}, now {now}); name "
            "another directory, or give what was given then",
        )
    return known


def _in_use(project: Path) -> tuple[str, int | None]:
    """The network that a project uses, and the number of its last event. Raises UserError."""
    if not (project / NAME).is_file():
        require(
            (project / EXPORTED).is_file(),
            f"{project}: no project of the annotator ({NAME}) and no export of one ({EXPORTED})",
        )
        return DEFAULT, None
    state, last = read_state(project)
    name = state.network or DEFAULT
    return (name if name in PACKAGED else str(project.resolve() / name)), last


def written(out: Path) -> Plan | None:
    """The plan that a directory holds. Raises UserError: it cannot be read."""
    file = out / FILE
    if not file.is_file():
        return None
    try:
        fields = json.loads(file.read_text())
        return Plan(**fields | {"changes": tuple(fields["changes"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: cannot be read; name another --out") from error


def write(plan: Plan, out: Path) -> None:
    """Raises OSError."""
    with atomic_file(out / FILE) as file:
        file.write((json.dumps(dataclasses.asdict(plan), indent=2) + "\n").encode())
