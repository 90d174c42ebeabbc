"""What every process that answers blocks has to know, and what its answers depend on."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import shapely

from rsisrefiner_jax.annotate.file_identity import size_and_time_of
from rsisrefiner_jax.annotate.loading import load
from rsisrefiner_jax.checkpoint.loading import load_changed
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats import remote
from rsisrefiner_jax.formats.raster_info import Raster, open_raster
from rsisrefiner_jax.refine.answer import Answer
from rsisrefiner_jax.refine.placing import Block, Prompt
from rsisrefiner_jax.refine.refiner import Refiner

FORMAT = 1  # rises when the same job comes to other answers


@dataclasses.dataclass(frozen=True)
class Job:
    """rasters: paths and addresses. stamps: (size, time) of each when the job began, None at an
    address. network: a digest of the weights and their configuration."""

    rasters: tuple[str, ...]
    stamps: tuple[tuple[int, int] | None, ...]
    checkpoint: str
    overrides: tuple[str, ...]
    network: str
    recipe: Recipe
    keep_below: float

    def about(self, prompts: Sequence[Prompt]) -> dict[str, Any]:
        """Everything that the answers depend on, as JSON."""
        return {
            "format": FORMAT,
            "rasters": dict(zip(self.rasters, self.stamps, strict=True)),
            "network": self.network,
            "recipe": dataclasses.asdict(self.recipe),
            "keep_below": self.keep_below,
            "prompts": _prompts_digest(prompts),
        }

    def require_unchanged(self, raster: int) -> None:
        """Raises UserError: a raster was written to since the job began."""
        path = self.rasters[raster]
        require(
            self.stamps[raster] == stamp(path),
            f"{path}: it was written to since this job began, or is another file here; name "
            "another --out to begin again",
        )


def stamp(raster: str) -> tuple[int, int] | None:
    """What changes when a file does; None at an address."""
    found = None if remote.is_address(raster) else size_and_time_of(raster)
    return found and (found.size, found.modified)


def open_named(raster: str) -> Raster:
    """A raster that a person named, an address among them. Raises UserError."""
    return open_raster(remote.allow(raster) if remote.is_address(raster) else raster)


class Worker:
    """A network on a device, and the rasters. Raises UserError: not those of the job."""

    def __init__(self, job: Job, device: jax.Device | None = None, check: bool = False) -> None:
        """check: whether the network is that of the job, as may not be so on another machine."""
        self._job, self._device = job, device
        if check:
            require(
                network_digest(job.checkpoint, job.overrides) == job.network,
                f"{job.checkpoint}: another network on this machine than where the job began",
            )
        with jax.default_device(device):
            segmenter = load(job.checkpoint, job.overrides, device)
        infos = [open_named(raster) for raster in job.rasters]
        self._refiner = Refiner(segmenter, infos, job.recipe, job.keep_below)

    def answers(self, block: Block, go_on: Callable[[], None] = lambda: None) -> list[Answer]:
        """See `Refiner.answers`."""
        self._job.require_unchanged(block.raster)
        with jax.default_device(self._device):
            return self._refiner.answers(block, go_on)


def network_digest(checkpoint: str | Path, overrides: Sequence[str]) -> str:
    """Of a checkpoint's weights and configuration. Raises UserError: there is none."""
    weights, config = load_changed(checkpoint, overrides)
    settings = [dataclasses.asdict(part) for part in (config.model, config.protocol)]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for path, leaf in jax.tree.leaves_with_path((weights.params, weights.batch_stats)):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def _prompts_digest(prompts: Sequence[Prompt]) -> str:
    digest = hashlib.sha256()
    for prompt in prompts:
        wkb = None if prompt.shape is None else shapely.to_wkb(prompt.shape, hex=True)
        fields = prompt.number, prompt.raster, prompt.kind, tuple(prompt.clicks), prompt.cut, wkb
        digest.update(repr(fields).encode())
    return digest.hexdigest()
