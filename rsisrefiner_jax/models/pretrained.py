"""Where a run's first weights come from: random, with a converted backbone put in place."""

import os
from typing import Any

import jax
import numpy as np

from rsisrefiner_jax.config import Model
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.models.registry import init_variables
from rsisrefiner_jax.weights import check_same, load_npz, resize_pos_embed

# By backbone: whose weights it starts from, and how they are converted to which file.
CONVERT = {
    "vit": ("MFP's checkpoint", "MFP.pth", "mfp_vitb.npz"),
    "tiny_vit": ("MobileSAM", "ENCODER.safetensors DECODER.safetensors", "mobilesam.npz"),
}

SPARE = ("prompt_encoder", "mask_decoder")  # what a network on MobileSAM may do without


def backbone_problem(config: Model) -> str | None:
    """What stands in the way of loading the backbone, in one sentence; None = nothing."""
    path = config.backbone_weights
    if path is None and config.frozen:
        whose, command, file = CONVERT[config.backbone]
        return (
            "model.backbone_weights is not set, and the network freezes "
            f"{', '.join(config.frozen)}; convert {whose} with "
            f"`python -m convert_weights {command} {file}` and pass "
            f"--set model.backbone_weights={file}"
        )
    if path is not None and not os.path.isfile(path):
        return (
            f"model.backbone_weights={path}: no such file; write it with "
            f"`python -m convert_weights SOURCE.pth {path}`"
        )
    return None


def first_variables(config: Model, key: jax.Array) -> tuple[dict[str, Any], dict[str, Any]]:
    """({"params", "batch_stats"} as numpy, meta of the backbone file).

    Raises:
        UserError: the backbone file is missing, misfits the model, or lacks what is frozen.
    """
    problem = backbone_problem(config)
    if problem:
        raise UserError(problem)
    variables = jax.tree.map(np.asarray, init_variables(config, key))
    if config.backbone_weights is None:
        return variables, {}
    loaded, meta = load_npz(config.backbone_weights)
    absent = [name for name in config.frozen if name not in loaded]
    require(
        not absent,
        f"{config.backbone_weights} holds {', '.join(loaded)} but not {', '.join(absent)}; "
        f"set model.frozen=[{','.join(n for n in config.frozen if n in loaded)}]",
    )
    params = dict(variables["params"])
    grid = config.image_size // config.patch_size
    backbone = loaded.get("backbone", {})
    if "pos_embed" in backbone:
        backbone["pos_embed"] = resize_pos_embed(backbone["pos_embed"], grid)
    for name, tree in loaded.items():
        if name in SPARE and name not in params:
            continue
        check_same(tree, params.get(name, {}), f"{config.backbone_weights}: {name}")
        params[name] = tree
    return variables | {"params": params}, meta
