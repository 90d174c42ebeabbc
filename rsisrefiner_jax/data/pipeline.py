"""The endless stream of training batches.

Sample k is a function of `config.seed` and k alone, and a batch is the next samples in order: the
stream is the same for any number of threads, workers and processes, and starts anywhere.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

import grain
import numpy as np
from absl import flags

from rsisrefiner_jax.config import Config, Data
from rsisrefiner_jax.data.augment import augment
from rsisrefiner_jax.data.first_click import draw_target
from rsisrefiner_jax.data.mosaic import mosaic
from rsisrefiner_jax.data.scene import Scene, Source
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import STOP_SIGNALS, UserError, require

Batch = dict[str, np.ndarray]

_MAX_DRAWS = 1000  # scenes tried for one sample before the data are called unusable


class Samples:
    """Training samples, by number, without end; or one process's share of them.

    A sample is
        image        uint8 [s, s, 3], RGB
        label        int8 [t, s, s]: 1 object, 0 background, -1 ignored
        first_click  float32 [t, 2], (y, x)
    with s = config.model.image_size and t = config.data.targets. A scene that cannot be read is
    told once, on stderr, and another one is drawn in its place.

    share: (a process, of how many): of every batch the process has the rows that follow one
    another from process * rows on, rows = batch_size / processes.
    """

    def __init__(
        self, sources: Sequence[Source], config: Config, share: tuple[int, int] = (0, 1)
    ) -> None:
        self._sources = sources
        self._process, self._rows = share[0], config.train.batch_size // share[1]
        self._config = config
        self._told: set[str] = set()  # of scenes that cannot be read
        require(config.seed >= 0, f"seed={config.seed} must not be negative")
        weights = np.array(config.data.weights or [len(source) for source in sources], float)
        require(
            bool((weights >= 0).all() and weights.sum() > 0),
            f"data.weights={config.data.weights} must not be negative, nor all zero",
        )
        self._weights = weights / weights.sum()

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        batch, row = divmod(index, self._rows)
        number = batch * self._config.train.batch_size + self._process * self._rows + row
        rng = np.random.default_rng([self._config.seed, number])
        data, size = self._config.data, self._config.model.image_size
        for _ in range(_MAX_DRAWS):
            source = self._sources[rng.choice(len(self._sources), p=self._weights)]
            try:
                scene = _draw_scene(source, data, rng)
            except UserError as error:
                self._tell(str(error))
                continue
            image, labels, ignore = augment(
                scene.image, scene.labels, scene.ignore, size, data.augment, rng
            )
            drawn = [draw_target(labels, ignore, data, rng) for _ in range(data.targets)]
            targets = [target for target in drawn if target is not None]
            if len(targets) == data.targets:
                label, first_click = (np.stack(parts) for parts in zip(*targets, strict=True))
                return {"image": image, "label": label, "first_click": first_click}
        for problem in self._told:
            raise UserError(f"data.train={list(data.train)}: nothing can be drawn; {problem}")
        raise UserError(
            f"data.train={list(data.train)}: no object of at least data.min_object_area="
            f"{data.min_object_area} pixels in {_MAX_DRAWS} random crops of {size} x {size}; "
            "lower data.min_object_area or choose other data"
        )

    def _tell(self, problem: str) -> None:
        if problem not in self._told:
            self._told.add(problem)
            number = len(self._told)
            print(f"note: training without scene ({number} so far): {problem}", file=sys.stderr)


def _draw_scene(source: Source, config: Data, rng: np.random.Generator) -> Scene:
    """A scene, or as often as the configuration asks for it four or nine of them as one."""

    def draw() -> Scene:
        return source[int(rng.integers(len(source)))]

    if not config.mosaic or rng.random() >= config.mosaic:
        return draw()
    side = int(rng.integers(2, 4))
    return mosaic([draw() for _ in range(side**2)], side)


def training_dataset(
    config: Config,
    process_index: int = 0,
    process_count: int = 1,
    sources: Sequence[Source] | None = None,
) -> grain.MapDataset:
    """Batches by number: `training_dataset(config)[n]` is batch n.

    Args:
        process_index, process_count: which of how many processes; their batches n one after the
            other are batch n of a single process.
        sources: in place of those that `config.data.train` names.

    Returns:
        Batches of `Samples`: image [p, s, s, 3], label [b, s, s], first_click [b, 2], with
        p = config.train.batch_size // process_count pictures and b = p * config.data.targets.

    Raises:
        UserError: data that cannot be opened, or a batch that cannot be shared out evenly.
    """
    batch_size = config.train.batch_size
    require(
        batch_size % process_count == 0,
        f"train.batch_size={batch_size} is not a multiple of the {process_count} processes",
    )
    if sources is None:
        recipe = Recipe.of(config.data)
        sources = [open_source(spec, recipe) for spec in config.data.train]
    require(bool(sources), "data.train is empty; name at least one data set")
    share = (process_index, process_count)
    samples = grain.MapDataset.source(Samples(sources, config, share))
    return samples.batch(batch_size // process_count).map(targets_in_a_row)


def targets_in_a_row(batch: Batch) -> Batch:
    """The targets of all pictures along one axis."""
    return batch | {
        name: batch[name].reshape(-1, *batch[name].shape[2:]) for name in ("label", "first_click")
    }


class TrainingIterator(grain.DatasetIterator[Batch]):
    """Takes the batches one after the other, prepared ahead by threads or worker processes.

    Its state is the number of the next batch, so a run may be taken up again with other numbers
    of threads, workers or processes.
    """

    def __init__(self, dataset: grain.MapDataset, threads: int, workers: int) -> None:
        super().__init__()
        self._dataset = dataset
        self._threads = threads
        self._workers = workers
        self._next_batch = 0
        self._batches: grain.DatasetIterator[Batch] | None = None

    def __next__(self) -> Batch:
        if self._batches is None:
            self._batches = self._start()
        batch = next(self._batches)
        self._next_batch += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        return {"next_batch": self._next_batch}

    def set_state(self, state: dict[str, Any]) -> None:
        self.close()
        self._next_batch = int(state["next_batch"])

    def start_prefetch(self) -> None:
        """Nothing to do: preparing ahead begins with the first batch."""

    def close(self) -> None:
        """Stops threads and workers; the next batch starts them again."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def _start(self) -> grain.DatasetIterator[Batch]:
        # A few whole batches ahead: grain's own default of 500 elements would be gigabytes.
        options = grain.ReadOptions(
            num_threads=self._threads, prefetch_buffer_size=self._threads and self._threads + 1
        )
        batches = self._dataset[self._next_batch :].to_iter_dataset(options)
        if self._workers:
            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()  # grain's workers read absl flags
            batches = batches.mp_prefetch(
                grain.MultiprocessingOptions(num_workers=self._workers, per_worker_buffer_size=1),
                worker_init_fn=_live_with_parent,
            )
        return iter(batches)


def _live_with_parent(*_: int) -> None:
    """A worker ends with the run, which the signals that all its processes get ask to save.

    Also when the run is killed and cannot say so: else the worker would go on for good.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def training_iterator(
    config: Config,
    process_index: int = 0,
    process_count: int = 1,
    sources: Sequence[Source] | None = None,
) -> TrainingIterator:
    """The batches of `training_dataset`, from the first on; see there."""
    dataset = training_dataset(config, process_index, process_count, sources)
    return TrainingIterator(dataset, config.data.threads, config.data.workers)
