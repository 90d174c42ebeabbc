"""Where metrics go beside metrics.jsonl: TensorBoard, a CSV file, Weights & Biases.

Each is the library of its own: tensorboardX writes TensorBoard's files without TensorFlow or
PyTorch (clu's writers import TensorFlow), wandb speaks to its service. A run that goes on writes
no point twice.
"""

import csv
import dataclasses
import io
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rsisrefiner_jax.atomic import atomic_file
from rsisrefiner_jax.config import Config
from rsisrefiner_jax.errors import UserError


@runtime_checkable
class Writer(Protocol):
    """Takes the numbers of a step."""

    def write(self, step: int, values: Mapping[str, float]) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


def open_writers(config: Config, workdir: Path, resume_step: int) -> list[Writer]:
    """The writers that `config.train` asks for, which go on after `resume_step`.

    Raises:
        UserError: the library of one is not installed.
    """
    settings = config.train
    writers: list[Writer] = []
    if settings.tensorboard is not False:
        board = TensorBoard.open(workdir, resume_step)
        if board is None and settings.tensorboard:
            raise UserError(
                "train.tensorboard=True needs tensorboardX; "
                'pip install "rsisrefiner-jax[tensorboard]"'
            )
        writers += [board] if board else []
    if settings.csv:
        writers.append(Csv(workdir / "metrics.csv", resume_step))
    if settings.wandb is not None:
        writers.append(Wandb(config, workdir))
    return writers


def scalars(values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a step, each of a list under a name of its own: miou/01, miou/02, ..."""
    flat: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, (list, tuple)):
            flat |= {f"{name}/{i:02d}": number for i, number in enumerate(value, 1)}
        else:
            flat[name] = value
    return flat


class TensorBoard:
    """Event files in the work directory."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    @classmethod
    def open(cls, workdir: Path, resume_step: int) -> "TensorBoard | None":
        """None where tensorboardX is not installed."""
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            return None
        # What a killed run wrote after its last checkpoint is marked as void.
        purge = resume_step + 1 if any(workdir.glob("events.out.tfevents.*")) else None
        # Names of files end in seconds: a quick restart would overwrite the one before.
        own = f".from-{resume_step}"
        return cls(SummaryWriter(str(workdir), purge_step=purge, filename_suffix=own))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        self._writer.flush()  # by itself it does so every two minutes

    def close(self) -> None:
        self._writer.close()


class Csv:
    """A row a step, a column a metric; a new metric makes a new column of the whole file."""

    def __init__(self, path: Path, resume_step: int) -> None:
        self._path, self._columns = path, ["step"]
        rows: list[dict[str, Any]] = []
        if path.exists():
            lines = path.read_text().splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]  # a full disk cuts the last
            rows = [row for row in csv.DictReader(whole) if _step_of(row) <= resume_step]
        self._rewrite(rows)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        if not set(values) <= set(self._columns):
            with self._path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            self._rewrite([*rows, {"step": step, **values}])
            return
        with self._path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow({"step": step, **values})

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _rewrite(self, rows: list[dict[str, Any]]) -> None:
        self._columns = list(dict.fromkeys(["step", *(name for row in rows for name in row)]))
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, self._columns)
        table.writeheader()
        table.writerows(rows)
        with atomic_file(self._path) as file:
            file.write(text.getvalue().encode())


def _step_of(row: Mapping[str, Any]) -> float:
    try:
        return int(row["step"])
    except (KeyError, TypeError, ValueError):
        return float("inf")  # a row cut short by a crash


class Wandb:
    """A run of Weights & Biases, the same one whenever the training goes on.

    It drops steps that it has seen, so that no point comes twice.
    """

    def __init__(self, config: Config, workdir: Path) -> None:
        try:
            import wandb
        except ImportError as error:
            raise UserError(
                f"train.wandb={config.train.wandb} needs wandb; "
                'pip install "rsisrefiner-jax[wandb]"'
            ) from error
        kept = workdir / "wandb.json"
        if not kept.exists():
            kept.write_text(json.dumps({"id": uuid.uuid4().hex[:12]}) + "\n")
        self._run = wandb.init(
            project=config.train.wandb,
            name=config.name,
            id=json.loads(kept.read_text())["id"],
            resume="allow",
            dir=str(workdir),
            config=dataclasses.asdict(config),
        )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def flush(self) -> None:
        pass  # a process of its own keeps what it was given

    def close(self) -> None:
        self._run.finish()
