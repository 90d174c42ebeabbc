"""Blocks answered by the machines of a Ray cluster, by Ray Data.

Every actor holds a network. What dies with a machine is answered again elsewhere; the journal is
written by the process that began the job. Rasters and checkpoint have the same paths everywhere.
"""

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.refine.answer import Answer
from rsisrefiner_jax.refine.job import Job, Worker
from rsisrefiner_jax.refine.local import Answered
from rsisrefiner_jax.refine.placing import Block


def answered(job: Job, blocks: Sequence[Block], actors: int | None = None) -> Iterator[Answered]:
    """As `local.answered`. The cluster is that of RAY_ADDRESS, or Ray's choice.

    actors: at most; default: one for each GPU of the cluster, without one for each machine.

    Raises:
        UserError: Ray is missing, or a worker's own.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UserError(f"--engine ray needs Ray ({error}); run pip install -e .[ray]") from error
    ray.init(ignore_reinit_error=True, log_to_driver=False)
    gpus = int(ray.cluster_resources().get("GPU", 0))
    machines = sum(node["Alive"] for node in ray.nodes())
    most = min(actors or gpus or machines, len(blocks))
    require(most >= 1, "--actors: at least one")
    rows = ray.data.from_items(
        [{"block": pickle.dumps(block)} for block in blocks], override_num_blocks=len(blocks)
    )
    found = rows.map(
        _Actor,
        fn_constructor_args=(job,),
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
        scheduling_strategy="SPREAD",
        **({"num_gpus": 1} if gpus else {"num_cpus": 1}),
    )
    try:
        for row in found.iter_rows():
            if row["error"]:
                raise UserError(row["error"])
            yield row["number"], [Answer(**one) for one in pickle.loads(row["answers"])]
    except ray.exceptions.RayError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[-1]
        raise UserError(
            f"the Ray cluster gave up ({reason}); what is finished stays, and the same command "
            "goes on from there"
        ) from error


class _Actor:
    """A worker on a machine of the cluster."""

    def __init__(self, job: Job) -> None:
        self._error = ""
        try:
            self._worker = Worker(job, check=True)
        except UserError as error:  # said by the process that began the job, and not tried again
            self._error = str(error)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        block, error, answers = pickle.loads(row["block"]), self._error, b""
        if not error:
            try:
                found = self._worker.answers(block)
                answers = pickle.dumps([one.to_json() for one in found])
            except UserError as given:
                error = str(given)
        return {"number": block.number, "error": error, "answers": answers}
