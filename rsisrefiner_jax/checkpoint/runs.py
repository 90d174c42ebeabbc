"""Checkpoints: a directory that holds the configuration and every weight that is needed.

DIR/frozen.npz              parameters that training never changes, written once
DIR/<step>/weights          trainable parameters and BatchNorm statistics
DIR/<step>/optimizer        optimizer state        (training only)
DIR/<step>/data             position in the data   (training only)
DIR/<step>/config           the whole configuration
"""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from rsisrefiner_jax.config import Config, from_json, to_json
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.models.lora import NAME, init_lora, merge_lora
from rsisrefiner_jax.models.pretrained import first_variables
from rsisrefiner_jax.models.registry import abstract_variables
from rsisrefiner_jax.networks import PACKAGED, checkpoint_folder
from rsisrefiner_jax.training.step import TrainState
from rsisrefiner_jax.weights import check_same, load_npz, merge, save_npz, split

FROZEN = "frozen.npz"
logging.getLogger("absl").setLevel(logging.ERROR)  # orbax narrates every file otherwise


class CheckpointWriter:
    """Saves and restores a training run in `directory`."""

    def __init__(self, directory: str | Path, keep: int = 3):
        self.directory = Path(directory).absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        # Not in the background: the next step donates the very buffers that are being written.
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=False)
        self.manager = ocp.CheckpointManager(self.directory, options=options)

    def save_frozen(self, frozen: Any, meta: dict[str, Any]) -> None:
        """Writes the frozen tree unless it is there already."""
        path = self.directory / FROZEN
        if not path.exists() and jax.process_index() == 0:
            save_npz(path, frozen, meta)

    def save(self, state: TrainState, config: Config, data: Any) -> None:
        """Saves `state`, `config` and the position of the data iterator `data` at state.step."""
        import grain  # here, as whoever only loads a network may not have it

        self.manager.save(
            int(state.step),
            args=ocp.args.Composite(
                weights=ocp.args.StandardSave(_weights(state.params, state.batch_stats)),
                optimizer=ocp.args.StandardSave({"state": state.opt_state}),
                config=ocp.args.JsonSave({"config": to_json(config)}),
                data=grain.checkpoint.CheckpointSave(data),
            ),
        )

    def latest_step(self) -> int | None:
        """The newest complete checkpoint, if any."""
        return self.manager.latest_step()

    def restore(self, state: TrainState, data: Any) -> TrainState:
        """The newest state, in the structure and placement of `state`; `data` is moved there.

        Raises:
            UserError: it is damaged, or of another network.
        """
        import grain

        step = self.manager.latest_step()
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
        back = _restore(
            self.manager,
            step,
            weights=ocp.args.StandardRestore(_weights(abstract.params, abstract.batch_stats)),
            optimizer=ocp.args.StandardRestore({"state": abstract.opt_state}),
            data=grain.checkpoint.CheckpointRestore(data),
        )
        return state._replace(
            step=jax.device_put(np.int32(step), state.step.sharding),
            params=back.weights["params"],
            batch_stats=back.weights["batch_stats"],
            opt_state=back.optimizer["state"],
        )

    def close(self) -> None:
        """Waits until everything is on disk."""
        self.manager.wait_until_finished()
        self.manager.close()


def save_weights(
    directory: str | Path,
    config: Config,
    params: Any,
    batch_stats: Any,
    meta: dict[str, Any] | None = None,
) -> None:
    """Writes a checkpoint of step 0 that can be evaluated, served or fine-tuned.

    params, batch_stats: the whole network's, as nested dicts of arrays.
    """
    require_new_directory(directory)
    directory = Path(directory).absolute()
    frozen, trainable = split(params, config.model.frozen)
    directory.mkdir(parents=True, exist_ok=True)
    save_npz(directory / FROZEN, frozen, meta or {})
    with ocp.CheckpointManager(directory) as manager:
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
    root = checkpoint_folder(directory).absolute()
    if (root / "checkpoints").is_dir():
        root = root / "checkpoints"
    if not (root / FROZEN).is_file():
        raise UserError(
            f"{directory} holds no checkpoint; train one with train.py, convert one with "
            f"python -m convert_weights, or name a packaged one: {', '.join(PACKAGED)}"
        )
    frozen, meta = load_npz(root / FROZEN)
    handlers = {"weights": ocp.StandardCheckpointHandler(), "config": ocp.JsonCheckpointHandler()}
    with ocp.CheckpointManager(root, item_handlers=handlers) as manager:
        step = manager.latest_step()
        if step is None:
            raise UserError(f"{directory} holds no finished checkpoint; let train.py save one")
        back = _restore_numpy(manager, step)
    weights = back.weights
    return Weights(
        config=from_json(back.config["config"]),
        step=step,
        params=merge(frozen, weights["params"]),
        batch_stats=weights["batch_stats"],
        meta=meta,
    )


def _restore_numpy(manager: ocp.CheckpointManager, step: int) -> Any:
    """The weights, as numpy, and the configuration.

    What a run saved names its devices, of which another process may have none; numpy names none.
    """
    with _readable(manager, step):
        saved = manager.item_metadata(step)["weights"]
        arrays = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), saved)
    return _restore(
        manager, step, weights=ocp.args.StandardRestore(arrays), config=ocp.args.JsonRestore()
    )


def _restore(manager: ocp.CheckpointManager, step: int | None, **items: Any) -> Any:
    with _readable(manager, step):
        return manager.restore(step, args=ocp.args.Composite(**items))


@contextlib.contextmanager
def _readable(manager: ocp.CheckpointManager, step: int | None) -> Iterator[None]:
    """Says in a sentence what orbax raises."""
    try:
        yield
    except Exception as error:  # orbax has no error of its own
        raise UserError(
            f"{manager.directory / str(step)} is damaged or was written with another "
            f"configuration; delete it to use an older one, or name another directory "
            f"({' '.join(str(error).split())[:200]})"
        ) from error


def _weights(params: Any, batch_stats: Any) -> dict[str, Any]:
    return {"params": params, "batch_stats": batch_stats}
