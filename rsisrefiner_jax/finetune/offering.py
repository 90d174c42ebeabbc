"""The network that has come of a fine-tuning, put where the annotator finds it."""

import dataclasses
import json
import shutil
from pathlib import Path

from rsisrefiner_jax.checkpoint.about import ABOUT
from rsisrefiner_jax.checkpoint.export import export_weights
from rsisrefiner_jax.checkpoint.runs import load_weights
from rsisrefiner_jax.data.project.events import NAME
from rsisrefiner_jax.data.project.network_paths import FOLDER
from rsisrefiner_jax.finetune.outcome import Outcome, note
from rsisrefiner_jax.finetune.plan import Plan


def offer(plan: Plan, outcome: Outcome, out: Path) -> Path | None:
    """Copies the weights of `out` into the project's networks, under the name of `out`.

    Returns:
        The checkpoint's folder; None where there is no project (an export), or none that can be
        written to.
    """
    project = Path(plan.project)
    if not (project / NAME).is_file():
        return None
    target = project / FOLDER / out.resolve().name
    if target.is_dir():
        return target
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.parent.mkdir(exist_ok=True)
        found = load_weights(out)
        export_weights(found, dataclasses.replace(found.config, name=target.name), part)
        about = {"name": target.name, "note": note(outcome)} | outcome.as_json()
        (part / ABOUT).write_text(json.dumps(about, indent=1))
        part.rename(target)
    except OSError as error:
        print(f"note: not offered in the annotator: {target} cannot be written ({error})")
        return None
    return target
