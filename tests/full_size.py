"""The full-size networks with the stand-in weights that the golden numbers were made with."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convert_weights.convert import convert, nested
from convert_weights.source import Source
from rsisrefiner_jax.config import Model
from rsisrefiner_jax.interaction.clicks import Clicks
from rsisrefiner_jax.models.refiner.network import Refiner
from tests.goldens import make_inputs
from tests.stand_in_weights import make_state_dict, manifest

GOLDENS = Path(__file__).parent / "goldens"
LAST_BIAS = "click_refiner.dynamic_conv.kernel_mlp.2.bias"


@functools.cache
def state_dict(network: str) -> dict[str, np.ndarray]:
    """PyTorch keys and arrays of `rsisrefiner` or `mfp`, weight seed 0."""
    return make_state_dict(manifest(network), seed=0)


def shifted_state_dict(bias_shift: float) -> dict[str, np.ndarray]:
    """`rsisrefiner` with every logit moved by `bias_shift`, so that masks of many sizes occur."""
    tensors = dict(state_dict("rsisrefiner"))
    tensors[LAST_BIAS] = tensors[LAST_BIAS].copy()
    tensors[LAST_BIAS][-1] += bias_shift
    return tensors


@functools.cache
def variables(network: str) -> dict[str, Any]:
    """{"params", "batch_stats"} of the stand-in network."""
    return convert_tensors(state_dict(network), network)


def convert_tensors(tensors: dict[str, np.ndarray], kind: str) -> dict[str, Any]:
    """PyTorch tensors of a full-size network as {"params", "batch_stats"}."""
    arrays = convert(Source("stand-in", "", 0, tensors), kind, 448, whole=True).arrays
    return {name: nested(arrays, name) for name in ("params", "batch_stats")}


def full_size_network(mode: str, bias_shift: float) -> tuple[Refiner, dict[str, Any]]:
    """The stand-in RS-ISRefiner and its variables, logits moved by `bias_shift`."""
    tensors = shifted_state_dict(bias_shift)
    return Refiner(model(mode)), jax.device_put(convert_tensors(tensors, "rsisrefiner"))


def model(mode: str) -> Model:
    """`official` or `paper`."""
    return Model(decoder="released" if mode == "official" else "paper")


def inputs(golden: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, Clicks]:
    """image float32 [b, 448, 448, 3] in 0..1, previous mask [b, 448, 448] and clicks."""
    image = np.stack([make_inputs.image(int(s)) for s in golden["image_seeds"]])
    prev = [
        make_inputs.prev_mask(int(s)) if s >= 0 else np.zeros((448, 448), np.float32)
        for s in golden["prev_seeds"]
    ]
    return image.astype(np.float32) / 255, np.stack(prev), to_clicks(golden["points"])


def label(golden: Mapping[str, np.ndarray]) -> np.ndarray:
    """int32 [b, 448, 448] of the pictures of `inputs`; part of the second one is ignored."""
    label = np.stack([make_inputs.blob_mask(int(seed)) for seed in golden["image_seeds"]])
    label[1, :40, :60] = -1
    return label


def recorded(mode: str, case: str, setting: str) -> dict[str, np.ndarray]:
    """The golden numbers of a training step; `setting` says how BatchNorm runs."""
    network = {"official": "rsis", "paper": "rsis_paper"}[mode]
    prefix = f"{network}/{case}/{setting}/"
    with np.load(GOLDENS / "train_step.npz") as golden:
        return {k.removeprefix(prefix): golden[k] for k in golden if k.startswith(prefix)}


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
    return Clicks(jnp.asarray(yx), jnp.asarray(label))
