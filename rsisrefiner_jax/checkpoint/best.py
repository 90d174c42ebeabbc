"""The weights of a run that validated best, as a checkpoint of their own."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from rsisrefiner_jax.atomic import atomic_file
from rsisrefiner_jax.config import Config, to_json
from rsisrefiner_jax.networks import FROZEN
from rsisrefiner_jax.training.finite import require_finite
from rsisrefiner_jax.training.step import TrainState


class BestWeights:
    """One checkpoint in `directory`, which is evaluated, clicked and exported like any other.

    frozen: the run's file of frozen parameters, which it shares.
    """

    def __init__(self, directory: Path, frozen: Path) -> None:
        directory = directory.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        if jax.process_index() == 0 and not (directory / FROZEN).exists():
            try:
                os.link(frozen, directory / FROZEN)
            except OSError:  # a file system without links
                with open(frozen, "rb") as source, atomic_file(directory / FROZEN) as copy:
                    shutil.copyfileobj(source, copy)
        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(directory, options=options)

    def save(self, state: TrainState, config: Config, values: Mapping[str, Any]) -> None:
        """Replaces what is there by the weights that serve at state.step, and their `values`.

        Raises:
            NotFiniteError: a weight is infinite or none.
        """
        step = int(state.step)
        require_finite(state.serving, f"the weights at step {step}")
        for later in [s for s in self._manager.all_steps() if s >= step]:
            self._manager.delete(later)  # of a run that was killed before its next checkpoint
        about = {"config": to_json(config), "validation": {"step": step, **values}}
        self._manager.save(
            step,
            args=ocp.args.Composite(
                weights=ocp.args.StandardSave(state.serving), config=ocp.args.JsonSave(about)
            ),
        )
