"""Joins the processes that a cluster's manager started for one run.

jax knows the managers: Slurm, Open MPI 4, TPU pods, and Kubernetes with the `kubernetes` package.
Elsewhere flags or variables say where the first process listens, how many there are, and which
one this is: --coordinator / JAX_COORDINATOR_ADDRESS, --processes / JAX_NUM_PROCESSES,
--process / JAX_PROCESS_ID. Nothing here imports jax before it is needed.
"""

import argparse
import os

from rsisrefiner_jax.errors import UserError, require

TIMEOUT = 300  # seconds until all processes must have been started
# Set by managers for every process: how many there are, and which one this is.
_COUNT = ("JAX_NUM_PROCESSES", "OMPI_COMM_WORLD_SIZE", "SLURM_NTASKS")
_INDEX = ("JAX_PROCESS_ID", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that `join` takes."""
    group = parser.add_argument_group(
        "several processes", "found without flags under Slurm, Open MPI, on TPU pods and in JobSets"
    )
    group.add_argument("--coordinator", metavar="HOST:PORT", help="where process 0 listens")
    group.add_argument("--processes", type=int, metavar="N", help="how many there are")
    group.add_argument("--process", type=int, metavar="I", help="which one this is, from 0 on")


def join(arguments: argparse.Namespace | None = None) -> None:
    """Joins the other processes, if there are any, and opens the devices.

    arguments: with the flags of `add_flags`.

    Raises:
        UserError: the processes cannot be found, or there is no such device.
    """
    import jax

    from rsisrefiner_jax import parallel

    parallel.keep_compiled_programs()
    coordinator, count, index = _wanted(arguments)
    alone = count == 1 or (coordinator is None and _found(_COUNT) == 1)
    if not alone and not jax.distributed.is_initialized():
        # SIGTERM is jax's own only once the loop runs (stopping.py).
        jax.config.update("jax_enable_preemption_service", False)
        try:
            jax.distributed.initialize(coordinator, count, index, initialization_timeout=TIMEOUT)
        except ValueError as error:
            _require_not_started(coordinator, error)
        except RuntimeError as error:
            if "must be called before" in str(error):  # jax is in use already: by one process
                return
            raise UserError(
                f"process {index}: the others were not there within {TIMEOUT} s at "
                f"{coordinator or 'the address that the manager gave'} "
                f"({' '.join(str(error).split())[:200]})"
            ) from error
    jax.devices()  # a driver that is missing is said now


def part() -> None:
    """Leaves the other processes, once all have done their work."""
    import jax

    if jax.distributed.is_initialized():
        jax.distributed.shutdown()


def _wanted(arguments: argparse.Namespace | None) -> tuple[str | None, int | None, int | None]:
    """(coordinator, how many, which one); None: the manager says."""
    given = vars(arguments) if arguments else {}
    coordinator = given.get("coordinator") or os.environ.get("JAX_COORDINATOR_ADDRESS")
    count, index = given.get("processes"), given.get("process")
    if coordinator is None:
        require(count is None and index is None, "--processes and --process need --coordinator")
        return None, None, None
    count = _found(_COUNT) if count is None else count
    index = _found(_INDEX) if index is None else index
    if count is not None and index is not None:
        require(0 <= index < count, f"--process {index} is not one of the {count} of --processes")
    return coordinator, count, index


def _found(names: tuple[str, ...]) -> int | None:
    """The first variable that is set, as a number."""
    for name in names:
        value = os.environ.get(name, "")
        if value.isdigit():
            return int(value)
    return None


def _require_not_started(coordinator: str | None, error: ValueError) -> None:
    """jax knows no manager here: fine for one process. Raises UserError: there are several."""
    count = _found(_COUNT) or 1
    if coordinator or count > 1:
        raise UserError(
            f"{count} processes were started, but it cannot be told how to join them ({error}); "
            "pass --coordinator HOST:PORT --processes N --process I"
        ) from error
