"""Parameter counts of the full-size network against the authors', from shapes alone."""

import re

import pytest

from rsisrefiner_jax.config import Model
from rsisrefiner_jax.models.parameters import describe, parameter_counts
from rsisrefiner_jax.models.registry import abstract_variables
from rsisrefiner_jax.weights import count

UNUSED = 771_304  # class token, final norm and classifier of the backbone's checkpoint

# The authors' module -> ours, and how many parameters it has there.
MODULES = {
    "backbone.blocks": (r"backbone/block_\d+", 85_054_464),
    "backbone.patch_embed": ("backbone/patch_embed", 590_592),
    "backbone.pos_embed": ("backbone/pos_embed", 602_880),
    "patch_embed_coords": ("patch_embed_coords", 787_200),
    "neck.down_4": ("neck/level_4", 1_501_248),
    "neck.down_8": ("neck/level_8", 1_279_872),
    "neck.down_16": ("neck/level_16", 394_752),
    "neck.down_32": ("neck/level_32", 6_299_136),
    "gatefusion": ("gate", 1_180_416),
    "exact_image_feature.0": ("extractor/block_0", 2_176),
    "exact_image_feature.1": ("extractor/block_1", 94_866),
    "exact_image_feature.2": ("extractor/block_2", 357_650),
    "exact_image_feature.3": ("extractor/block_3", 1_387_026),
    "exact_image_feature.conv": ("extractor/project", 393_984),
    "cross_feat.theta": ("fusion/theta", 768),
    "cross_feat.attention": ("fusion/.*_attends", 2 * 2_362_368),
    "cross_feat.norms": (r"fusion/norm_\d", 2 * 1_536),
    "cross_feat.up_path": ("fusion/up_.*", 1_476_288),
    "dense_fusion_conv": ("decoder/dense_fusion", 1_180_416),
    "prev_mask_downscaling": ("prev_mask", 1_958_336),
    "mask_token": ("decoder/mask_token", 768),
    "decoder_layers.0": ("decoder/layer_0", 11_815_680),
    "decoder_layers.1": ("decoder/layer_1", 11_815_680),
    "final_token_decoder": ("decoder/final_token", 2_733_120),
    "multi_scale_fusion": ("multi_scale", 517_056),
    "transposed_conv": (r"decoder/up_\d", 1_475_136),
    "dynamic_conv": ("decoder/kernel_mlp_.*", 370_753),
}


@pytest.fixture(scope="module")
def variables():
    return abstract_variables(Model())


def leaves(tree, prefix="") -> dict[str, int]:
    """{"decoder/up_1/kernel": number of parameters, ...}"""
    sizes = {}
    for name, node in tree.items():
        path = f"{prefix}{name}"
        sizes |= leaves(node, f"{path}/") if isinstance(node, dict) else {path: node.size}
    return sizes


def test_every_module_has_the_parameters_of_the_authors(variables):
    sizes = leaves(variables["params"])
    seen = set()
    for module, (pattern, expected) in MODULES.items():
        mine = {path for path in sizes if re.fullmatch(f"({pattern})(/.*)?", path)}
        assert sum(sizes[path] for path in mine) == expected, module
        assert not mine & seen, module
        seen |= mine
    assert seen == set(sizes)


def test_batch_norm_statistics(variables):
    # The authors' 5 640 buffers less one step counter for each of 8 BatchNorms.
    assert count(variables["batch_stats"]) == 5_632


@pytest.mark.parametrize(
    ("decoder", "trainable", "unused"),
    [("paper", 41_487_927, UNUSED), ("released", 40_307_511, UNUSED + 1_180_416)],
)
def test_totals(variables, decoder, trainable, unused):
    counts = parameter_counts(Model(decoder=decoder), variables["params"], UNUSED)
    assert counts == {
        "frozen": 96_510_144,
        "trainable": trainable,
        "unused": unused,
        "total": 138_769_375,
    }
    assert describe(counts).startswith("parameters: frozen 96,510,144, trainable 4")


def test_what_is_not_frozen_is_trained(variables):
    counts = parameter_counts(Model(frozen=("backbone",)), variables["params"])
    assert counts["frozen"] == 85_054_464 + 590_592 + 602_880
    assert counts["unused"] == 0
    assert counts["frozen"] + counts["trainable"] == 138_769_375 - UNUSED
