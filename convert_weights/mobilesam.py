"""MobileSAM's names: the rules of its tensors, and what its files write differently.

Three kinds of files hold the same network: safetensors with BatchNorms folded into the
convolutions, the authors' `.pt` with BatchNorms of their own, and ONNX graphs. All become the first
kind before the rules are applied. What a step does not understand it leaves alone, so that the
strict check names it.
"""

import math
import re

import numpy as np

from convert_weights.rules import Rule, affine, conv, conv_transpose, dense, norm, row, same
from rsisrefiner_jax.errors import require

Tensors = dict[str, np.ndarray]
EPSILON = 1e-5  # of BatchNorm
BIASES = ".attention_biases"
UNUSED = (
    r"(norm_head|head)\.(weight|bias)"  # TinyViT's classifier
    r"|prompt_encoder\.point_embeddings\.[23]\.weight"  # corners of a box
)
LEFT_OVER = (
    r".*\.(num_batches_tracked|attention_bias_idxs)|pixel_(mean|std)"
    r"|pe_layer\.MatMul\.0|Mul(_\d+)?\.1"  # constants of a graph: places, how scores are chosen
)
GRAPH = {  # how an ONNX graph calls what the other files call otherwise (see `onnx_file`)
    r"(.+)\.c\.(weight|bias)": r"\1.\2",
    r"(.+\.attn)\.Add(_\d+)?\.1": r"\1.attention_bias",
    r"((transformer|output_upscaling)\..+)": r"mask_decoder.\1",
    r"(mask_downscaling\..+)": r"prompt_encoder.\1",
}
PARTS = {"backbone": "patch_embed.", "prompt_encoder": "prompt_encoder.", "mask_decoder": "mask_"}


def parts(tensors: Tensors) -> list[str]:
    """Which of the three parts there are."""
    return [part for part, start in PARTS.items() if any(key.startswith(start) for key in tensors)]


def is_mobilesam(tensors: Tensors) -> bool:
    """Whether these are the names of TinyViT or of SAM's decoder, in any of the three kinds."""
    names = ("image_encoder.patch_embed.seq.", "patch_embed.seq.", "mask_decoder.transformer.")
    return any(key.startswith(names) for key in tensors)


def canonical(tensors: Tensors) -> tuple[Tensors, dict[str, str]]:
    """The tensors under the names that `rules` knows; {key taken in: key that took it}."""
    named: Tensors = {}
    for key, value in tensors.items():
        name = key.removeprefix("image_encoder.")
        require(name not in named, f"{name} is there twice, also as image_encoder.{name}")
        named[name] = value
    folded, taken = fold_batch_norms(named)
    folded = expand_attention_bias(rename_graph(folded))
    taken |= {k: k.removesuffix("es") for k in named if k.endswith(BIASES) and k not in folded}
    first, others = (f"mask_decoder.{kind}.weight" for kind in ("iou_token", "mask_tokens"))
    both = [folded[key] for key in (first, others) if key in folded]
    if len(both) == 2 and both[0].shape[1:] == both[1].shape[1:] != ():
        folded["mask_decoder.tokens"] = np.concatenate(both)
        taken[others] = taken[first] = "mask_decoder.tokens"
        del folded[first], folded[others]
    return folded, taken


def rename_graph(tensors: Tensors) -> Tensors:
    """What `onnx_file` names after the nodes of a graph, under the names of the other files."""
    out = {}
    for key, value in tensors.items():
        if re.fullmatch(r"Expand(_\d+)?\.0", key) and value.ndim == 3:
            key, value = "mask_decoder.tokens", value[0]
        elif re.fullmatch(r"Mul(_\d+)?\.1", key) and value.ndim == 4:
            key, value = "prompt_encoder.no_mask_embed.weight", value.reshape(1, -1)
        for theirs, ours in GRAPH.items():
            key = re.sub(rf"^{theirs}$", ours, key)
        out[key] = value
    return out


def fold_batch_norms(tensors: Tensors) -> tuple[Tensors, dict[str, str]]:
    """`x.c.weight` and `x.bn.*` -> `x.weight` and `x.bias`, the same function at test time."""
    out, taken = dict(tensors), {}
    for key in tensors:
        if not key.endswith(".c.weight"):
            continue
        name = key.removesuffix(".c.weight")
        kinds = ("weight", "bias", "running_mean", "running_var")
        statistics = [out.get(f"{name}.bn.{kind}") for kind in kinds]
        weight = tensors[key]
        if weight.ndim != 4 or any(s is None or s.shape != weight.shape[:1] for s in statistics):
            continue
        scale, bias, mean, var = (np.asarray(s, np.float64) for s in statistics)
        factor = scale / np.sqrt(var + EPSILON)
        weight = weight.astype(np.float64) * factor[:, None, None, None]
        del out[key]
        out[f"{name}.weight"] = weight.astype(np.float32)
        out[f"{name}.bias"] = (bias - mean * factor).astype(np.float32)
        for kind in kinds:
            del out[f"{name}.bn.{kind}"]
            taken[f"{name}.bn.{kind}"] = f"{name}.bias" if kind == "bias" else f"{name}.weight"
        taken[key] = f"{name}.weight"
    return out, taken


def expand_attention_bias(tensors: Tensors) -> Tensors:
    """`attention_biases` [heads, offsets] -> `attention_bias` [heads, n, n], one for every pair.

    Offsets are numbered as the pairs of places first show them, row by row.
    """
    out = {}
    for key, value in tensors.items():
        offsets = value.shape[1] if key.endswith(BIASES) and value.ndim == 2 else 0
        side = math.isqrt(offsets)
        if offsets and side * side == offsets:
            y, x = np.divmod(np.arange(offsets), side)
            offset = abs(y[:, None] - y) * side + abs(x[:, None] - x)
            out[key.removesuffix("es")] = value[:, offset]
        else:
            out[key] = value
    return out


def rules() -> list[Rule]:
    """Of all three parts."""
    return [*_tiny_vit(), *_prompt_encoder(), *_mask_decoder()]


def _tiny_vit() -> list[Rule]:
    theirs, ours = "layers.{i}.blocks.{j}", "backbone/stage_{i}_block_{j}"
    down, merge = "layers.{i}.downsample", "backbone/merge_{i}"
    return [
        *affine("patch_embed.seq.0", "backbone/patch_embed_0", conv),
        *affine("patch_embed.seq.2", "backbone/patch_embed_1", conv),
        *affine(f"{theirs}.conv1", f"{ours}/expand", conv),
        *affine(f"{theirs}.conv2", f"{ours}/depthwise", conv),
        *affine(f"{theirs}.conv3", f"{ours}/project", conv),
        *affine(f"{down}.conv1", f"{merge}/expand", conv),
        *affine(f"{down}.conv2", f"{merge}/depthwise", conv),
        *affine(f"{down}.conv3", f"{merge}/project", conv),
        *norm(f"{theirs}.attn.norm", f"{ours}/attn/norm"),
        *affine(f"{theirs}.attn.qkv", f"{ours}/attn/qkv", dense),
        *affine(f"{theirs}.attn.proj", f"{ours}/attn/proj", dense),
        Rule(f"{theirs}.attn.attention_bias", f"{ours}/attn/bias"),
        *affine(f"{theirs}.local_conv", f"{ours}/local", conv),
        *norm(f"{theirs}.mlp.norm", f"{ours}/norm"),
        *affine(f"{theirs}.mlp.fc1", f"{ours}/fc1", dense),
        *affine(f"{theirs}.mlp.fc2", f"{ours}/fc2", dense),
        Rule("neck.0.weight", "backbone/neck_0/kernel", conv),
        *norm("neck.1", "backbone/neck_norm_0"),
        Rule("neck.2.weight", "backbone/neck_1/kernel", conv),
        *norm("neck.3", "backbone/neck_norm_1"),
    ]


def _prompt_encoder() -> list[Rule]:
    theirs, ours = "prompt_encoder", "prompt_encoder"
    mask, encoder = f"{theirs}.mask_downscaling", f"{ours}/mask_encoder"
    return [
        Rule(f"{theirs}.pe_layer.positional_encoding_gaussian_matrix", f"{ours}/frequencies"),
        Rule(f"{theirs}.not_a_point_embed.weight", f"{ours}/unused", row),
        Rule(f"{theirs}.point_embeddings.0.weight", f"{ours}/negative", row),
        Rule(f"{theirs}.point_embeddings.1.weight", f"{ours}/positive", row),
        Rule(f"{theirs}.no_mask_embed.weight", f"{ours}/no_mask", row),
        *affine(f"{mask}.0", f"{encoder}/conv_0", conv),
        *norm(f"{mask}.1", f"{encoder}/norm_0"),
        *affine(f"{mask}.3", f"{encoder}/conv_1", conv),
        *norm(f"{mask}.4", f"{encoder}/norm_1"),
        *affine(f"{mask}.6", f"{encoder}/conv_2", conv),
    ]


def _mask_decoder() -> list[Rule]:
    theirs, ours = "mask_decoder", "mask_decoder"
    layer, two_way = f"{theirs}.transformer.layers.{{i}}", f"{ours}/transformer"
    return [
        Rule(f"{theirs}.tokens", f"{ours}/tokens", same),
        *_attention(f"{layer}.self_attn", f"{two_way}/layer_{{i}}_self"),
        *_attention(f"{layer}.cross_attn_token_to_image", f"{two_way}/layer_{{i}}_token_attends"),
        *_attention(f"{layer}.cross_attn_image_to_token", f"{two_way}/layer_{{i}}_image_attends"),
        *norm(f"{layer}.norm{{j}}", f"{two_way}/layer_{{i}}_norm_{{j}}"),
        *affine(f"{layer}.mlp.lin1", f"{two_way}/layer_{{i}}_mlp_in", dense),
        *affine(f"{layer}.mlp.lin2", f"{two_way}/layer_{{i}}_mlp_out", dense),
        *_attention(
            f"{theirs}.transformer.final_attn_token_to_image", f"{two_way}/final_token_attends"
        ),
        *norm(f"{theirs}.transformer.norm_final_attn", f"{two_way}/final_norm"),
        *affine(f"{theirs}.output_upscaling.0", f"{ours}/up_1", conv_transpose),
        *norm(f"{theirs}.output_upscaling.1", f"{ours}/up_norm"),
        *affine(f"{theirs}.output_upscaling.3", f"{ours}/up_2", conv_transpose),
        *affine(
            f"{theirs}.output_hypernetworks_mlps.{{i}}.layers.{{j}}",
            f"{ours}/mask_{{i}}_mlp_{{j}}",
            dense,
        ),
        *affine(f"{theirs}.iou_prediction_head.layers.{{j}}", f"{ours}/iou_mlp_{{j}}", dense),
    ]


def _attention(theirs: str, ours: str) -> list[Rule]:
    return [
        rule
        for short, name in (("q", "query"), ("k", "key"), ("v", "value"), ("out", "out"))
        for rule in affine(f"{theirs}.{short}_proj", f"{ours}/{name}", dense)
    ]
