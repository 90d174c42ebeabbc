"""Validation during training: some objects are clicked, and the best weights are kept."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from rsisrefiner_jax.checkpoint.best import BestWeights
from rsisrefiner_jax.config import Config
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.evaluation.evaluate import evaluate
from rsisrefiner_jax.evaluation.processes import gather_ious
from rsisrefiner_jax.evaluation.results import percent
from rsisrefiner_jax.interaction import metrics
from rsisrefiner_jax.models.lora import merge_lora
from rsisrefiner_jax.models.registry import make_model
from rsisrefiner_jax.parallel import wait_for_all
from rsisrefiner_jax.training.log import read_lines
from rsisrefiner_jax.training.step import TrainState
from rsisrefiner_jax.weights import merge

BEST = "best"  # of a work directory


class Standing(NamedTuple):
    """How the best validation so far did, and how many came after it without a better one."""

    noc: float = np.inf
    miou: float = -np.inf  # mean of the curve
    since: int = 0

    def after(self, noc: float, miou: float) -> "Standing":
        """Fewer clicks are better, then a higher curve: untrained networks all need the most."""
        if (-noc, miou) > (-self.noc, self.miou):
            return Standing(noc, miou)
        return self._replace(since=self.since + 1)


def specs(config: Config) -> tuple[str, ...]:
    """What is validated on; nothing where it is off."""
    settings = config.validate
    return (settings.data or config.data.eval) if settings.every is not None else ()


class Validation:
    """Clicks the first validate.limit objects of each data set as an evaluation does.

    All processes of the run validate at once, each some of the objects, and come to the same.

    Args:
        step: of the checkpoint that the run goes on from; what the log says up to there counts.

    Attributes:
        standing: the same in all processes.
        owed: a stop came before the validation that was due after `step`.

    Raises:
        UserError: data that cannot be opened.
    """

    def __init__(
        self,
        config: Config,
        workdir: Path,
        frozen: Path,
        devices: Sequence[jax.Device],
        step: int,
    ) -> None:
        self._config = config
        recipe = Recipe.of(config.data)
        self._sources = [open_source(spec, recipe) for spec in specs(config)]
        self._devices = [d for d in devices if d.process_index == jax.process_index()]
        wait_for_all()
        self._best = BestWeights(workdir / BEST, frozen)
        lines = read_lines(workdir) if jax.process_index() == 0 else []
        lines = [line for line in lines if line["step"] <= step]
        due = step > 0 and config.train.is_due(config.validate.every, step)
        done = any(line["step"] == step and "val_miou" in line for line in lines)
        self.standing, self.owed = shared(standing_of(config, lines), due and not done)

    @property
    def exhausted(self) -> bool:
        """Whether the run ends, as nothing better has come for too long."""
        patience = self._config.validate.patience
        return patience is not None and self.standing.since >= patience

    def __call__(self, state: TrainState, frozen: Any) -> dict[str, Any]:
        """{"val_noc90": ..., "val_miou": after each click} of the weights that serve.

        The best ones so far are saved.
        """
        serving, frozen = (local(tree) for tree in (state.serving, frozen))
        params = merge_lora(self._config.model, merge(frozen, serving["params"]))
        variables = {"params": params, "batch_stats": serving["batch_stats"]}
        values = summary(self._config, self._traces(variables))
        before = self.standing
        self.standing, self.owed = standing_of(self._config, [values], before), False
        if self.standing.since == 0:
            self._best.save(state, self._config, values)
        return values

    def _traces(self, variables: Any) -> list[tuple[float, ...]]:
        """IoUs after each click of all objects of all data sets."""
        traces: list[tuple[float, ...]] = []
        for source in self._sources:
            own = evaluate(
                make_model(self._config.model),
                variables,
                source,
                self._config.protocol,
                dataset="validating",
                batch_size=self._config.eval.batch_size,
                rows=self._config.eval.rows,
                devices=self._devices,
                rank=jax.process_index(),
                count=jax.process_count(),
                limit=self._config.validate.limit,
                progress=jax.process_index() == 0,
            )
            traces += gather_ious(own, self._config.protocol.max_clicks)
        return traces


def summary(config: Config, traces: Sequence[Sequence[float]]) -> dict[str, Any]:
    """What the log says of a validation."""
    clicks = config.protocol.max_clicks
    targets = sorted({*config.protocol.noc_targets, config.validate.target})
    curve = metrics.miou_curve(traces, clicks)
    return {
        **{f"val_noc{percent(t)}": metrics.number_of_clicks(traces, t, clicks)[0] for t in targets},
        "val_miou": [round(float(iou), 5) for iou in curve],
    }


def standing_of(
    config: Config, lines: Iterable[Mapping[str, Any]], standing: Standing = Standing()
) -> Standing:
    """`standing` after the validations among the lines of a log."""
    name = f"val_noc{percent(config.validate.target)}"
    for line in lines:
        if name in line:
            standing = standing.after(line[name], float(np.mean(line["val_miou"])))
    return standing


def shared(standing: Standing, owed: bool) -> tuple[Standing, bool]:
    """Those of the first process, which reads the log."""
    if jax.process_count() == 1:
        return standing, owed
    numbers = np.array([*standing, owed], np.float64)
    bits = multihost_utils.broadcast_one_to_all(numbers.view(np.uint32))  # jax rounds float64
    noc, miou, since, owed = np.array(bits).view(np.float64)
    return Standing(float(noc), float(miou), int(since)), bool(owed)


def local(tree: Any) -> Any:
    """Arrays that are the same on all devices -> this process's own copy, not moved."""
    return jax.tree.map(lambda x: x.addressable_data(0), tree)
