"""Which PyTorch key becomes which path of ours: one table per part of the network.

A rule's `source` and `target` are names with numbered holes such as {i}; they are compiled to
regular expressions and applied with `re.fullmatch`, in either direction. A target is a path below
`params`, or one that begins with `batch_stats/`. Layouts: reference code is NCHW, ours is NHWC.
"""

import dataclasses
import functools
import re
from collections.abc import Callable

import numpy as np

Move = Callable[[np.ndarray], np.ndarray]


def same(w: np.ndarray) -> np.ndarray:
    return w


def conv(w: np.ndarray) -> np.ndarray:
    """[out, in, h, w] -> [h, w, in, out]; depthwise [c, 1, 3, 3] -> [3, 3, 1, c]."""
    return w.transpose(2, 3, 1, 0)


def conv_transpose(w: np.ndarray) -> np.ndarray:
    """[in, out, h, w] -> [h, w, in, out]."""
    return w.transpose(2, 3, 0, 1)


def dense(w: np.ndarray) -> np.ndarray:
    """[out, in] -> [in, out]."""
    return w.T


def vector(w: np.ndarray) -> np.ndarray:
    """[1, 1, e] -> [e]."""
    return w.reshape(-1)


def row(w: np.ndarray) -> np.ndarray:
    """[1, e] -> [e]."""
    return w.reshape(-1)


BACK: dict[Move, Move] = {
    same: same,
    conv: lambda w: w.transpose(3, 2, 0, 1),
    conv_transpose: lambda w: w.transpose(2, 3, 0, 1),
    dense: dense,
    vector: lambda w: w.reshape(1, 1, -1),
    row: lambda w: w.reshape(1, -1),
}


@dataclasses.dataclass(frozen=True)
class Rule:
    source: str
    target: str
    move: Move = same
    shape: tuple[int, ...] | None = None  # of the target; None = the model knows

    def apply(self, w: np.ndarray) -> np.ndarray:
        """`w` in our layout, floats as float32; unmoved where its number of axes is wrong."""
        if w.dtype.kind in "fV":  # V: bfloat16
            w = w.astype(np.float32, copy=False)
        try:
            return self.move(w)
        except ValueError:
            return w

    def undo(self, w: np.ndarray) -> np.ndarray:
        """`w`, in our layout, in PyTorch's."""
        return BACK[self.move](w)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What the shapes of a frozen part depend on."""

    width: int = 768
    depth: int = 12
    patch_size: int = 16
    grid: int = 28  # tokens per side after conversion
    fpn_channels: tuple[int, int, int, int] = (128, 256, 512, 1024)


def affine(source: str, target: str, move: Move, shape: tuple[int, ...] | None = None) -> list:
    """Rules of a convolution or linear layer; `shape` is the kernel's."""
    return [
        Rule(f"{source}.weight", f"{target}/kernel", move, shape),
        Rule(f"{source}.bias", f"{target}/bias", same, shape and shape[-1:]),
    ]


def norm(source: str, target: str, width: int | None = None) -> list[Rule]:
    shape = None if width is None else (width,)
    return [
        Rule(f"{source}.weight", f"{target}/scale", same, shape),
        Rule(f"{source}.bias", f"{target}/bias", same, shape),
    ]


def batch_norm(source: str, target: str) -> list[Rule]:
    return [
        *norm(source, target),
        Rule(f"{source}.running_mean", f"batch_stats/{target}/mean"),
        Rule(f"{source}.running_var", f"batch_stats/{target}/var"),
    ]


def attention(source: str, target: str) -> list[Rule]:
    """Rules of a torch `MultiheadAttention`, whose q, k, v share one `in_proj`."""
    return [
        Rule(f"{source}.in_proj_weight", f"{target}/in_proj/kernel", dense),
        Rule(f"{source}.in_proj_bias", f"{target}/in_proj/bias"),
        *affine(f"{source}.out_proj", f"{target}/out_proj", dense),
    ]


def backbone(s: Sizes, prefix: str = "backbone.") -> list[Rule]:
    """A plain ViT under its timm names."""
    e, p = s.width, s.patch_size
    block, ours = f"{prefix}blocks.{{i}}", "backbone/block_{i}"
    return [
        *affine(f"{prefix}patch_embed.proj", "backbone/patch_embed", conv, (p, p, 3, e)),
        Rule(f"{prefix}pos_embed", "backbone/pos_embed", same, (1, 1 + s.grid**2, e)),
        *norm(f"{block}.norm1", f"{ours}/norm1", e),
        *norm(f"{block}.norm2", f"{ours}/norm2", e),
        *affine(f"{block}.attn.qkv", f"{ours}/attn/qkv", dense, (e, 3 * e)),
        *affine(f"{block}.attn.proj", f"{ours}/attn/proj", dense, (e, e)),
        *affine(f"{block}.mlp.fc1", f"{ours}/mlp/fc1", dense, (e, 4 * e)),
        *affine(f"{block}.mlp.fc2", f"{ours}/mlp/fc2", dense, (4 * e, e)),
    ]


def patch_embed_coords(s: Sizes) -> list[Rule]:
    """The embedding of [previous map, modulated map, positive clicks, negative clicks]."""
    p = s.patch_size
    return affine("patch_embed_coords.proj", "patch_embed_coords", conv, (p, p, 4, s.width))


def neck(s: Sizes) -> list[Rule]:
    """SimpleFPN."""
    e, (c4, c8, c16, c32) = s.width, s.fpn_channels
    a, b, d = "neck/level_4", "neck/level_8", "neck/level_32"
    return [
        *affine("neck.down_4.0", f"{a}/up_1", conv_transpose, (2, 2, e, e // 2)),
        *norm("neck.down_4.1", f"{a}/norm_1", e // 2),
        *affine("neck.down_4.3", f"{a}/up_2", conv_transpose, (2, 2, e // 2, e // 4)),
        *norm("neck.down_4.4", f"{a}/norm_2", e // 4),
        *affine("neck.down_4.5", f"{a}/conv", conv, (1, 1, e // 4, c4)),
        *norm("neck.down_4.6", f"{a}/norm_3", c4),
        *affine("neck.down_8.0", f"{b}/up_1", conv_transpose, (2, 2, e, e // 2)),
        *norm("neck.down_8.1", f"{b}/norm_1", e // 2),
        *affine("neck.down_8.2", f"{b}/conv", conv, (1, 1, e // 2, c8)),
        *norm("neck.down_8.3", f"{b}/norm_2", c8),
        *affine("neck.down_16.0", "neck/level_16/conv", conv, (1, 1, e, c16)),
        *norm("neck.down_16.1", "neck/level_16/norm_1", c16),
        *affine("neck.down_32.0", f"{d}/down", conv, (2, 2, e, 2 * e)),
        *norm("neck.down_32.1", f"{d}/norm_1", 2 * e),
        *affine("neck.down_32.2", f"{d}/conv", conv, (1, 1, 2 * e, c32)),
        *norm("neck.down_32.3", f"{d}/norm_2", c32),
    ]


def levels_head() -> list[Rule]:
    """SimpleClick's head, which is also a part of MFP's; the model knows the shapes."""
    return [
        *affine("head.convs.{i}.conv", "head/fusion/conv_{i}", conv),
        *affine("head.fusion_conv.conv", "head/fusion/fuse", conv),
        *affine("head.conv_seg", "head/classify", conv),
    ]


def mfp_head() -> list[Rule]:
    """MFP's head; the model knows the shapes."""
    theirs = "head.conv_prevMod"
    return [
        *levels_head(),
        *affine(f"{theirs}.{{i}}.conv", "head/picture_{i}", conv),
        *_xception(f"{theirs}.{{i}}", "head/picture_{i}"),
        *_xception("head.refine_fusion.{i}", "head/refine_{i}"),
    ]


def adapter() -> list[Rule]:
    """Everything RS-ISRefiner adds to the frozen part; the model knows the shapes."""
    return [
        *affine("gatefusion.gate.0", "gate", dense),
        *_extractor("click_refiner.exact_image_feature"),
        *_fusion("click_refiner.cross_feat"),
        *_prev_mask("click_refiner.prev_mask_downscaling.downscale"),
        *_decoder("click_refiner"),
        *affine("click_refiner.multi_scale_fusion.convs.{i}.conv", "multi_scale/conv_{i}", conv),
        *affine("click_refiner.multi_scale_fusion.fusion_conv.conv", "multi_scale/fuse", conv),
    ]


def _extractor(theirs: str) -> list[Rule]:
    block, ours = f"{theirs}.Exact_Backbone.{{i}}", "extractor/block_{i}"
    return [
        *affine(f"{block}.conv1", f"{ours}/conv", conv),
        *affine(f"{block}.offset_conv", f"{ours}/offset", conv),
        *affine(f"{block}.deform_conv", f"{ours}/deform", conv),
        *batch_norm(f"{block}.bn", f"{ours}/norm"),
        Rule(f"{block}.se.fc.0.weight", f"{ours}/se/reduce/kernel", dense),
        Rule(f"{block}.se.fc.2.weight", f"{ours}/se/expand/kernel", dense),
        *affine(f"{block}.shortcut", f"{ours}/shortcut", conv),
        *affine(f"{theirs}.final_conv", "extractor/project", conv),
    ]


def _fusion(theirs: str) -> list[Rule]:
    return [
        Rule(f"{theirs}.theta", "fusion/theta", vector),
        *attention(f"{theirs}.cross_attn1", "fusion/early_attends"),
        *attention(f"{theirs}.cross_attn2", "fusion/extractor_attends"),
        *norm(f"{theirs}.norm1", "fusion/norm_1"),
        *norm(f"{theirs}.norm2", "fusion/norm_2"),
        *affine(f"{theirs}.up_path.0", "fusion/up_1", conv_transpose),
        *batch_norm(f"{theirs}.up_path.1", "fusion/up_norm_1"),
        *affine(f"{theirs}.up_path.3", "fusion/up_2", conv_transpose),
        *batch_norm(f"{theirs}.up_path.4", "fusion/up_norm_2"),
    ]


def _prev_mask(theirs: str) -> list[Rule]:
    return [
        *affine(f"{theirs}.{{i}}.conv", "prev_mask/conv_{i}", conv),
        *_xception(f"{theirs}.4", "prev_mask/xception"),
    ]


def _xception(theirs: str, ours: str) -> list[Rule]:
    return [
        *affine(f"{theirs}.conv3x3_1", f"{ours}/depthwise_1", conv),
        *batch_norm(f"{theirs}.norm1", f"{ours}/norm_1"),
        *affine(f"{theirs}.conv3x3_2", f"{ours}/depthwise_2", conv),
        *affine(f"{theirs}.conv1x1", f"{ours}/pointwise", conv),
        *batch_norm(f"{theirs}.norm2", f"{ours}/norm_2"),
    ]


def _decoder(theirs: str) -> list[Rule]:
    layer, ours = f"{theirs}.decoder_layers.{{i}}", "decoder/layer_{i}"
    final, last = f"{theirs}.final_token_decoder", "decoder/final_token"
    return [
        Rule("mask_token", "decoder/mask_token"),
        *affine(f"{theirs}.dense_fusion_conv", "decoder/dense_fusion", conv),
        *attention(f"{layer}.token_to_image_attn", f"{ours}/token_attends"),
        *attention(f"{layer}.self_attn", f"{ours}/token_self"),
        *attention(f"{layer}.image_to_token_attn", f"{ours}/feature_attends"),
        *norm(f"{layer}.norm{{j}}", f"{ours}/norm_{{j}}"),
        *affine(f"{layer}.mlp.0", f"{ours}/mlp_in", dense),
        *affine(f"{layer}.mlp.3", f"{ours}/mlp_out", dense),
        *attention(f"{final}.token_to_image_attn", f"{last}/token_attends"),
        *norm(f"{final}.norm", f"{last}/norm"),
        *affine(f"{final}.mlp.0", f"{last}/mlp_in", dense),
        *affine(f"{final}.mlp.3", f"{last}/mlp_out", dense),
        *affine(f"{theirs}.transposed_conv.t_conv1", "decoder/up_1", conv_transpose),
        *affine(f"{theirs}.transposed_conv.t_conv2", "decoder/up_2", conv_transpose),
        *affine(f"{theirs}.dynamic_conv.kernel_mlp.0", "decoder/kernel_mlp_in", dense),
        *affine(f"{theirs}.dynamic_conv.kernel_mlp.2", "decoder/kernel_mlp_out", dense),
    ]


def rename(name: str, old: str, new: str) -> str | None:
    """`name` moved from the template `old` to the template `new`; None where it does not fit."""
    match = _compile(old).fullmatch(name)
    return match and new.format(**match.groupdict())


@functools.cache
def _compile(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w)\\}", r"(?P<\1>[0-9]+)", re.escape(template)))
