"""Data parallelism: one per-device step, compiled for all devices. Nothing else knows of devices.

A step is written as for one device: `step(state, frozen, batch, scalar) -> (state, metrics,
shown)`. It averages gradients and metrics itself with `mean`; `batch` and `shown` are split over
devices, everything else is the same on each. Backends:

- pmap: within one process. What jax.pmap compiles to since jax 0.8 is the other backend.
- shard_map: also over the processes of a cluster.
- auto: pmap in one process, shard_map over several.

`check_vma=False` keeps pmap's meaning of grad in both: local gradients, averaged by `mean`.
"""

import functools
import itertools
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax._src import distributed
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rsisrefiner_jax.errors import require

AXIS = "data"


def keep_compiled_programs(shortest: float = 1.0) -> None:
    """Keeps compiled programs on disk, so that a second start is quick.

    shortest: seconds; what is compiled in less is not kept.
    """
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
        path = os.path.join(cache, "rsisrefiner_jax", "xla")
        jax.config.update("jax_compilation_cache_dir", path)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", shortest)


def keep_last(most: int) -> Callable[[Callable], Callable]:
    """Decorates a function of (devices, ...) that compiles programs for these devices.

    The last `most` results for the same devices are kept and given again. Few, because a program
    for a CPU takes 90 to 240 MB and 1200 to 2000 memory maps (measured, ViT-S at 96 px), and Linux
    gives a process 65 530 maps; without a free one the compiler fails and the process crashes.
    """

    def decorate(function: Callable) -> Callable:
        @functools.cache
        def kept(devices: Any) -> Callable:
            return functools.lru_cache(most)(functools.partial(function, devices))

        @functools.wraps(function)
        def call(devices: Any, *arguments: Any) -> Any:
            return kept(devices)(*arguments)

        return call

    return decorate


def mean(tree: Any) -> Any:
    """Average over devices; call inside a step."""
    return jax.lax.pmean(tree, AXIS)


def sample_index(size: int) -> jax.Array:
    """int32 [size]: this device's samples as numbered over all devices; call inside a step."""
    return jax.lax.axis_index(AXIS) * size + jax.numpy.arange(size)


class DataParallel:
    """Compiles steps for `devices` (default: all) under the given backend.

    Equal where it compiles to the same.
    """

    def __init__(self, backend: str, batch_size: int, devices: list | None = None):
        # In the order of the processes, as their shares of a batch follow one another.
        everything = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
        self.devices = devices or everything
        if backend == "auto":
            backend = "pmap" if jax.process_count() == 1 else "shard_map"
        self.backend = backend
        require(
            batch_size % len(self.devices) == 0,
            f"train.batch_size={batch_size} cannot be split over {len(self.devices)} devices",
        )
        require(
            backend != "pmap" or jax.process_count() == 1,
            "parallel.backend=pmap works within one process; set parallel.backend=auto",
        )
        self.mesh = Mesh(np.array(self.devices), (AXIS,), axis_types=(AxisType.Auto,))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataParallel) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        return self.backend, *self.devices

    def replicate(self, tree: Any) -> Any:
        """Host values -> the same array on every device."""
        # np.array first: device_put may alias its argument, and steps donate the result.
        return jax.device_put(jax.tree.map(np.array, tree), NamedSharding(self.mesh, P()))

    def shard(self, batch: Any) -> Any:
        """This process's rows [b, ...] -> what a compiled step takes as its batch."""
        if self.backend == "pmap":
            count = len(self.devices)
            return jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), batch)
        split = NamedSharding(self.mesh, P(AXIS))
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(split, x), batch)

    def own_rows(self, shown: Any) -> Any:
        """What a compiled step showed -> this process's rows, those of its share, as numpy."""

        def rows(x: jax.Array) -> np.ndarray:
            if x.is_fully_addressable:
                return np.asarray(x)
            parts = sorted(x.addressable_shards, key=lambda part: part.index[0].start or 0)
            return np.concatenate([np.asarray(part.data) for part in parts])

        return jax.tree.map(rows, shown)

    def on_each(self, function: Callable) -> Callable:
        """A function of (frozen, a sharded batch), compiled; it gives what a step could show."""
        if self.backend == "pmap":
            mapped = jax.pmap(function, in_axes=(None, 0), devices=self.devices)
            return lambda frozen, batch: jax.tree.map(_join, mapped(frozen, batch))
        specs: Any = {"in_specs": (P(), P(AXIS)), "out_specs": P(AXIS), "check_vma": False}
        return jax.jit(jax.shard_map(function, mesh=self.mesh, **specs))

    def shard_again(self, shown: Any) -> Any:
        """What a compiled step showed -> what the next one takes as a part of its batch."""
        if self.backend == "pmap":
            return self.shard(shown)
        return shown

    def compile(self, step: Callable) -> Callable:
        """`step` over all devices; its first argument is donated."""
        if self.backend == "pmap":
            mapped = jax.pmap(
                step,
                AXIS,
                in_axes=(None, None, 0, None),
                out_axes=(None, None, 0),
                devices=self.devices,
                donate_argnums=0,
            )

            def run(state, frozen, batch, scalar):
                state, metrics, shown = mapped(state, frozen, batch, scalar)
                return state, metrics, jax.tree.map(_join, shown)

            return run
        compiled = jax.jit(
            jax.shard_map(
                step,
                mesh=self.mesh,
                in_specs=(P(), P(), P(AXIS), P()),
                out_specs=(P(), P(), P(AXIS)),
                check_vma=False,
            ),
            donate_argnums=0,
        )
        return compiled if jax.process_count() == 1 else _begun_together(compiled)


def _begun_together(compiled: Any) -> Callable:
    """A jitted function whose first call waits until all processes have compiled it.

    Its collectives give up when one process comes 30 s after another (Gloo; NCCL: 40 s).
    """
    met = False

    def run(*args: Any) -> Any:
        nonlocal met
        if not met:
            compiled.lower(*args).compile()
            wait_for_all()
            met = True
        return compiled(*args)

    return run


_MEETINGS = itertools.count()  # the same number in all processes


def wait_for_all(seconds: int = 1800) -> None:
    """Waits until every process has come here; nothing to do where there is one."""
    if jax.process_count() > 1:
        # Not by a collective, which would give up as soon.
        client: Any = distributed.global_state.client
        client.wait_at_barrier(f"rsisrefiner/meet/{next(_MEETINGS)}", seconds * 1000)


def _join(x: jax.Array) -> jax.Array:
    return x.reshape(-1, *x.shape[2:])
