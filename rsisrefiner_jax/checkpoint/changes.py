"""What a run that goes on is given other than before: named, and refused where it matters."""

import json
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from rsisrefiner_jax.checkpoint.runs import Saved
from rsisrefiner_jax.config import Config, to_json
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.evaluation.compare import differences
from rsisrefiner_jax.networks import FROZEN
from rsisrefiner_jax.weights import check_same, load_npz

# Fields, and groups of them, that no step depends on. A field that is not here does matter.
FREE = (
    *("name", "note", "eval", "protocol", "parallel.backend", "parallel.patience"),
    *("data.eval", "data.threads", "data.workers"),
    *("train.epochs", "train.log_every", "train.checkpoint_every", "train.preview_every"),
    *("train.keep", "train.save_untrained", "train.init_from", "train.max_steps"),
    *("train.tensorboard", "train.csv", "train.wandb", "validate"),
    *("train.deterministic", "model.remat"),  # the same computation, otherwise carried out
    "model.backbone_weights",  # a file may have moved; what is in it is compared
)


def check_changes(
    saved: Saved, config: Config, scenes: Sequence[int], accept: bool = False
) -> list[str]:
    """The settings that changed since a checkpoint was saved, a line each.

    Args:
        scenes: how many each data set has now.
        accept: let the run go on with whatever changed.

    Raises:
        UserError: the run would not be the same one any more, and that was not accepted.
    """
    before, now = (json.loads(to_json(c)) for c in (saved.config, config))
    changes = list(differences(before, now))
    matter = [change for change in changes if not _is_free_in(config, change[0])]
    for spec, old, new in zip(config.data.train, saved.scenes, scenes, strict=False):
        if old != new:
            matter.append((f"scenes of {spec}", old, new))
    lines = [f"{name}: {_short(old)} -> {_short(new)}" for name, old, new in matter]
    require(
        not matter or accept,
        f"step {saved.step} was saved with other settings ({'; '.join(lines)}), so the run would "
        "not be the same; take them back, name another --workdir (train.init_from starts from "
        "these weights), or pass --accept-changes",
    )
    free = [change for change in changes if _is_free_in(config, change[0])]
    return lines + [f"{name}: {_short(old)} -> {_short(new)}" for name, old, new in free]


def check_frozen(directory: Any, frozen: Any, config: Config) -> None:
    """The frozen parameters must be those that the run has had so far.

    Raises:
        UserError: they are of another file.
    """
    path = directory / FROZEN
    if not path.exists():
        return
    kept, _ = load_npz(path)
    source = f"model.backbone_weights={config.model.backbone_weights}"
    check_same(frozen, kept, f"{source} beside {path}")
    same = jax.tree.map(lambda a, b: np.array_equal(a, np.asarray(b)), kept, dict(frozen))
    different = [
        jax.tree_util.keystr(p) for p, equal in jax.tree.leaves_with_path(same) if not equal
    ]
    if different:
        raise UserError(
            f"{source} holds other weights than this run has had ({path}; {len(different)} "
            f"arrays differ, such as {different[0]}); name the earlier file or another --workdir"
        )


def is_free(name: str) -> bool:
    """Whether no step depends on the field of this dotted name."""
    return any(name == free or name.startswith(f"{free}.") for free in FREE)


def _is_free_in(config: Config, name: str) -> bool:
    cosine = config.optim.schedule == "cosine"  # ends with the last epoch
    return is_free(name) and not (cosine and name == "train.epochs")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else f"{text[:57]}..."
