"""Runs converted weights on a recorded first click and compares with the authors' own numbers.

That is possible only for weights whose reference output is on record, see `GOLDENS`: stand-ins
that anyone can regenerate from a rule, as the published checkpoints come without any output.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from convert_weights.convert import Conversion, model_of, nested
from convert_weights.golden_image import image
from rsisrefiner_jax.interaction.clicks import Clicks, disks
from rsisrefiner_jax.models.fpn import SimpleFPN
from rsisrefiner_jax.models.normalise import normalise
from rsisrefiner_jax.models.registry import make_model
from rsisrefiner_jax.models.sam.mask_decoder import MaskDecoder
from rsisrefiner_jax.models.sam.prompt_encoder import PromptEncoder
from rsisrefiner_jax.models.tiny_vit import TinyViT
from rsisrefiner_jax.models.vit import PatchEmbed, ViT

FOLDER = Path(__file__).parent / "goldens"
SIDE = 448


def measure_parity(result: Conversion, name: str) -> dict[str, Any]:
    """{"figure": largest absolute difference, "golden": `name`, "of": what was compared, "in"}.

    Float32 is computed as such on accelerators, too; "in" says so.
    """
    run, what, values = {
        "rsisrefiner": (logits, "logits", "values"),
        "mfp": (frozen_features, "last ViT block and neck outputs", "values"),
        "mobilesam": (masks, "mask logits", "masks2_448"),
    }[result.kind]
    if result.kind == "mfp" and result.whole:
        run, what, values = logits, "logits", "logits"
    with np.load(FOLDER / f"{name}.npz") as golden, jax.default_matmul_precision("highest"):
        ours, theirs = run(result, golden), golden[values]
    return {
        "figure": float(np.abs(ours - theirs).max()),
        "golden": name,
        "of": what,
        "in": f"float32, matrix products with precision highest, {jax.default_backend()}",
    }


def logits(result: Conversion, golden: Mapping[str, np.ndarray]) -> np.ndarray:
    """float32 [56, 56]: every eighth logit after a first click, which takes two passes."""
    model = make_model(model_of(result.kind, result.sizes, SIDE))
    variables = {part: nested(result.arrays, part) for part in ("params", "batch_stats")}
    picture, clicks = _first_click(golden)
    prev_mask = jnp.zeros((1, SIDE, SIDE), jnp.float32)
    run = jax.jit(lambda variables: model.apply(variables, picture, prev_mask, clicks, first=True))
    return np.asarray(run(variables))[0, ::8, ::8]


def frozen_features(result: Conversion, golden: Mapping[str, np.ndarray]) -> np.ndarray:
    """float32 [5, 256]: values of the last ViT block and of the four levels of the neck.

    golden["index"] int [5, 256]: where, in PyTorch's layout.
    """
    sizes, config = result.sizes, model_of(result.kind, result.sizes, SIDE)
    picture, clicks = _first_click(golden)
    masks = jnp.zeros((1, SIDE, SIDE, 2))  # no previous mask yet, so nothing modulated either
    aux = jnp.concatenate([masks, disks(clicks, (SIDE, SIDE), config.click_radius)], -1)

    @jax.jit
    def run(params: dict[str, Any]) -> list[jax.Array]:
        def part(name: str, module: nn.Module, *inputs: Any, **how: Any) -> Any:
            return module.apply({"params": params[name]}, *inputs, **how)

        coords = part("patch_embed_coords", PatchEmbed(sizes.width, sizes.patch_size), aux)
        vit = ViT(
            sizes.width,
            sizes.depth,
            config.heads,
            sizes.patch_size,
            sizes.grid,
            attention="windowed",
            early_blocks=(1, 1),
        )
        tokens = part("backbone", vit, normalise(picture, "rgb"), method="embed")
        last = part("backbone", vit, tokens, coords)[2]
        f_vit = last.reshape(1, sizes.grid, sizes.grid, sizes.width)
        levels = part("neck", SimpleFPN(sizes.fpn_channels), f_vit)
        return [last, *(level.transpose(0, 3, 1, 2) for level in levels)]

    features = run(nested(result.arrays, "params"))
    sampled = [
        np.asarray(x).ravel()[index] for x, index in zip(features, golden["index"], strict=True)
    ]
    return np.stack(sampled)


def _first_click(golden: Mapping[str, np.ndarray]) -> tuple[jax.Array, Clicks]:
    """float32 [1, s, s, 3] in 0..1, and one positive click."""
    picture = image(int(golden["image_seed"]), SIDE, SIDE)[None].astype(np.float32) / 255
    yx = golden["click"][None, None].astype(np.float32)
    return jnp.asarray(picture), Clicks(jnp.asarray(yx), jnp.ones((1, 1), jnp.int32))


def masks(result: Conversion, golden: Mapping[str, np.ndarray], side: int = SIDE) -> np.ndarray:
    """float32 [4, side / 32, side / 32]: every eighth logit of SAM's masks.

    They answer a positive and a negative click and a previous mask made by a rule.
    """
    tree = nested(result.arrays, "params")
    picture = image(7, side, side)[None].astype(np.float32) / 255
    xy, label = golden[f"points2_{side}"][:, :-1], golden[f"labels2_{side}"][:, :-1]
    clicks = Clicks(jnp.asarray(xy[..., ::-1]), jnp.asarray(label.astype(np.int32)))
    at = (np.arange(side // 4) + 0.5) / (side // 4)
    wave = 8 * np.cos(3 * np.pi * at + 0.5) * np.cos(2 * np.pi * at + 0.25)[:, None]

    @jax.jit
    def run(tree: dict[str, Any]) -> jax.Array:
        def part(name: str, module: nn.Module, *inputs: Any, **how: Any) -> Any:
            return module.apply({"params": tree[name]}, *inputs, **how)

        embedding = part("backbone", TinyViT(), normalise(jnp.asarray(picture), "rgb")).embedding
        prompts, logits = PromptEncoder(), jnp.asarray(wave[None], jnp.float32)
        positions = part("prompt_encoder", prompts, side // 16, method="grid")
        tokens = part("prompt_encoder", prompts, clicks, side, method="clicks")
        mask = part("prompt_encoder", prompts, logits, jnp.ones(1), method="mask")
        answer = part("mask_decoder", MaskDecoder(), embedding, positions, tokens, mask)
        return answer.masks[0, ::8, ::8].transpose(2, 0, 1)

    return np.asarray(run(tree))
