"""Reads checkpoints as numpy: on any number of devices and processes, whatever wrote them.

What was saved names the devices that it lay on. Nothing of that is asked for, and no other process
has to read at the same time.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from rsisrefiner_jax.errors import UserError

ARRAYS = ("weights", "optimizer")
# orbax narrates every file, and logs in each of its threads what it raises as well.
logging.getLogger("absl").setLevel(logging.CRITICAL)


class Unreadable(UserError):
    """A step that is damaged."""


class Reader:
    """The steps of a checkpoint directory, which exists."""

    def __init__(self, root: Path) -> None:
        self.root = root
        alone = ocp.options.MultiprocessingOptions(
            primary_host=jax.process_index(), active_processes={jax.process_index()}
        )
        arrays = {
            name: ocp.StandardCheckpointHandler(multiprocessing_options=alone) for name in ARRAYS
        }
        self._manager = ocp.CheckpointManager(
            root,
            options=ocp.CheckpointManagerOptions(
                read_only=True, create=False, multiprocessing_options=alone
            ),
            item_handlers=arrays | {"config": ocp.JsonCheckpointHandler()},
        )

    def steps(self) -> list[int]:
        """The finished ones, the newest first."""
        return sorted(self._manager.all_steps(), reverse=True)

    def read(self, step: int, *items: str) -> dict[str, Any]:
        """Items of a step: nested dicts and lists of numpy arrays; "config" a dict.

        Raises:
            Unreadable: one of them is damaged or missing.
        """
        with self._readable(step):
            known = self._manager.item_metadata(step)
            wanted: dict[str, Any] = {}
            for name in items:
                if name in ARRAYS:
                    # numpy has no devices; without a target orbax asks for those that saved.
                    like = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), known[name])
                    wanted[name] = ocp.args.StandardRestore(like)
                else:
                    wanted[name] = ocp.args.JsonRestore()
            back = self._manager.restore(step, args=ocp.args.Composite(**wanted))
            return {name: back[name] for name in items}

    def close(self) -> None:
        self._manager.close()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _readable(self, step: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # orbax has no error of its own
            why = " ".join(str(error).split())[:200]
            raise Unreadable(f"{self.root / str(step)} cannot be read ({why})") from error
