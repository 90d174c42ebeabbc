"""Numbers that are infinite or none: found on the device, told with the batch they came from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool

from rsisrefiner_jax.atomic import atomic_file
from rsisrefiner_jax.errors import NotFiniteError
from rsisrefiner_jax.parallel import wait_for_all

FOLDER = "not_finite"  # of a work directory


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether no number of a tree of arrays is infinite or none. Integers are finite."""
    flags = [
        jnp.isfinite(x).all()
        for x in jax.tree.leaves(tree)
        if jnp.issubdtype(x.dtype, jnp.floating)
    ]
    return jnp.stack(flags).all() if flags else jnp.bool_(True)


_all_finite = jax.jit(all_finite)


def require_finite(tree: Any, what: str) -> None:
    """Raises NotFiniteError: `what` holds a number that is infinite or none."""
    if not bool(_all_finite(tree)):
        raise NotFiniteError(f"{what} holds numbers that are not finite; it is not saved")


class FiniteWatch:
    """Looks at every step whether it was finite, one step late: the device never waits for it.

    A step that was not has changed nothing (`training.step.update`). Its batch is kept as
    WORKDIR/not_finite/STEP.npz, with several processes each one's rows of it.
    """

    def __init__(self, workdir: Path) -> None:
        self._folder = workdir / FOLDER
        self._waiting: tuple[int, Mapping[str, np.ndarray], Mapping[str, Array]] | None = None

    def add(
        self, step: int, batch: Mapping[str, np.ndarray], metrics: Mapping[str, Array], now: bool
    ) -> None:
        """Looks at the step before this one, or `now` at this one, too.

        Raises:
            NotFiniteError: what came of a step is not finite.
        """
        self._look()
        self._waiting = (step, batch, metrics)
        if now:
            self._look()

    def _look(self) -> None:
        if self._waiting is None:
            return
        step, batch, metrics = self._waiting
        self._waiting = None
        if float(metrics["finite"]) == 1:
            return
        count, rank = jax.process_count(), jax.process_index()
        path = self._folder / (f"{step:07d}-{rank}.npz" if count > 1 else f"{step:07d}.npz")
        arrays: Any = dict(batch)
        with atomic_file(path) as file:
            np.savez(file, **arrays)
        wait_for_all()  # they find the same: none ends the run before all rows are written
        loss, norm = float(metrics["loss"]), float(metrics["grad_norm"])
        raise NotFiniteError(
            f"step {step} is not finite (loss {loss:g}, gradient norm {norm:g}); its batch is "
            f"{path}, the last checkpoint is of finite weights and the same command goes on from "
            "it; lower optim.lr, set optim.clip_norm or compute in float32"
        )
