"""Checkpoints: a directory that holds the configuration and every weight that is needed.

DIR/frozen.npz              parameters that training never changes, written once
DIR/<step>/weights          trainable parameters and BatchNorm statistics; with optim.ema their
                            average
DIR/<step>/optimizer        optimizer state, and what is averaged   (training only)
DIR/<step>/config           the whole configuration, and how many scenes each data set had

The position in the data is the step: each takes one batch. A step that cannot be read is renamed
to DIR/<step>.unreadable when the run goes on from an older one.
"""

import dataclasses
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from rsisrefiner_jax.atomic import whole_directory
from rsisrefiner_jax.checkpoint.reading import Reader, Unreadable
from rsisrefiner_jax.config import Config, from_json, to_json
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.models.lora import NAME, init_lora, merge_lora
from rsisrefiner_jax.models.pretrained import first_variables
from rsisrefiner_jax.models.registry import abstract_variables
from rsisrefiner_jax.networks import FROZEN, PACKAGED, checkpoint_folder, checkpoint_in
from rsisrefiner_jax.training.finite import require_finite
from rsisrefiner_jax.training.step import TrainState
from rsisrefiner_jax.weights import check_same, load_npz, merge, save_npz, split


class CheckpointWriter:
    """Saves and restores a training run in `directory`."""

    def __init__(self, directory: str | Path, keep: int = 3):
        self.directory = Path(directory).absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        # Not in the background: the next step donates the very buffers that are being written.
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, enable_async_checkpointing=False, cleanup_tmp_directories=True
        )
        self.manager = ocp.CheckpointManager(self.directory, options=options)
        _leave_out_closed_loops()

    def save_frozen(self, frozen: Any, meta: dict[str, Any]) -> None:
        """Writes the frozen tree unless it is there already."""
        path = self.directory / FROZEN
        if not path.exists() and jax.process_index() == 0:
            save_npz(path, frozen, meta)

    def save(self, state: TrainState, config: Config, scenes: Sequence[int] = ()) -> None:
        """Saves `state` and `config` at state.step; by all processes at once.

        scenes: how many each data set has.

        Raises:
            NotFiniteError: a weight, statistic or optimizer state is infinite or none.
        """
        require_finite(state, f"the state at step {int(state.step)}")
        about = {"config": to_json(config), "scenes": list(scenes)}
        self.manager.save(
            int(state.step),
            args=ocp.args.Composite(
                weights=ocp.args.StandardSave(state.serving),
                optimizer=ocp.args.StandardSave(_training_only(state)),
                config=ocp.args.JsonSave(about),
            ),
        )

    def latest_step(self) -> int | None:
        """The newest complete checkpoint, if any."""
        return self.manager.latest_step()

    def newest(self) -> "Saved | None":
        """The newest checkpoint that all processes can read; newer ones are kept aside."""
        with Reader(self.directory) as reader:
            for step in reader.steps():
                try:
                    found, why = reader.read(step, "weights", "optimizer", "config"), ""
                except Unreadable as error:
                    found, why = {}, str(error)
                if _everywhere(not why):
                    about = found["config"]
                    return Saved(
                        step=step,
                        config=from_json(about["config"]),
                        scenes=about.get("scenes", []),
                        weights=found["weights"],
                        optimizer=found["optimizer"],
                    )
                self._set_aside(step, why or "another process cannot read it")
        return None

    def _set_aside(self, step: int, why: str) -> None:
        if jax.process_index() == 0:
            aside = self.directory / f"{step}.unreadable"
            while aside.exists():
                aside = aside.with_name(f"{aside.name}+")
            (self.directory / str(step)).rename(aside)
            print(f"note: {why}; it is kept as {aside.name}", file=sys.stderr)
        _everywhere(True)  # once it is renamed
        self.manager.reload()

    def close(self) -> None:
        """Waits until everything is on disk."""
        self.manager.wait_until_finished()
        self.manager.close()


@dataclasses.dataclass(frozen=True)
class Saved:
    """A step of a run as it lies on the disk. Arrays are numpy."""

    step: int
    config: Config
    scenes: list[int]  # of each data set; empty where that was not written down
    weights: Any
    optimizer: Any

    def restored(self, state: TrainState, anew: bool = False) -> TrainState:
        """The saved values in the structure of `state`, as numpy.

        anew: an optimizer state of another structure is left as in `state`. An average of weights
        that was not saved begins with these weights.

        Raises:
            UserError: it is of another network or, unless `anew`, of another optimizer.
        """
        where = f"step {self.step}"
        latest = self.optimizer.get("latest", self.weights)
        for name, tree in state.latest.items():
            check_same(latest[name], tree, f"{where}: {name}")
        kept = {"state": self.optimizer["state"]} if "state" in self.optimizer else {}
        opt_state = _in_structure(kept, {"state": state.opt_state})
        require(anew or opt_state is not None, f"{where} was saved with another optimizer")
        if opt_state is None:
            print(f"note: {where} was saved with another optimizer, which begins anew")
            opt_state = {"state": state.opt_state}
        step: Any = np.int32(self.step)
        return state._replace(
            step=step,
            params=latest["params"],
            batch_stats=latest["batch_stats"],
            opt_state=opt_state["state"],
            average=state.average and self.weights,
        )


def _leave_out_closed_loops() -> None:
    """Nothing is printed for writes that end after the save they belong to has failed.

    On a full disk there are dozens of them; the save itself raises what is wrong.
    """
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    hook = sys.unraisablehook
    if getattr(hook, "leaves_out_closed_loops", False):
        return

    def without(given: Any) -> None:
        if str(given.exc_value) != "Event loop is closed":
            hook(given)

    without.leaves_out_closed_loops = True  # type: ignore[attr-defined]
    sys.unraisablehook = without


def _in_structure(saved: Any, expected: Any) -> Any:
    """What orbax read as plain dicts and lists, in the structure of `expected`; None: misfits."""
    got, want = (ocp.tree.to_flat_dict(tree, sep="/") for tree in (saved, expected))
    if {k: np.shape(v) for k, v in got.items()} != {k: np.shape(v) for k, v in want.items()}:
        return None
    return jax.tree.unflatten(jax.tree.structure(expected), [got[name] for name in want])


def _everywhere(fine: bool) -> bool:
    """Whether all processes say so; waits for them."""
    if jax.process_count() == 1:
        return fine
    return bool(multihost_utils.process_allgather(np.array(fine)).all())


def save_weights(
    directory: str | Path,
    config: Config,
    params: Any,
    batch_stats: Any,
    meta: dict[str, Any] | None = None,
) -> None:
    """Writes a checkpoint of step 0 that can be evaluated, served or fine-tuned; whole or not.

    params, batch_stats: the whole network's, as nested dicts of arrays.
    """
    require_new_directory(directory)
    frozen, trainable = split(params, config.model.frozen)
    alone = ocp.options.MultiprocessingOptions(
        primary_host=jax.process_index(), active_processes={jax.process_index()}
    )
    options = ocp.CheckpointManagerOptions(
        create=False, enable_async_checkpointing=False, multiprocessing_options=alone
    )
    with whole_directory(Path(directory).absolute()) as made:
        save_npz(made / FROZEN, frozen, meta or {})
        with ocp.CheckpointManager(made, options=options) as manager:
            manager.save(
                0,
                args=ocp.args.Composite(
                    weights=ocp.args.StandardSave(_weights(trainable, batch_stats)),
                    config=ocp.args.JsonSave({"config": to_json(config)}),
                ),
            )


def require_new_directory(directory: str | Path) -> None:
    """Raises UserError unless a checkpoint can be written there: nothing, or an empty directory."""
    free = not os.path.lexists(directory) or (
        os.path.isdir(directory) and not os.listdir(directory)
    )
    require(free, f"{directory} exists already; name a new directory for the checkpoint")


def first_weights(config: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """({"params", "batch_stats"} as numpy, meta) that a new run begins with.

    Those of the checkpoint that train.init_from names; else random ones, with the converted
    backbone of model.backbone_weights in its place. Updates by LoRA begin anew.

    Raises:
        UserError: there is no such checkpoint or backbone, or it does not fit the model.
    """
    origin = config.train.init_from
    if origin is None:
        return first_variables(config.model, jax.random.key(config.seed))
    found = load_weights(origin)
    params = merge_lora(found.config.model, found.params)
    if config.model.lora_rank:
        factors = init_lora(config.model, params["backbone"], jax.random.key(config.seed))
        params = params | {NAME: jax.tree.map(np.asarray, factors)}
    expected = abstract_variables(config.model)
    for name, tree in (("params", params), ("batch_stats", found.batch_stats)):
        check_same(tree, expected[name], f"train.init_from={origin}: {name}")
    meta = found.meta | {"init_from": str(origin)}
    return {"params": params, "batch_stats": found.batch_stats}, meta


@dataclasses.dataclass(frozen=True)
class Weights:
    """What a checkpoint holds for inference. Arrays are numpy."""

    config: Config
    step: int
    params: Any
    batch_stats: Any
    meta: dict[str, Any]


def load_weights(directory: str | Path) -> Weights:
    """Reads the newest checkpoint in `directory`, which may also be a run's work directory.

    The name of a packaged network (`networks.PACKAGED`) stands for its directory.

    Raises:
        UserError: nothing there that can be read as a checkpoint.
    """
    root = checkpoint_in(checkpoint_folder(directory).absolute())
    if root is None:
        raise UserError(
            f"{directory} holds no checkpoint; train one with train.py, convert one with "
            f"python -m convert_weights, or name a packaged one: {', '.join(PACKAGED)}"
        )
    frozen, meta = load_npz(root / FROZEN)
    step, back = _newest_weights(root)
    weights = back["weights"]
    return Weights(
        config=from_json(back["config"]["config"]),
        step=step,
        params=merge(frozen, weights["params"]),
        batch_stats=weights["batch_stats"],
        meta=meta,
    )


def _newest_weights(root: Path) -> tuple[int, dict[str, Any]]:
    """The newest step that can be read, and its weights and configuration. Raises UserError."""
    failed: Unreadable | None = None
    with Reader(root) as reader:
        for step in reader.steps():
            try:
                back = reader.read(step, "weights", "config")
            except Unreadable as error:
                failed = failed or error
                continue
            if failed:
                print(f"note: {failed}; step {step} is used", file=sys.stderr)
            return step, back
    raise failed or UserError(f"{root} holds no finished checkpoint; let train.py save one")


def _training_only(state: TrainState) -> dict[str, Any]:
    """What only a run that goes on needs: also the latest weights where an average serves."""
    latest = {"latest": state.latest} if state.average else {}
    return {"state": state.opt_state} | latest


def _weights(params: Any, batch_stats: Any) -> dict[str, Any]:
    return {"params": params, "batch_stats": batch_stats}
