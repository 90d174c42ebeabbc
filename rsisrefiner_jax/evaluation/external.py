"""Evaluates a model that is not of this package: `eval.py --predictor package.module:factory`."""

import dataclasses
import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rsisrefiner_jax.data.scene import Source
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.evaluation.evaluate import OnObject, run_work
from rsisrefiner_jax.evaluation.plan import Entry, read_items
from rsisrefiner_jax.evaluation.results import Evaluation, ObjectResult
from rsisrefiner_jax.interaction.external import Asked, ExternalPredictor
from rsisrefiner_jax.interaction.external_loop import ExternalSession, click_objects
from rsisrefiner_jax.interaction.simulate import Trace
from rsisrefiner_jax.interaction.slots import Item
from rsisrefiner_jax.protocol import Protocol


@dataclasses.dataclass(frozen=True)
class LoadedPredictor:
    """A predictor, and what results.json says of it."""

    name: str  # package.module:factory
    options: Mapping[str, str]  # that its factory was called with
    predictor: ExternalPredictor
    zoom_in_size: int | None
    about: Mapping[str, Any]

    @property
    def takes_batches(self) -> bool:
        """Whether it answers several questions in one call."""
        return hasattr(self.predictor, "predict_batch")

    def in_force(self, protocol: Protocol) -> Protocol:
        """The protocol as it obeys it; without zoom-in it sees all of every picture, once.

        Raises:
            UserError: the protocol contradicts itself or the size of its pictures.
        """
        if self.zoom_in_size is None:
            protocol = dataclasses.replace(
                protocol, zoom_skip_clicks=protocol.max_clicks, zoom_size=None, flip=False
            )
        protocol.check(self.zoom_in_size or 2)
        return protocol

    def settings(self) -> dict[str, Any]:
        """What results belong to: those of another predictor do not mix with them."""
        return {
            "predictor": self.name,
            "options": dict(self.options),
            "zoom_in_size": self.zoom_in_size,
            "about": dict(self.about),
        }

    def sessions(self, protocol: Protocol) -> Callable[[np.ndarray], ExternalSession]:
        """Opens a picture, uint8 [h, w, 3], to click an object."""
        asked = Asked(self.predictor, self.name)
        return lambda image: ExternalSession(asked, image, protocol, self.zoom_in_size)


def load_predictor(name: str, options: Sequence[str] = ()) -> LoadedPredictor:
    """Calls the factory `package.module:factory`; modules beside the shell's folder are found.

    options: NAME=VALUE, arguments of the factory; it gets the values as text.

    Raises:
        UserError: there is no such module or factory, it takes other arguments, or what it makes
            is no predictor. What else its own code raises is left as it is.
    """
    factory, given = _factory(name), _arguments(options)
    try:
        inspect.signature(factory).bind(**given)
    except TypeError as error:
        raise UserError(
            f"--predictor {name}: the factory takes other --options ({error})"
        ) from error
    except ValueError:
        pass  # a factory without a signature, such as a builtin
    predictor = factory(**given)
    require(
        isinstance(predictor, ExternalPredictor),
        f"--predictor {name}: made a {type(predictor).__name__}, which lacks set_image(rgb) or "
        "predict(clicks, prev_mask)",
    )
    size, about = getattr(predictor, "zoom_in_size", None), getattr(predictor, "about", {})
    require(
        size is None or (isinstance(size, int) and size >= 2),
        f"--predictor {name}: zoom_in_size={size!r} must be None or a whole number of pixels",
    )
    try:
        about = json.loads(json.dumps(dict(about)))
    except (TypeError, ValueError) as error:
        raise UserError(
            f"--predictor {name}: `about` must be a dict of JSON values ({error})"
        ) from error
    return LoadedPredictor(name, given, predictor, size, about)


def check_name(name: str) -> None:
    """Raises UserError: it is not of the form package.module:factory."""
    module, colon, factory = name.partition(":")
    parts = [*module.split("."), factory]
    require(
        bool(colon) and all(part.isidentifier() for part in parts),
        f"--predictor {name}: expected package.module:factory, as in "
        "examples.predictors.onnx_sam:factory",
    )


def _factory(name: str) -> Callable[..., Any]:
    check_name(name)
    module, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if f"{module}.".startswith(f"{missing}."):
            raise UserError(
                f"--predictor {name}: there is no module {missing}; run this where it can be "
                "imported, or add its folder to PYTHONPATH"
            ) from error
        raise UserError(
            f"--predictor {name}: {module} imports {missing}, which is not installed"
        ) from error
    require(callable(found), f"--predictor {name}: {module} has no function {attribute}")
    return found  # type: ignore[return-value]


def _arguments(options: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE of each option. Raises UserError."""
    given = {}
    for option in options:
        key, equals, value = option.partition("=")
        require(
            bool(equals) and key.isidentifier(),
            f"--options {option}: expected NAME=VALUE, an argument of the factory",
        )
        given[key] = value
    return given


def evaluate_predictor(
    loaded: LoadedPredictor,
    source: Source,
    protocol: Protocol,
    *,
    dataset: str = "",
    batch_size: int = 1,
    rank: int = 0,
    count: int = 1,
    seed: int = 0,
    limit: int | None = None,
    finished: Sequence[ObjectResult] = (),
    on_object: OnObject | None = None,
    progress: bool = True,
) -> Evaluation:
    """`evaluate` for an external predictor; the other arguments are those described there.

    What comes out does not depend on rank, count and batch_size, as far as the predictor's answers
    do not. Its time is that spent in its own code.

    Args:
        batch_size: objects in flight, where the predictor takes batches.
    """
    protocol = loaded.in_force(protocol)
    return run_work(
        _Work(loaded, protocol, batch_size),
        source,
        protocol,
        dataset=dataset,
        rank=rank,
        count=count,
        seed=seed,
        limit=limit,
        finished=finished,
        on_object=on_object,
        progress=progress,
    )


@dataclasses.dataclass
class _Work:
    """See `evaluate.Work`."""

    loaded: LoadedPredictor
    protocol: Protocol
    batch_size: int
    seconds: float = 0.0
    made: int = 0
    needed: int = 0

    def click(
        self, source: Source, entries: Sequence[Entry], seed: int
    ) -> Iterator[tuple[Item, Trace]]:
        """See `evaluate.Work`; in the order of the data set."""
        asked = Asked(self.loaded.predictor, self.loaded.name)
        items = read_items(source, entries, seed)
        size = self.loaded.zoom_in_size
        for item, trace in click_objects(asked, items, self.protocol, size, self.batch_size):
            self.seconds = asked.seconds
            self.needed += len(trace.clicks)
            self.made = self.needed
            yield item, trace
