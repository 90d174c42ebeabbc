"""LoRA: low-rank updates beside frozen attention weights (Hu et al., ICLR 2022; Table III).

With model.lora_rank = r the parameters have one more module, `lora`. It holds, for each attention
of the backbone, two factors for each of the four projections (query, key, value, output), and the
network computes with W + down @ up. The factors are added to the weights before a pass and not to
the activations within it, so that no network knows of them, and a pass costs what it always did.

    variables = {"params": merge_lora(config, params), ...}
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Key

from rsisrefiner_jax.config import Model
from rsisrefiner_jax.models import tiny_vit, vit
from rsisrefiner_jax.models.layers import uniform

NAME = "lora"  # of the module, beside `backbone`
PROJECTIONS = 4  # query, key, value, output


def init_lora(config: Model, backbone: Any, key: Key[Array, ""]) -> dict[str, Any]:
    """Factors whose product is zero, so that a network begins as it is.

    backbone: its parameters, or their shapes.

    Returns:
        {name of a block: {"down": [4, c, r], "up": [4, r, c]}}; `up` is zero.
    """
    rank, factors = config.lora_rank, {}
    blocks = (name for name, tree in backbone.items() if isinstance(tree, Mapping))
    for number, name in enumerate(sorted(name for name in blocks if "attn" in backbone[name])):
        width = backbone[name]["attn"]["proj"]["kernel"].shape[0]
        down = uniform(width)(jax.random.fold_in(key, number), (PROJECTIONS, width, rank))
        factors[name] = {"down": down, "up": jnp.zeros((PROJECTIONS, rank, width))}
    return factors


def merge_lora(config: Model, params: Any) -> Any:
    """Plain parameters [as without LoRA]: W + down @ up in place of W. A pure function.

    params: of the whole network; returned as they are where they hold no factors.
    """
    if NAME not in params:
        return params
    plain = {name: tree for name, tree in params.items() if name != NAME}
    plain["backbone"] = {
        name: _merged(config, block, params[NAME][name]) if name in params[NAME] else block
        for name, block in params["backbone"].items()
    }
    return plain


def _merged(config: Model, block: Any, factors: Any) -> Any:
    """One block of the backbone with its update."""
    pack = tiny_vit.pack_qkv if config.backbone == "tiny_vit" else vit.pack_qkv
    attention = block["attn"]
    update = jnp.matmul(factors["down"], factors["up"], precision="highest")  # [4, c, c]
    added = {"qkv": pack(update[:3]), "proj": update[3]}
    changed = {
        name: {**attention[name], "kernel": attention[name]["kernel"] + added[name]}
        for name in added
    }
    return {**block, "attn": {**attention, **changed}}
