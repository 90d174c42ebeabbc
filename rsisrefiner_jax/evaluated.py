"""What eval.py evaluates: a checkpoint's network, or a model of another kind."""

import dataclasses
import functools
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from rsisrefiner_jax.checkpoint import loading
from rsisrefiner_jax.checkpoint.loading import LoadedModel
from rsisrefiner_jax.config import Config, apply_overrides
from rsisrefiner_jax.data.scene import Source
from rsisrefiner_jax.evaluation.environment import environment
from rsisrefiner_jax.evaluation.evaluate import evaluate
from rsisrefiner_jax.evaluation.external import (
    LoadedPredictor,
    evaluate_predictor,
    load_predictor,
)
from rsisrefiner_jax.evaluation.report.panels import Modulation, Session
from rsisrefiner_jax.evaluation.results import Evaluation
from rsisrefiner_jax.interaction.loop import Loop
from rsisrefiner_jax.interaction.session import ClickSession, Programs
from rsisrefiner_jax.models.flops import click_flops
from rsisrefiner_jax.protocol import Protocol


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A network of this package."""

    directory: str
    loaded: LoadedModel

    @classmethod
    def load(cls, directory: str, overrides: Sequence[str]) -> "Checkpoint":
        """See `load_model`. Raises UserError."""
        return cls(directory, loading.load_model(directory, overrides))

    @property
    def config(self) -> Config:
        """Its own configuration with the command line's changes."""
        return self.loaded.config

    def in_force(self, protocol: Protocol) -> Protocol:
        """The protocol as it is obeyed. Raises UserError."""
        protocol.check(self.config.model.image_size)
        return protocol

    def settings(self) -> dict[str, Any]:
        """What results belong to, of the network."""
        return {
            "weights": fingerprint(self.loaded.variables),
            "model": dataclasses.asdict(self.config.model),
        }

    def results(self, protocol: Protocol) -> dict[str, Any]:
        """What results.json says of it."""
        counts = self.loaded.parameters
        return {
            "model": {
                "kind": "rsisrefiner",
                "parameters": sum(counts[k] for k in ("frozen", "trainable", "unused")),
                "trainable": counts["trainable"],
                "flops": click_flops(self.loaded.model, self.loaded.variables, protocol.max_clicks),
            },
            "checkpoint": self.directory,
            "environment": environment(self.config.model.dtype, self.config.model.matmul_precision),
        }

    def evaluate(self, source: Source, protocol: Protocol, **which: Any) -> Evaluation:
        """See `evaluate`."""
        return evaluate(
            self.loaded.model,
            self.loaded.variables,
            source,
            protocol,
            batch_size=self.config.eval.batch_size,
            rows=self.config.eval.rows,
            **which,
        )

    def sessions(self, protocol: Protocol) -> Callable[[np.ndarray], Session]:
        """Opens a picture, uint8 [h, w, 3], to click an object. Compiled when first called."""

        @functools.cache
        def programs() -> Programs:
            return Programs(self.loaded.model, self.loaded.variables, protocol)

        return lambda image: ClickSession(programs(), image, keep_history=False)

    def modulation(self, protocol: Protocol) -> Modulation | None:
        """How it modulates the previous mask; None where it has no such input."""
        if self.config.model.network not in ("refiner", "mfp"):
            return None
        return Modulation(Loop(self.loaded.model, protocol, 1), self.config.model)


@dataclasses.dataclass(frozen=True)
class External:
    """A model of another kind."""

    loaded: LoadedPredictor
    config: Config  # its fields about the evaluation

    @classmethod
    def load(cls, name: str, options: Sequence[str], overrides: Sequence[str]) -> "External":
        """See `load_predictor`. Raises UserError."""
        return cls(load_predictor(name, options), apply_overrides(Config(), overrides))

    def in_force(self, protocol: Protocol) -> Protocol:
        """The protocol as it is obeyed. Raises UserError."""
        return self.loaded.in_force(protocol)

    def settings(self) -> dict[str, Any]:
        """What results belong to, of the predictor."""
        return self.loaded.settings()

    def results(self, protocol: Protocol) -> dict[str, Any]:
        """What results.json says of it; parameters and dtype are known where it says them."""
        about = self.loaded.about
        return {
            "model": {
                "kind": "predictor",
                "parameters": about.get("parameters"),
                "trainable": None,
                "batched": self.loaded.takes_batches,
                **self.loaded.settings(),
            },
            "checkpoint": self.loaded.name,
            "environment": environment(str(about.get("dtype", "unknown"))),
        }

    def evaluate(self, source: Source, protocol: Protocol, **which: Any) -> Evaluation:
        """See `evaluate_predictor`."""
        size = self.config.eval.batch_size
        return evaluate_predictor(self.loaded, source, protocol, batch_size=size, **which)

    def sessions(self, protocol: Protocol) -> Callable[[np.ndarray], Session]:
        """Opens a picture, uint8 [h, w, 3], to click an object."""
        return self.loaded.sessions(protocol)

    def modulation(self, protocol: Protocol) -> None:
        """What it does with the previous mask is its own."""


def fingerprint(variables: Any) -> str:
    """A checksum over all weights of a network, so that a resumed run is of the same one."""
    checksum = 0
    for weights in jax.tree.leaves(variables):
        checksum = zlib.crc32(np.ascontiguousarray(weights).tobytes(), checksum)
    return f"crc32:{checksum:08x}"
