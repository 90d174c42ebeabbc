"""The full-size networks with the stand-in weights that the golden numbers were made with."""

import functools
from pathlib import Path

import numpy as np

from convert_weights.convert import convert, nested
from convert_weights.source import Source
from rsisrefiner_jax.clicks import Clicks
from rsisrefiner_jax.config import Model
from tests.stand_in_weights import make_state_dict, manifest

GOLDENS = Path(__file__).parent / "goldens"


@functools.cache
def state_dict(network: str) -> dict[str, np.ndarray]:
    """PyTorch keys and arrays of `rsisrefiner` or `mfp`, weight seed 0."""
    return make_state_dict(manifest(network), seed=0)


@functools.cache
def variables(network: str) -> dict:
    """{"params", "batch_stats"} of the stand-in network (MFP: its frozen part only)."""
    source = Source("stand-in", "", 0, state_dict(network))
    arrays = convert(source, network, 448).arrays
    return {name: nested(arrays, name) for name in ("params", "batch_stats")}


def model(mode: str) -> Model:
    """`official` or `paper`."""
    return Model(decoder="released" if mode == "official" else "paper")


def to_clicks(points: np.ndarray) -> Clicks:
    """Rows (y, x, order) [b, 2n, 3], positive rows first, -1 = unused -> clicks in order."""
    b, rows, _ = points.shape
    yx = np.full((b, rows, 2), -1, np.float32)
    label = np.full((b, rows), -1, np.int32)
    for i, sample in enumerate(points):
        used = np.flatnonzero(sample[:, 2] >= 0)
        used = used[np.argsort(sample[used, 2])]
        yx[i, : len(used)] = sample[used, :2]
        label[i, : len(used)] = used < rows // 2
    return Clicks(yx, label)
