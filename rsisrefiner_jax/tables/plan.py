"""Which rows of which tables are trained on which base, and what of them is finished."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsisrefiner_jax.atomic import atomic_file
from rsisrefiner_jax.config import Config
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.experiment.training import open_data
from rsisrefiner_jax.tables.jobs import Job, check_budgets, job_of
from rsisrefiner_jax.tables.markdown import markdown
from rsisrefiner_jax.tables.results import table_results
from rsisrefiner_jax.tables.table import TABLES, Table


@dataclasses.dataclass(frozen=True)
class PlannedTable:
    """A table on the base that it takes; rows: name -> its jobs, one a seed."""

    table: Table
    base: Config
    rows: dict[str, list[Job]]

    def seeds_done(self) -> int:
        """Of how many seeds, from the first on, every row is finished."""
        done = (
            all(job.is_done() for job in jobs) for jobs in zip(*self.rows.values(), strict=True)
        )
        return next((k for k, finished in enumerate(done) if not finished), self.seeds)

    @property
    def seeds(self) -> int:
        return len(next(iter(self.rows.values())))


class Plan:
    """Tables, their jobs, and the files in `out` that say what is known so far."""

    def __init__(
        self,
        numbers: Sequence[int],
        bases: Sequence[Config],
        out: Path,
        seeds: int,
        pretrained: str | None = None,
    ):
        """Raises UserError: no base can have one of the tables, or `out` is of other settings."""
        self._out = out
        self._tables = [
            _planned(TABLES[number], bases, out, seeds, pretrained)
            for number in dict.fromkeys(numbers)
        ]
        self._written: dict[int, int] = {}
        # The seeds of a row follow each other: they share what was compiled.
        self._jobs = {
            job.directory: (job, planned.base)
            for planned in self._tables
            for jobs in planned.rows.values()
            for job in jobs
        }
        for job, _ in self._jobs.values():
            job.check()

    def pending(self) -> list[tuple[Job, list[Any]]]:
        """The jobs that are not finished, each with its opened training data.

        Raises:
            UserError: data or weights that cannot be opened.
        """
        open_jobs = [(job, base) for job, base in self._jobs.values() if not job.is_done()]
        bases = {base.name: base for _, base in open_jobs}
        sources = {name: open_data(base) for name, base in bases.items()}
        for base in bases.values():
            for spec in base.data.eval:
                open_source(spec, Recipe.of(base.data))
        return [(job, sources[base.name]) for job, base in open_jobs]

    def write_finished(self) -> None:
        """Writes each table over the seeds that are finished, if they have become more."""
        for planned in self._tables:
            number, seeds = planned.table.number, planned.seeds_done()
            if seeds > self._written.get(number, 0):
                done = {name: [*dict.fromkeys(jobs[:seeds])] for name, jobs in planned.rows.items()}
                results = table_results(planned.table, planned.base, done)
                with atomic_file(self._out / f"table{number}.json") as file:
                    file.write(f"{json.dumps(results, indent=2)}\n".encode())
                with atomic_file(self._out / f"table{number}.md") as file:
                    file.write(markdown(results).encode())
                self._written[number] = seeds


def _planned(
    table: Table, bases: Sequence[Config], out: Path, seeds: int, pretrained: str | None
) -> PlannedTable:
    """The table on the first base that can have it. Raises UserError: none can."""
    reasons = []
    for base in bases:
        try:
            rows = table.rows(base, pretrained)
        except UserError as error:
            reasons.append(str(error))
            continue
        jobs = {
            name: [job_of(out, base, table.number, name, config, k) for k in range(seeds)]
            for name, config in rows.items()
        }
        check_budgets(job for row in jobs.values() for job in row)
        return PlannedTable(table, base, jobs)
    raise UserError("\nerror: ".join(reasons))


def as_base(config: Config) -> Config:
    """The configuration without what rows do not need: earlier checkpoints, panels in reports.

    Raises:
        UserError: it begins with a whole network's weights, which other rows cannot have.
    """
    require(
        config.train.init_from is None,
        f"{config.name}: rows are other networks, which train.init_from cannot give weights to; "
        "use model.backbone_weights",
    )
    train = dataclasses.replace(config.train, keep=1, save_untrained=False)
    shown = dataclasses.replace(config.eval, panels=0)
    return dataclasses.replace(config, train=train, eval=shown)
